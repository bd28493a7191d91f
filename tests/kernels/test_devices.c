/* What goes wrong when devices and networks are made, on a device that fails on demand; and the arena. */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "device.h"
#include "network.h"
#include "random.h"

static const struct network_architecture small = {.size = NETWORK_N, .input_channels = 3, .classes = 2};
static const struct network_plan small_plan = {.batch = 1, .height = 32, .width = 32, .training = true};

/* ---- a device that fails on demand: "ref" with two functions of its table replaced ---- */

static struct {
    struct device_operations operations;
    const struct device_operations *real;
    long calls_until_failure; /* allocations and plans; negative for never */
    bool computing_fails;
} faulty;

static bool fails_now(void)
{
    return faulty.calls_until_failure >= 0 && faulty.calls_until_failure-- == 0;
}

static void *faulty_allocate(const struct device *device, size_t bytes)
{
    return fails_now() ? NULL : faulty.real->allocate(device, bytes);
}

static enum code faulty_convolution_create(const struct device *device, const struct convolution_spec *spec,
                                           struct convolution **out, struct failure *why)
{
    if (fails_now())
        return failure_set(why, CODE_UNSUPPORTED, "planning a convolution: there is none");
    return faulty.real->convolution_create(device, spec, out, why);
}

static enum code faulty_synchronize(const struct device *device, struct failure *why)
{
    if (faulty.computing_fails)
        return failure_set(why, CODE_IO, "computing: the device is gone");
    return faulty.real->synchronize(device, why);
}

static int open_faulty(void **state)
{
    struct device *device;
    struct failure why;
    assert_code_ok(device_open("ref", NULL, &device, &why), why);
    faulty.real = device->operations;
    faulty.operations = *faulty.real;
    faulty.operations.allocate = faulty_allocate;
    faulty.operations.convolution_create = faulty_convolution_create;
    faulty.operations.synchronize = faulty_synchronize;
    faulty.calls_until_failure = -1;
    faulty.computing_fails = false;
    device->operations = &faulty.operations;
    *state = device;
    return 0;
}

static int close_faulty(void **state)
{
    device_close(*state);
    return 0;
}

static void whatever_fails_while_planning_is_reported_and_nothing_leaks(void **state)
{
    struct device *device = *state;
    long calls = 0;
    enum code code;
    do {
        struct network *network = NULL;
        struct failure why;
        faulty.calls_until_failure = calls++;
        code = network_create(device, &small, &small_plan, &network, &why);
        if (code != CODE_OK) {
            assert_true(code == CODE_NO_MEMORY || code == CODE_UNSUPPORTED);
            assert_non_null(strstr(why.text, "planning the network"));
        }
        network_destroy(network);
    } while (code != CODE_OK);
    assert_true(calls > 40); /* some allocations and every convolution have failed once */
}

static void a_failure_while_computing_reaches_the_caller(void **state)
{
    struct device *device = *state;
    struct network *network;
    struct failure why;
    struct network_loss loss;
    static const float input[32 * 32 * 3], heat[64 * 2], box[64 * 4], weight[64];
    const struct network_targets targets = {.heat = heat, .box = box, .box_weight = weight};
    assert_code_ok(network_create(device, &small, &small_plan, &network, &why), why);
    network_initialize(network, 1);
    assert_code_ok(network_forward(network, input, &why), why);
    faulty.computing_fails = true;
    assert_int_equal(network_backward(network, &targets, &loss, &why), CODE_IO);
    assert_int_equal(network_forward(network, input, &why), CODE_IO);
    assert_string_equal(why.text, "computing: the device is gone");
    network_destroy(network);
}

static void bf16_is_refused_where_the_device_lacks_it(void **state)
{
    struct device *device = *state;
    struct network *network;
    struct failure why;
    struct network_plan plan = small_plan;
    plan.precision = PRECISION_BF16;
    device->bf16 = false;
    assert_int_equal(network_create(device, &small, &plan, &network, &why), CODE_UNSUPPORTED);
    assert_non_null(strstr(why.text, "use precision f32"));
}

