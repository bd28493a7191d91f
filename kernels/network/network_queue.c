/* Steps ahead of the host: see network_queue.h.
 *
 * A slot is one block of device memory, with a block of page-locked host memory of the same layout:
 *
 *     rates | crops (N) | tables (N) | heat | box | box weight | rays | ray weight | windows (N)
 *     <------------------------- one transfer --------------------------------->    one each, where used
 *
 * and results of its own, so that a step's can be fetched while the next one computes.  Recordings hold addresses, so each
 * slot has its own.
 */
#include "network_queue.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "network_internal.h"

#define PART_ALIGN 256

enum part {
    PART_RATES,
    PART_CROPS,
    PART_TABLES,
    PART_HEAT,
    PART_BOX,
    PART_BOX_WEIGHT,
    PART_RAYS,
    PART_RAY_WEIGHT,
    PART_WINDOWS,
    PART_COUNT
};

struct slot {
    char *host, *device;            /* (bytes) */
    double *results, *host_results; /* (RESULT_COUNT) device, host */
    struct network_feed feed;
    struct device_recording *recording;
};

struct network_queue {
    struct network *network; /* borrowed */
    const struct device_queue_operations *operations;
    size_t offsets[PART_COUNT], bytes;
    struct slot slots[DEVICE_SLOTS];
    int64_t queued;
    bool refused; /* recording failed: not tried again */
    char manner[sizeof(struct failure) + 100];
};

bool network_queue_is_supported(const struct network *network)
{
    return network->device->operations->queue != NULL;
}

static void plan_block(struct network_queue *queue, size_t window_samples)
{
    const struct network *network = queue->network;
    size_t batch = (size_t)network->plan.batch, rays = (size_t)network->graph.architecture.rays;
    const struct tensor *heat = &network->values[network->graph.heat].data;
    size_t cells = tensor_pixels(heat) * sizeof(float);
    const size_t bytes[PART_COUNT] = {[PART_RATES] = sizeof(struct optimizer_rates),
                                      [PART_CROPS] = batch * sizeof(struct augmentation_crop),
                                      [PART_TABLES] = batch * AUGMENTATION_TABLE_FLOATS * sizeof(float),
                                      [PART_HEAT] = cells * (size_t)heat->c,
                                      [PART_BOX] = cells * 4,
                                      [PART_BOX_WEIGHT] = cells,
                                      [PART_RAYS] = cells * rays,
                                      [PART_RAY_WEIGHT] = rays ? cells : 0,
                                      [PART_WINDOWS] = batch * window_samples * sizeof(uint16_t)};
    for (int part = 0; part < PART_COUNT; part++) {
        queue->offsets[part] = queue->bytes;
        queue->bytes += (bytes[part] + PART_ALIGN - 1) / PART_ALIGN * PART_ALIGN;
    }
}

static void *host_part(const struct network_queue *queue, const struct slot *slot, enum part part)
{
    return slot->host + queue->offsets[part];
}

static void *device_part(const struct network_queue *queue, const struct slot *slot, enum part part)
{
    return slot->device + queue->offsets[part];
}

static bool open_slot(struct network_queue *queue, struct slot *slot, size_t window_samples)
{
    const struct device *device = queue->network->device;
    bool has_rays = queue->network->graph.architecture.rays > 0;
    slot->host = queue->operations->host_allocate(device, queue->bytes);
    slot->device = device->operations->allocate(device, queue->bytes);
    slot->results = device->operations->allocate(device, RESULT_COUNT * sizeof(double));
    slot->host_results = queue->operations->host_allocate(device, RESULT_COUNT * sizeof(double));
    slot->feed.window_samples = calloc((size_t)queue->network->plan.batch, sizeof *slot->feed.window_samples);
    if (!slot->host || !slot->device || !slot->results || !slot->host_results || !slot->feed.window_samples)
        return false;
    slot->feed.crops = host_part(queue, slot, PART_CROPS);
    slot->feed.tables = host_part(queue, slot, PART_TABLES);
    slot->feed.heat = host_part(queue, slot, PART_HEAT);
    slot->feed.box = host_part(queue, slot, PART_BOX);
    slot->feed.box_weight = host_part(queue, slot, PART_BOX_WEIGHT);
    slot->feed.rays = has_rays ? host_part(queue, slot, PART_RAYS) : NULL;
    slot->feed.ray_weight = has_rays ? host_part(queue, slot, PART_RAY_WEIGHT) : NULL;
    slot->feed.windows = host_part(queue, slot, PART_WINDOWS);
    slot->feed.window_samples_max = window_samples;
    slot->feed.device_tables = device_part(queue, slot, PART_TABLES);
    slot->feed.device_windows = device_part(queue, slot, PART_WINDOWS);
    return true;
}

enum code network_queue_create(struct network *network, size_t window_samples_max, struct network_queue **out,
                               struct failure *why)
{
    assert(network->plan.training && network->plan.height == network->plan.width && network_queue_is_supported(network));
    struct network_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return failure_set(why, CODE_NO_MEMORY, "queueing training steps: out of memory");
    queue->network = network;
    queue->operations = network->device->operations->queue;
    plan_block(queue, window_samples_max);
    bool good = true;
    for (int i = 0; i < DEVICE_SLOTS && good; i++)
        good = open_slot(queue, &queue->slots[i], window_samples_max);
    enum code code =
        good ? CODE_OK
             : failure_set(why, CODE_NO_MEMORY,
                           "queueing training steps: %d times %zu MB are not to be had on the host and on device "
                           "%s (use a smaller batch or image)",
                           DEVICE_SLOTS, queue->bytes >> 20, network->device->name);
    /* Memory is cleared by the queue of computing: the transfers of other queues come after. */
    if (code == CODE_OK)
        code = network->device->operations->synchronize(network->device, why);
    if (code != CODE_OK) {
        network_queue_destroy(queue);
        return code;
    }
    *out = queue;
    return CODE_OK;
}

