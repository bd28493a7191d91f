/* Steps queued ahead of the host, on the imitated GPU: that nothing but the steps' own memory changes what comes out,
 * whatever the order in which streams happen to run, and that a step is one graph. */
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "augment.h"
#include "cuda_runtime_api.h"
#include "device.h"
#include "network_queue.h"
#include "random.h"
#include "scope.h"

#define SIDE  32
#define BATCH 2
#define STEPS 7
#define LAST  2 /* steps, of which what they do is counted: by then each slot has its recording */
#define RAYS  8

static const struct network_architecture architecture = {NETWORK_N, 3, 2, RAYS};
static const struct network_plan plan = {BATCH, SIDE, SIDE, PRECISION_F32, true};

/* An image of random samples, 16 bits each. */
static struct training_image make_image(int width, int height, int channels, uint64_t seed)
{
    struct random random = random_stream(seed, 3);
    struct training_image image = {.width = width, .height = height, .channels = channels, .across = 1, .down = 1};
    size_t count = (size_t)width * (size_t)height * (size_t)channels;
    image.samples = malloc(count * sizeof *image.samples);
    assert_non_null(image.samples);
    for (size_t i = 0; i < count; i++)
        image.samples[i] = (uint16_t)random_next(&random);
    for (int c = 0; c < 3; c++)
        image.median[c] = 0.1f * (float)(c + 1);
    return image;
}

/* Crops ---------------------------------------------------------------------------------------------------------- */

/* One image's crops of the stream, by the trainer; the same by the device, from all of the image or from what they see. */
static void compare_crops(const struct device *device, const struct training_image *image, bool windowed, enum dtype dtype)
{
    size_t pixels = SIDE * SIDE, channels = (size_t)image->channels, count = pixels * channels;
    size_t whole = (size_t)image->width * (size_t)image->height * channels,
           most = augment_window_samples_max(SIDE, image->channels);
    struct tensor x = {dtype, 1, SIDE, SIDE, image->channels, device->operations->allocate(device, count * sizeof(float))};
    uint16_t *samples = device->operations->allocate(device, (whole > most ? whole : most) * sizeof *samples);
    float *table = device->operations->allocate(device, AUGMENTATION_TABLE_FLOATS * sizeof *table);
    struct augmentation_crop *crop = device->operations->allocate(device, sizeof *crop);
    SCOPE_FREE uint16_t *window = calloc(most, sizeof *window);
    static float wanted[SIDE * SIDE * 3], numbers[AUGMENTATION_TABLE_FLOATS];
    static char made[sizeof wanted];
    struct random random = random_stream(5, 1);
    for (int round = 0; round < 8; round++) {
        struct augmented example = {.side = SIDE, .input = wanted, .table = numbers};
        augment_example(image, NULL, 0, &random, &example);
        struct augmentation_crop sent = example.crop;
        const struct augment_window seen = augment_window(&sent);
        assert_true((size_t)seen.width * (size_t)seen.height * channels <= most);
        assert_true(seen.x >= 0 && seen.y >= 0 && seen.x + seen.width <= image->width &&
                    seen.y + seen.height <= image->height);
        if (windowed)
            augment_copy_window(image, &sent, window);
        device->operations->upload(device, samples, windowed ? window : image->samples,
                                   (windowed ? (size_t)seen.width * (size_t)seen.height * channels : whole) *
                                       sizeof *samples);
        sent.samples = samples;
        sent.table = table;
        device->operations->upload(device, table, numbers, sizeof numbers);
        device->operations->upload(device, crop, &sent, sizeof sent);
        device->operations->augment(device, crop, &x);
        device->operations->download(device, made, x.data, tensor_bytes(&x));
        for (size_t i = 0; i < count; i++)
            if (dtype == DTYPE_F32)
                assert_memory_equal(&made[i * 4], &wanted[i], 4);
            else
                assert_int_equal(((uint16_t *)made)[i], bf16_from_f32(wanted[i]));
    }
    void *const owned[] = {x.data, samples, table, crop};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        device->operations->release(device, owned[i]);
}

