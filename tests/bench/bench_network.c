/* Speed of the network: training steps (forward, backward, optimiser) and inference, in images a second.
 *
 *     bench_network [--device auto] [--threads 0] [--task train] [--size N] [--precision f32] [--batch 8] ...
 *
 * Without --task, --size and --precision: training and inference of N and S, in f32 and, where the device has
 * it, bf16.  One JSON object a measurement: images_per_s is from the median step, best_images_per_s from the
 * fastest, peak_mib is the process' own, in host memory.  --describe prints the device alone.
 * tests/bench/engine runs this beside PyTorch.  On a device that takes steps ahead of the host (a GPU), a training step
 * includes its augmentation and the transfer of its targets. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "device.h"
#include "network.h"
#include "network_queue.h"
#include "random.h"
#include "timing.h"

#define STEPS_MAX 1000
#define CLASSES   3
#define RAYS      32

struct request {
    const char *device;
    int threads, batch, side;
    double seconds;
    const char *task, *size, *precision; /* NULL for all */
    bool describe;
};

struct data {
    float *input, *heat, *box, *box_weight, *rays, *ray_weight;
};

static float *numbers(size_t count, double low, double high)
{
    struct random random = random_stream(1, count);
    float *values = malloc(count * sizeof *values);
    if (!values)
        exit(3);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)random_between(&random, low, high);
    return values;
}

static struct data make_data(const struct request *request)
{
    size_t cells = (size_t)request->batch * (size_t)(request->side / 4) * (size_t)(request->side / 4);
    struct data data = {.input = numbers(cells * 16 * 3, -2, 2),
                        .heat = numbers(cells * CLASSES, 0, 0.5),
                        .box = numbers(cells * 4, 5, 20),
                        .box_weight = numbers(cells, -1, 0.05),
                        .rays = numbers(cells * RAYS, 5, 20),
                        .ray_weight = numbers(cells, -1, 0.05)};
    for (size_t i = 0; i < cells; i++) { /* one cell in twenty has an object, as in the packs */
        data.box_weight[i] = data.box_weight[i] > 0 ? data.box_weight[i] : 0;
        data.ray_weight[i] = data.box_weight[i];
        data.heat[i * CLASSES] = data.box_weight[i] > 0.045f ? 1.0f : data.heat[i * CLASSES];
    }
    return data;
}