void network_queue_destroy(struct network_queue *queue)
{
    if (!queue)
        return;
    const struct device *device = queue->network->device;
    for (int i = 0; i < DEVICE_SLOTS; i++) {
        struct slot *slot = &queue->slots[i];
        queue->operations->wait(device, i, NULL); /* a failure was the caller's to see before */
        queue->operations->recording_destroy(slot->recording);
        device->operations->release(device, slot->device);
        device->operations->release(device, slot->results);
        queue->operations->host_release(device, slot->host);
        queue->operations->host_release(device, slot->host_results);
        free(slot->feed.window_samples);
    }
    free(queue);
}

struct network_feed *network_queue_feed(struct network_queue *queue, int slot)
{
    assert(slot >= 0 && slot < DEVICE_SLOTS);
    return &queue->slots[slot].feed;
}

size_t network_queue_bytes(const struct network_queue *queue)
{
    return DEVICE_SLOTS * (queue->bytes + RESULT_COUNT * sizeof(double));
}

static void transfer(struct network_queue *queue, int index)
{
    const struct device *device = queue->network->device;
    const struct slot *slot = &queue->slots[index];
    const struct network_feed *feed = &slot->feed;
    queue->operations->feed(device, index, slot->device, slot->host, queue->offsets[PART_WINDOWS]);
    for (size_t n = 0; n < (size_t)queue->network->plan.batch; n++) {
        size_t first = queue->offsets[PART_WINDOWS] + n * feed->window_samples_max * sizeof(uint16_t);
        assert(feed->window_samples[n] <= feed->window_samples_max);
        if (feed->window_samples[n] > 0)
            queue->operations->feed(device, index, slot->device + first, slot->host + first,
                                    feed->window_samples[n] * sizeof(uint16_t));
    }
}

/* The whole step.  Weights are handed to the convolutions at its start, so that a recording does it each time. */
static void compute(struct network_queue *queue, const struct slot *slot)
{
    struct network *network = queue->network;
    const struct device *device = network->device;
    const struct network_target_memory targets = {.heat = device_part(queue, slot, PART_HEAT),
                                                  .box = device_part(queue, slot, PART_BOX),
                                                  .box_weight = device_part(queue, slot, PART_BOX_WEIGHT),
                                                  .rays = slot->feed.rays ? device_part(queue, slot, PART_RAYS) : NULL,
                                                  .ray_weight =
                                                      slot->feed.rays ? device_part(queue, slot, PART_RAY_WEIGHT) : NULL};
    device->operations->augment(device, device_part(queue, slot, PART_CROPS), &network->values[network->graph.input].data);
    network->stale = true;
    network_internal_forward(network);
    network_internal_backward(network, &targets, slot->results);
    network_internal_update(network, device_part(queue, slot, PART_RATES), slot->results);
}

static void record(struct network_queue *queue, struct slot *slot)
{
    const struct device *device = queue->network->device;
    struct failure why;
    enum code code = queue->operations->record_begin(device, &why);
    if (code == CODE_OK) {
        compute(queue, slot);
        code = queue->operations->record_end(device, &slot->recording, &why);
    }
    queue->refused = code != CODE_OK;
    if (queue->refused)
        snprintf(queue->manner, sizeof queue->manner,
                 "steps are queued call by call, since they cannot be recorded as one graph: %s", why.text);
    else
        snprintf(queue->manner, sizeof queue->manner, "a step is one graph, recorded once and replayed");
}

void network_queue_step(struct network_queue *queue, int index, const struct network_update *update)
{
    assert(index >= 0 && index < DEVICE_SLOTS);
    const struct device *device = queue->network->device;
    struct slot *slot = &queue->slots[index];
    *(struct optimizer_rates *)host_part(queue, slot, PART_RATES) = network_internal_rates(update);
    if (queue->queued > 0 && !queue->refused && !slot->recording)
        record(queue, slot);
    transfer(queue, index);
    queue->operations->begin(device, index);
    if (slot->recording)
        queue->operations->replay(device, slot->recording);
    else
        compute(queue, slot);
    queue->network->stale = true;
    queue->operations->end(device, index, slot->host_results, slot->results, RESULT_COUNT * sizeof(double));
    queue->queued++;
}

enum code network_queue_wait(struct network_queue *queue, int index, struct network_loss *loss, float *gradient_norm,
                             struct failure *why)
{
    enum code code = queue->operations->wait(queue->network->device, index, why);
    if (code != CODE_OK)
        return code;
    const double *results = queue->slots[index].host_results;
    *loss = network_internal_loss(results);
    *gradient_norm = (float)results[RESULT_GRADIENT_NORM];
    return CODE_OK;
}

const char *network_queue_manner(const struct network_queue *queue)
{
    return queue->manner;
}