static void crops_made_by_the_gpu_are_those_of_the_cpu_bit_for_bit(void **state)
{
    (void)state;
    static const int sizes[][3] = {{70, 50, 3}, {16, 90, 3}, {64, 64, 1}, {1, 1, 1}, {33, 7, 3}};
    struct device *device;
    struct failure why;
    cuda_host_set(&(struct cuda_host_manner){0});
    assert_code_ok(device_open("cuda", NULL, &device, &why), why);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct training_image image = make_image(sizes[i][0], sizes[i][1], sizes[i][2], i);
        for (int kind = 0; kind < 4; kind++)
            compare_crops(device, &image, kind & 1, kind & 2 ? DTYPE_BF16 : DTYPE_F32);
        free(image.samples);
    }
    assert_code_ok(device->operations->synchronize(device, &why), why);
    device_close(device);
}

/* Steps ---------------------------------------------------------------------------------------------------------- */

static struct network_update update_of_step(int step)
{
    return (struct network_update){
        .lr = 1e-3f * (float)step, .weight_decay = 1e-2f, .clip_norm = 10, .ema_decay = 0.9f, .step = step};
}

static void fill_targets(struct random *random, size_t cells, float *heat, float *box, float *weight, float *rays,
                         float *ray_weight)
{
    for (size_t i = 0; i < cells * 2; i++)
        heat[i] = (float)random_between(random, 0, 0.5);
    for (size_t i = 0; i < cells; i++) {
        weight[i] = ray_weight[i] = random_uniform(random) < 0.1 ? (float)random_between(random, 0, 0.2) : 0;
        if (weight[i] > 0.1f)
            heat[i * 2] = 1;
        for (size_t k = 0; k < 4; k++)
            box[i * 4 + k] = (float)random_between(random, 3, 20);
        for (size_t k = 0; k < RAYS; k++)
            rays[i * RAYS + k] = (float)random_between(random, 3, 20);
    }
}

struct outcome {
    float *weights; /* the average */
    size_t floats;
    double losses[STEPS], norms[STEPS];
    struct cuda_host_counts during; /* what the last steps did */
    long calls;                     /* in the recording of a step */
    char manner[200];
};

static void read_weights(const struct network *network, struct outcome *out)
{
    out->floats = network_slab_floats(network);
    out->weights = malloc(out->floats * sizeof *out->weights);
    assert_non_null(out->weights);
    network_read_slab(network, SLAB_EMA, out->weights);
}

/* Step by step on `name`, everything waited for. */
static struct outcome train_at_once(const char *name, const struct training_image *image)
{
    size_t cells = BATCH * SIDE * SIDE / 16;
    struct outcome out = {0};
    struct device *device;
    struct network *network;
    struct failure why;
    assert_code_ok(device_open(name, NULL, &device, &why), why);
    assert_code_ok(network_create(device, &architecture, &plan, &network, &why), why);
    network_initialize(network, 4);
    static float input[BATCH * SIDE * SIDE * 3];
    static float heat[BATCH * 64 * 2], box[BATCH * 64 * 4], weight[BATCH * 64], rays[BATCH * 64 * RAYS],
        ray_weight[BATCH * 64];
    for (int step = 1; step <= STEPS; step++) {
        struct random random = random_stream(9, (uint64_t)step);
        for (size_t n = 0; n < BATCH; n++) {
            struct augmented example = {.side = SIDE, .input = input + n * SIDE * SIDE * 3};
            augment_example(image, NULL, 0, &random, &example);
        }
        fill_targets(&random, cells, heat, box, weight, rays, ray_weight);
        const struct network_targets targets = {heat, box, weight, rays, ray_weight};
        const struct network_update update = update_of_step(step);
        struct network_loss loss;
        float norm;
        assert_code_ok(network_forward(network, input, &why), why);
        assert_code_ok(network_backward(network, &targets, &loss, &why), why);
        network_apply(network, &update, &norm);
        out.losses[step - 1] = loss.total;
        out.norms[step - 1] = (double)norm;
    }
    read_weights(network, &out);
    network_destroy(network);
    device_close(device);
    return out;
}

