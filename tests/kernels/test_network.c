/* The network on the CPU against the same network on the plain device, and against its own promises. */
#include "testing.h"

#include <math.h>
#include <string.h>

#include "network_fixture.h"
#include "scope.h"

static const struct network_architecture small = {.size = NETWORK_N, .input_channels = 3, .classes = 2, .rays = 8};
static const struct network_plan small_plan = {.batch = 2, .height = 64, .width = 32, .training = true};

/* Root of the summed squares of a - b over that of b, for one parameter. */
static double distance(const struct network_parameter *parameter, const float *a, const float *b)
{
    double difference = 0, size = 0;
    for (size_t i = parameter->offset; i < parameter->offset + parameter->count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return size > 0 ? sqrt(difference / size) : sqrt(difference);
}

static size_t trained_floats(const struct network *network)
{
    size_t count = 0;
    for (size_t i = 0; i < network_parameter_count(network); i++)
        if (!network_parameter(network, i)->is_statistic)
            count += network_parameter(network, i)->count;
    return count;
}

static void sizes_have_the_documented_number_of_parameters(void **state)
{
    (void)state;
    /* Summed by hand from the architecture in celldet.h, for 3 input channels and 3 classes. */
    static const struct {
        enum network_size size;
        int rays;
        size_t floats;
    } cases[] = {{NETWORK_N, 0, 1165415}, {NETWORK_N, 32, 1187815}, {NETWORK_S, 0, 4400679},
                 {NETWORK_S, 32, 4439751}, {NETWORK_M, 0, 9894967}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct network_architecture architecture = {.size = cases[i].size, .input_channels = 3, .classes = 3,
                                                    .rays = cases[i].rays};
        struct network_fixture fixture;
        network_fixture_open(&fixture, "cpu", 1, &architecture,
                             &(struct network_plan){.batch = 1, .height = 32, .width = 32}, 1);
        assert_int_equal(trained_floats(fixture.network), cases[i].floats);
        network_fixture_close(&fixture);
    }
}

static void first_gradients_on_the_cpu_equal_the_plain_ones(void **state)
{
    (void)state;
    struct network_fixture cpu, ref;
    network_fixture_open(&cpu, "cpu", 2, &small, &small_plan, 5);
    network_fixture_open(&ref, "ref", 1, &small, &small_plan, 5);
    struct network_loss fast = network_fixture_gradient(&cpu), plain = network_fixture_gradient(&ref);
    assert_true(fabs(fast.total / plain.total - 1) < 1e-5);
    assert_true(plain.rays > 0 && plain.box > 0 && plain.heat > 0);
    SCOPE_FREE float *a = network_fixture_slab(&cpu, SLAB_GRADIENT);
    SCOPE_FREE float *b = network_fixture_slab(&ref, SLAB_GRADIENT);
    for (size_t i = 0; i < network_parameter_count(cpu.network); i++) {
        const struct network_parameter *parameter = network_parameter(cpu.network, i);
        if (!parameter->is_statistic && distance(parameter, a, b) > 1e-4)
            fail_msg("%s: gradients differ by %g", parameter->name, distance(parameter, a, b));
    }
    network_fixture_close(&cpu);
    network_fixture_close(&ref);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_the_documented_number_of_parameters),
        cmocka_unit_test(first_gradients_on_the_cpu_equal_the_plain_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