static void free_data(struct data *data)
{
    free(data->input);
    free(data->heat);
    free(data->box);
    free(data->box_weight);
    free(data->rays);
    free(data->ray_weight);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum code step(struct network *network, const struct data *data, bool training, int64_t number, struct failure *why)
{
    enum code code = network_forward(network, data->input, why);
    if (code != CODE_OK || !training)
        return code;
    const struct network_targets targets = {data->heat, data->box, data->box_weight, data->rays, data->ray_weight};
    struct network_loss loss;
    code = network_backward(network, &targets, &loss, why);
    if (code == CODE_OK)
        network_apply(network,
                      &(struct network_update){
                          .lr = 1e-4f, .weight_decay = 1e-2f, .clip_norm = 10, .ema_decay = 0.998f, .step = number},
                      NULL);
    return code;
}

/* On a device that takes steps ahead of the host, that is how training runs: crops are cut from an image that lies there,
 * targets are sent each step, two steps are under way. */
struct ahead {
    struct network_queue *queue; /* NULL on other devices */
    uint16_t *image;
};

#define IMAGE_SIDE  1024
#define STEPS_AHEAD 2

static void fill_feed(struct network_feed *feed, const struct request *request, const struct data *data,
                      const uint16_t *image)
{
    size_t cells = (size_t)request->batch * (size_t)(request->side / 4) * (size_t)(request->side / 4);
    struct random random = random_stream(1, 2);
    for (size_t i = 0; i < (size_t)request->batch * AUGMENTATION_TABLE_FLOATS; i++)
        feed->tables[i] = (float)(i % AUGMENTATION_TABLE_FLOATS) / AUGMENTATION_TABLE_SIZE;
    for (int n = 0; n < request->batch; n++)
        feed->crops[n] =
            (struct augmentation_crop){.view = {random_between(&random, 0, IMAGE_SIDE / 4),
                                                random_between(&random, 0, IMAGE_SIDE / 4), 1.1, request->side, n & 1, 0, 0},
                                       .width = IMAGE_SIDE,
                                       .height = IMAGE_SIDE,
                                       .channels = 3,
                                       .window_width = IMAGE_SIDE,
                                       .samples = image,
                                       .table = feed->device_tables + (size_t)n * AUGMENTATION_TABLE_FLOATS,
                                       .gain = {1, 1, 1},
                                       .noise = n % 3 == 0 ? 0.02f : 0};
    memcpy(feed->heat, data->heat, cells * CLASSES * sizeof(float));
    memcpy(feed->box, data->box, cells * 4 * sizeof(float));
    memcpy(feed->box_weight, data->box_weight, cells * sizeof(float));
    memcpy(feed->rays, data->rays, cells * RAYS * sizeof(float));
    memcpy(feed->ray_weight, data->ray_weight, cells * sizeof(float));
}

static enum code open_ahead(const struct device *device, struct network *network, const struct request *request,
                            const struct data *data, struct ahead *out, struct failure *why)
{
    *out = (struct ahead){0};
    if (!network_queue_is_supported(network))
        return CODE_OK;
    out->image = device->operations->allocate(device, (size_t)IMAGE_SIDE * IMAGE_SIDE * 3 * sizeof *out->image);
    if (!out->image)
        return failure_set(why, CODE_NO_MEMORY, "the device has no memory for an image");
    enum code code = network_queue_create(network, 0, &out->queue, why);
    for (int slot = 0; slot < DEVICE_SLOTS && code == CODE_OK; slot++)
        fill_feed(network_queue_feed(out->queue, slot), request, data, out->image);
    return code;
}

static enum code step_ahead(struct ahead *ahead, int64_t number, struct failure *why)
{
    struct network_loss loss;
    float norm;
    network_queue_step(
        ahead->queue, (int)(number % DEVICE_SLOTS),
        &(struct network_update){.lr = 1e-4f, .weight_decay = 1e-2f, .clip_norm = 10, .ema_decay = 0.998f, .step = number});
    return network_queue_wait(ahead->queue, (int)((number + DEVICE_SLOTS - STEPS_AHEAD) % DEVICE_SLOTS), &loss, &norm, why);
}

static void report(const struct device *device, enum network_size size, const struct network_plan *plan, double *times,
                   int count, double cpu_ms)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    qsort(times, (size_t)count, sizeof times[0], compare);
    double median = times[count / 2];
    printf("{\"task\": \"%s\", \"device\": \"%s\", \"threads\": %d, \"size\": \"%c\", \"precision\": \"%s\", "
           "\"batch\": %d, \"side\": %d, \"steps\": %d, \"ms_per_step\": %.2f, \"images_per_s\": %.1f, "
           "\"best_images_per_s\": %.1f, \"cpu_ms_per_step\": %.2f, \"peak_mib\": %ld}\n",
           plan->training ? "train" : "infer", device->name, device->threads, "NSM"[size],
           plan -> precision == PRECISION_BF16 ? "bf16" : "f32", plan->batch, plan->height, count, median * 1e3,
           plan->batch / median, plan->batch / times[0], cpu_ms, usage.ru_maxrss >> 10);
    fflush(stdout);
}