static void fill_feed(struct network_feed *feed, const struct training_image *image, const uint16_t *resident, int step)
{
    struct random random = random_stream(9, (uint64_t)step);
    for (size_t n = 0; n < BATCH; n++) {
        struct augmented example = {.side = SIDE, .table = feed->tables + n * AUGMENTATION_TABLE_FLOATS};
        augment_example(image, NULL, 0, &random, &example);
        feed->crops[n] = example.crop;
        feed->crops[n].table = feed->device_tables + n * AUGMENTATION_TABLE_FLOATS;
        feed->crops[n].samples = resident;
        feed->window_samples[n] = 0;
        if (n == 1) { /* one image lies on the card, the other does not */
            const struct augment_window window = augment_window(&feed->crops[n]);
            augment_copy_window(image, &feed->crops[n], feed->windows + n * feed->window_samples_max);
            feed->crops[n].samples = feed->device_windows + n * feed->window_samples_max;
            feed->window_samples[n] = (size_t)window.width * (size_t)window.height * 3;
        }
    }
    fill_targets(&random, BATCH * SIDE * SIDE / 16, feed->heat, feed->box, feed->box_weight, feed->rays, feed->ray_weight);
}

/* The same steps from a queue, two ahead of the host; what is past is overwritten at once. */
static struct outcome train_from_queue(const struct cuda_host_manner *manner, const struct training_image *image)
{
    struct outcome out = {0};
    struct device *device;
    struct network *network;
    struct network_queue *queue;
    struct failure why;
    cuda_host_set(manner);
    assert_code_ok(device_open("cuda", NULL, &device, &why), why);
    assert_code_ok(network_create(device, &architecture, &plan, &network, &why), why);
    network_initialize(network, 4);
    assert_code_ok(network_queue_create(network, augment_window_samples_max(SIDE, 3), &queue, &why), why);
    size_t bytes = (size_t)image->width * (size_t)image->height * 3 * sizeof *image->samples;
    uint16_t *resident = device->operations->allocate(device, bytes);
    device->operations->upload(device, resident, image->samples, bytes);
    struct cuda_host_counts before = {0};
    for (int step = 1; step <= STEPS + 2; step++) {
        struct network_loss loss;
        float norm;
        if (step == STEPS - LAST + 1)
            before = cuda_host_count();
        if (step == STEPS + 1)
            out.during = cuda_host_count();
        if (step > 2) {
            int past = (step - 2) % DEVICE_SLOTS;
            assert_code_ok(network_queue_wait(queue, past, &loss, &norm, &why), why);
            out.losses[step - 3] = loss.total;
            out.norms[step - 3] = (double)norm;
            memset(network_queue_feed(queue, past)->tables, 0xFF, BATCH * AUGMENTATION_TABLE_FLOATS * sizeof(float));
        }
        if (step > STEPS)
            continue;
        const struct network_update update = update_of_step(step);
        fill_feed(network_queue_feed(queue, step % DEVICE_SLOTS), image, resident, step);
        network_queue_step(queue, step % DEVICE_SLOTS, &update);
    }
    out.during.launches -= before.launches;
    out.during.graph_launches -= before.graph_launches;
    out.during.copies -= before.copies;
    out.during.waits -= before.waits;
    out.during.recorded -= before.recorded;
    out.during.memory_bytes -= before.memory_bytes;
    out.calls = cuda_host_count().recorded / DEVICE_SLOTS;
    snprintf(out.manner, sizeof out.manner, "%s", network_queue_manner(queue));
    read_weights(network, &out);
    device->operations->release(device, resident);
    network_queue_destroy(queue);
    network_destroy(network);
    device_close(device);
    assert_int_equal(cuda_host_count().memory_bytes, 0);
    return out;
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->floats, b->floats);
    assert_memory_equal(a->losses, b->losses, sizeof a->losses);
    assert_memory_equal(a->norms, b->norms, sizeof a->norms);
    assert_memory_equal(a->weights, b->weights, a->floats * sizeof *a->weights);
}