static void plans_and_architectures_out_of_range_are_refused(void **state)
{
    static const struct network_plan plans[] = {
        {.batch = 0, .height = 32, .width = 32},      {.batch = 1, .height = 33, .width = 32},
        {.batch = 1, .height = 32, .width = 0},       {.batch = 1, .height = 32, .width = -32},
        {.batch = 100000, .height = 32, .width = 32}, {.batch = 4096, .height = 16384, .width = 16384},
        {.batch = 1, .height = 1 << 20, .width = 32},
    };
    static const struct network_architecture architectures[] = {
        {.size = (enum network_size)7, .input_channels = 3, .classes = 1},
        {.size = NETWORK_N, .input_channels = 2, .classes = 1},
        {.size = NETWORK_N, .input_channels = 3, .classes = 0},
        {.size = NETWORK_N, .input_channels = 3, .classes = 81},
        {.size = NETWORK_N, .input_channels = 3, .classes = 1, .rays = NETWORK_RAYS_MAX + 1},
        {.size = NETWORK_N, .input_channels = 3, .classes = 1, .rays = -1},
    };
    struct network *network;
    struct failure why;
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        enum code code = network_create(*state, &small, &plans[i], &network, &why);
        assert_true(code == CODE_INVALID || code == CODE_TOO_LARGE);
    }
    for (size_t i = 0; i < sizeof architectures / sizeof architectures[0]; i++)
        assert_int_equal(network_create(*state, &architectures[i], &small_plan, &network, &why), CODE_INVALID);
}

/* ---- the list of devices ---- */

static void devices_are_listed_and_opened_by_name(void **state)
{
    (void)state;
    struct device_entry entries[8];
    size_t count = device_list(entries, 8);
    assert_true(count >= 2 && count <= 8);
    assert_int_equal(device_list(entries, 0), count);
    for (size_t i = 0; i < count; i++) {
        struct device *device;
        struct failure why;
        assert_code_ok(device_open(entries[i].name, &(struct device_options){.threads = 1}, &device, &why), why);
        assert_string_equal(device->name, entries[i].name);
        assert_int_equal(device->threads, 1);
        device_close(device);
    }
}

static void an_unknown_device_is_refused_with_the_known_ones(void **state)
{
    (void)state;
    struct device *device;
    struct failure why;
    assert_int_equal(device_open("tpu", NULL, &device, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "cpu"));
    assert_int_equal(device_open("cpu", &(struct device_options){.threads = -1}, &device, &why), CODE_INVALID);
}

/* ---- the arena ---- */

static void blocks_alive_together_never_overlap(void **state)
{
    (void)state;
    struct random random = random_stream(3, 1);
    for (int round = 0; round < 50; round++) {
        struct arena_block blocks[40];
        size_t sum = 0, busiest = 0;
        for (size_t i = 0; i < 40; i++) {
            int first = (int)random_below(&random, 60);
            blocks[i] = (struct arena_block){
                .bytes = 1 + random_below(&random, 5000), .first = first, .last = first + (int)random_below(&random, 20)};
            sum += blocks[i].bytes + ARENA_ALIGN_BYTES;
        }
        size_t total = arena_plan(blocks, 40);
        for (int step = 0; step < 80; step++) {
            size_t alive = 0;
            for (size_t i = 0; i < 40; i++)
                alive += blocks[i].first <= step && step <= blocks[i].last ? blocks[i].bytes : 0;
            busiest = alive > busiest ? alive : busiest;
        }
        assert_true(total >= busiest && total < sum);
        for (size_t i = 0; i < 40; i++) {
            assert_int_equal(blocks[i].offset % ARENA_ALIGN_BYTES, 0);
            assert_true(blocks[i].offset + blocks[i].bytes <= total);
            for (size_t k = 0; k < i; k++) {
                bool apart = blocks[i].last < blocks[k].first || blocks[k].last < blocks[i].first;
                assert_true(apart || blocks[i].offset + blocks[i].bytes <= blocks[k].offset ||
                            blocks[k].offset + blocks[k].bytes <= blocks[i].offset);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whatever_fails_while_planning_is_reported_and_nothing_leaks, open_faulty,
                                        close_faulty),
        cmocka_unit_test_setup_teardown(a_failure_while_computing_reaches_the_caller, open_faulty, close_faulty),
        cmocka_unit_test_setup_teardown(bf16_is_refused_where_the_device_lacks_it, open_faulty, close_faulty),
        cmocka_unit_test_setup_teardown(plans_and_architectures_out_of_range_are_refused, open_faulty, close_faulty),
        cmocka_unit_test(devices_are_listed_and_opened_by_name),
        cmocka_unit_test(an_unknown_device_is_refused_with_the_known_ones),
        cmocka_unit_test(blocks_alive_together_never_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