static enum code measure(const struct device *device, const struct request *request, enum network_size size,
                         enum network_precision precision, bool training, struct failure *why)
{
    const struct network_architecture architecture = {.size = size, .input_channels = 3, .classes = CLASSES, .rays = RAYS};
    const struct network_plan plan = {.batch = request->batch,
                                      .height = request->side,
                                      .width = request->side,
                                      .precision = precision,
                                      .training = training};
    struct network *network;
    enum code code = network_create(device, &architecture, &plan, &network, why);
    if (code != CODE_OK)
        return code;
    network_initialize(network, 1);
    struct data data = make_data(request);
    struct ahead ahead = {0};
    if (training)
        code = open_ahead(device, network, request, &data, &ahead, why);
    int64_t warm_up = ahead.queue ? 2 * DEVICE_SLOTS : 1; /* steps: until each slot has its recording */
    double times[STEPS_MAX];
    int count = 0;
    int64_t begin = 0, cpu_begin = 0;
    for (int64_t number = 1; code == CODE_OK && count < STEPS_MAX; number++) {
        int64_t start = timing_monotonic_ns();
        code = ahead.queue ? step_ahead(&ahead, number, why) : step(network, &data, training, number, why);
        if (number <= warm_up) {
            begin = timing_monotonic_ns();
            cpu_begin = timing_read_ns(CLOCK_PROCESS_CPUTIME_ID);
            continue;
        }
        times[count++] = (double)(timing_monotonic_ns() - start) * 1e-9;
        if ((double)(timing_monotonic_ns() - begin) * 1e-9 > request->seconds)
            break;
    }
    double cpu_ms = (double)(timing_read_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_begin) * 1e-6 / count;
    if (ahead.queue)
        fprintf(stderr, "%s\n", network_queue_manner(ahead.queue));
    if (code == CODE_OK)
        report(device, size, &plan, times, count, cpu_ms);
    network_queue_destroy(ahead.queue);
    device->operations->release(device, ahead.image);
    free_data(&data);
    network_destroy(network);
    return code;
}

static enum code measure_all(const struct device *device, const struct request *request, struct failure *why)
{
    for (int size = NETWORK_N; size <= NETWORK_M; size++) {
        if (request->size ? request->size[0] != "NSM"[size] : size == NETWORK_M)
            continue;
        for (int precision = PRECISION_F32; precision <= PRECISION_BF16; precision++) {
            const char *name = precision == PRECISION_BF16 ? "bf16" : "f32";
            if (request->precision ? strcmp(request->precision, name) != 0 : precision == PRECISION_BF16 && !device->bf16)
                continue;
            for (int training = 1; training >= 0; training--) {
                if (request->task && strcmp(request->task, training ? "train" : "infer") != 0)
                    continue;
                enum code code =
                    measure(device, request, (enum network_size)size, (enum network_precision)precision, training, why);
                if (code != CODE_OK)
                    return code;
            }
        }
    }
    return CODE_OK;
}

int main(int argc, char **argv)
{
    struct request request = {.device = "auto", .batch = 8, .side = 256, .seconds = 3};
    static const struct option options[] = {
        {"device", required_argument, NULL, 'd'},  {"threads", required_argument, NULL, 't'},
        {"size", required_argument, NULL, 's'},    {"precision", required_argument, NULL, 'p'},
        {"batch", required_argument, NULL, 'b'},   {"side", required_argument, NULL, 'i'},
        {"seconds", required_argument, NULL, 'e'}, {"task", required_argument, NULL, 'k'},
        {"describe", no_argument, NULL, 'D'},      {0},
    };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 'd':
            request.device = optarg;
            break;
        case 't':
            request.threads = atoi(optarg);
            break;
        case 's':
            request.size = optarg;
            break;
        case 'p':
            request.precision = optarg;
            break;
        case 'b':
            request.batch = atoi(optarg);
            break;
        case 'i':
            request.side = atoi(optarg);
            break;
        case 'e':
            request.seconds = atof(optarg);
            break;
        case 'k':
            request.task = optarg;
            break;
        case 'D':
            request.describe = true;
            break;
        default:
            return 2;
        }
    struct failure why;
    struct device *device;
    enum code code = device_open(request.device, &(struct device_options){.threads = request.threads}, &device, &why);
    if (code == CODE_OK) {
        if (request.describe)
            printf("{\"device\": \"%s\", \"description\": \"%s\", \"bf16\": %s}\n", device->name, device->description,
                   device->bf16 ? "true" : "false");
        else
            code = measure_all(device, &request, &why);
        device_close(device);
    }
    if (code != CODE_OK)
        fprintf(stderr, "bench_network: %s\n", why.text);
    return failure_to_exit_status(code);
}