static void assert_one_graph_a_step(const struct outcome *queued)
{
    assert_int_equal(queued->during.graph_launches, LAST);
    print_message("a step is %ld kernels and copies\n", queued->calls);
    assert_int_equal(queued->during.launches, 0);
    assert_int_equal(queued->during.recorded, 0);
    assert_int_equal(queued->during.copies, LAST * 3); /* inputs, the window of one image, results */
    assert_string_equal(queued->manner, "a step is one graph, recorded once and replayed");
}

static void assert_call_by_call(const struct outcome *queued)
{
    assert_int_equal(queued->during.graph_launches, 0);
    assert_true(queued->during.launches > 100);
    assert_non_null(strstr(queued->manner, "call by call"));
    assert_non_null(strstr(queued->manner, "CUDA error 901"));
}

static void queued_steps_are_the_steps_taken_one_at_a_time_and_wait_for_nothing(void **state)
{
    (void)state;
    struct training_image image = make_image(48, 40, 3, 1);
    cuda_host_set(&(struct cuda_host_manner){0});
    struct outcome plain = train_at_once("cuda", &image), cpu = train_at_once("cpu", &image);
    static const struct cuda_host_manner manners[] = {
        {0}, {.lazy = true, .backwards = true}, {.lazy = true, .cannot_record = true}};
    for (size_t i = 0; i < sizeof manners / sizeof *manners; i++) {
        struct outcome queued = train_from_queue(&manners[i], &image);
        assert_same(&queued, &plain);
        if (manners[i].cannot_record)
            assert_call_by_call(&queued);
        else
            assert_one_graph_a_step(&queued);
        assert_int_equal(queued.during.waits, LAST); /* for the slot that comes next, two steps back */
        assert_int_equal(queued.during.memory_bytes, 0);
        free(queued.weights);
    }
    for (int i = 0; i < 3; i++) /* later ones drift: Adam turns rounding of tiny gradients into whole steps */
        if (!(fabs(plain.losses[i] / cpu.losses[i] - 1) < 1e-3))
            fail_msg("step %d: %g on the GPU, %g on the CPU", i + 1, plain.losses[i], cpu.losses[i]);
    free(plain.weights);
    free(cpu.weights);
    free(image.samples);
}

static void a_card_without_room_is_a_failure_in_words_and_nothing_leaks(void **state)
{
    (void)state;
    struct device *device;
    struct failure why;
    enum code code = CODE_NO_MEMORY;
    for (size_t megabytes = 2; code != CODE_OK; megabytes += 8) {
        struct network *network = NULL;
        struct network_queue *queue = NULL;
        cuda_host_set(&(struct cuda_host_manner){.memory_bytes = megabytes << 20});
        code = device_open("cuda", NULL, &device, &why);
        bool opened = code == CODE_OK;
        if (code == CODE_OK)
            code = network_create(device, &architecture, &plan, &network, &why);
        if (code == CODE_OK)
            code = network_queue_create(network, augment_window_samples_max(SIDE, 3), &queue, &why);
        assert_true(code == CODE_OK || code == CODE_NO_MEMORY);
        network_queue_destroy(queue);
        network_destroy(network);
        if (opened)
            device_close(device);
        assert_int_equal(cuda_host_count().memory_bytes, 0);
        assert_true(megabytes < 400);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crops_made_by_the_gpu_are_those_of_the_cpu_bit_for_bit),
        cmocka_unit_test(queued_steps_are_the_steps_taken_one_at_a_time_and_wait_for_nothing),
        cmocka_unit_test(a_card_without_room_is_a_failure_in_words_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
