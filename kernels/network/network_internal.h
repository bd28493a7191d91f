/* What a network consists of; for the files of this folder. */
#ifndef CYTOFS_NETWORK_INTERNAL_H
#define CYTOFS_NETWORK_INTERNAL_H

#include "celldet.h"
#include "device.h"
#include "layout.h"

/* A node of the graph, made ready to run. */
struct network_node {
    struct convolution *plan;
    struct tensor raw, draw, dinput; /* as in layout.h; dinput.data is NULL for the first node */
    float *mean, *inverse_deviation; /* (C) of the batch, in training */
};

struct network_value {
    struct tensor data;
    struct tensor gradients[GRADIENT_SUMMANDS_MAX];
    int gradient_count;
};

/* Targets of the loss in device memory; shapes as in struct network_targets. */
struct network_target_memory {
    float *heat, *box, *box_weight, *rays, *ray_weight;
};

/* Results that the device writes and the host reads: f64. */
enum { RESULT_HEAT, RESULT_BOX, RESULT_RAYS, RESULT_GRADIENT_NORM, RESULT_COUNT };

/* Invariants
 * 1. slabs[SLAB_WEIGHTS] always exists; the others in training plans only.
 * 2. stale is true when the weights changed since the convolutions took them over.
 * 3. Every pointer below is device memory, except staging. */
struct network {
    const struct device *device;
    struct network_plan plan;
    struct celldet graph;
    struct layout layout;
    struct network_node nodes[CELLDET_NODES_MAX];
    struct network_value values[CELLDET_VALUES_MAX];
    struct tensor upload;
    float *slabs[SLAB_COUNT];
    char *arena;             /* layout.bytes */
    float *batch_statistics; /* mean and inverse deviation of every normalised node */
    float *fold;             /* 2 x DEVICE_CHANNELS_MAX: scale and shift */
    struct network_target_memory targets;
    double *results;               /* RESULT_COUNT */
    struct optimizer_rates *rates; /* of the step that network_apply makes */
    float *staging;                /* slab_floats, host */
    bool stale;
};

/* The parts of a training step as calls of operations, none of which waits: everything they read and write is device memory.
 * forward: from the input's value to the logits.  backward: the loss's terms go to results, gradients to SLAB_GRADIENT. */
void network_internal_forward(struct network *network);
void network_internal_backward(const struct network *network, const struct network_target_memory *targets, double *results);
void network_internal_update(struct network *network, const struct optimizer_rates *rates, double *results);

struct optimizer_rates network_internal_rates(const struct network_update *update);

static inline struct network_loss network_internal_loss(const double results[RESULT_COUNT])
{
    return (struct network_loss){.heat = results[RESULT_HEAT],
                                 .box = results[RESULT_BOX],
                                 .rays = results[RESULT_RAYS],
                                 .total = results[RESULT_HEAT] + 2 * results[RESULT_BOX] + results[RESULT_RAYS]};
}

/* Whether operations can read what lies in the host's memory. */
static inline bool network_internal_reads_host(const struct device *device)
{
    return !device->operations->queue;
}

/* A parameter's place in a slab; NULL for CELLDET_NONE. */
static inline float *network_internal_place(const struct network *network, enum network_slab slab, int parameter)
{
    return parameter == CELLDET_NONE ? NULL : network->slabs[slab] + network->graph.parameters[parameter].offset;
}

#endif
