/* CellDet: the detection network, its training step and its inference, written once over a table of device
 * operations (device.h).
 *
 * Layout: activations are NHWC; input is (N, H, W, Cin) f32 with value (x - 0.5) * 4, H and W multiples
 * of 32.  Outputs are f32 logits at stride 4, (N, H/4, W/4, C): heat C = classes, box C = 4 (l, t, r, b as ln
 * of distance / 4 px), rays C = R.  Parameters live in one f32 slab; so do gradients, the optimiser's moments
 * and the averaged weights (EMA).  After network_create nothing is allocated.  One thread drives a network;
 * the device parallelises inside.
 *
 * A training plan computes batch norm from the batch; a plan for inference folds it into the convolutions and
 * is several times faster.  To evaluate, make a second network with training = false and write the first
 * one's averaged weights into its SLAB_WEIGHTS: the slab depends on the architecture alone.
 */
#ifndef CYTOFS_NETWORK_H
#define CYTOFS_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

struct device; /* device.h */
struct network;

enum network_size { NETWORK_N, NETWORK_S, NETWORK_M }; /* w = 16, 32, 48; neck D = 48, 64, 96 */
enum network_precision { PRECISION_F32, PRECISION_BF16 };

#define NETWORK_RAYS_MAX 64

/* What a model file must agree on. */
struct network_architecture {
    enum network_size size;
    int input_channels; /* 1 or 3 */
    int classes;        /* 1 .. 80 */
    int rays;           /* 0, or the number of directions */
};

/* How this instance is to be run. */
struct network_plan {
    int batch, height, width; /* height and width multiples of 32 */
    enum network_precision precision;
    bool training; /* keeps what backward needs; batch norm uses the batch's statistics */
};

struct network_parameter {
    char name[64]; /* as in the safetensors file, e.g. "stage1.0.conv1.weight" */
    int shape[4];  /* convolution weights are (Cout, Kh, Kw, Cin); vectors use shape[0] */
    int rank;
    size_t offset;     /* floats from the start of the slab; gaps between parameters are zero */
    size_t count;      /* floats */
    bool decays;       /* weight decay applies (convolution weights only) */
    bool is_statistic; /* batch norm's running mean or variance: no gradient */
};

/* The device must outlive the network.  An architecture or plan out of range is CODE_INVALID or
 * CODE_TOO_LARGE, bf16 on a device without it CODE_UNSUPPORTED, too little memory CODE_NO_MEMORY. */
MUST_CHECK enum code network_create(const struct device *device, const struct network_architecture *architecture,
                                    const struct network_plan *plan, struct network **out, struct failure *why);
void network_destroy(struct network *network); /* NULL is fine */

/* The slab's description; the same for every plan of one architecture. */
size_t network_parameter_count(const struct network *network);
const struct network_parameter *network_parameter(const struct network *network, size_t index);
size_t network_slab_floats(const struct network *network);

/* Fresh weights as PyTorch's defaults would be (Kaiming-uniform, a = sqrt 5), heat weights N(0, 0.1) and
 * bias -2.19, box and ray bias ln 4, last gamma of each block 0.  Also clears moments and starts the EMA from
 * these weights. */
void network_initialize(struct network *network, uint64_t seed);

/* Whole slabs to and from the device, in network_slab_floats() f32.  Slabs: weights, EMA weights, first and
 * second moment, the last backward pass's gradient.  All but the weights exist in training plans only.  Used
 * by checkpoints, model files and tests. */
enum network_slab { SLAB_WEIGHTS, SLAB_EMA, SLAB_MOMENT1, SLAB_MOMENT2, SLAB_GRADIENT, SLAB_COUNT };
void network_read_slab(const struct network *network, enum network_slab slab, float *out);
void network_write_slab(struct network *network, enum network_slab slab, const float *in);

/* Forward: input is host memory, (N, H, W, Cin) f32.  In a training plan batch norm uses batch statistics and
 * updates the running ones. */
MUST_CHECK enum code network_forward(struct network *network, const float *input, struct failure *why);

/* The outputs of the last forward, copied to host memory (any pointer may be NULL). */
void network_read_outputs(const struct network *network, float *heat, float *box, float *rays);

/* What the loss compares with, all host memory, for the whole batch; (N, H/4, W/4, C).  Output cell (i, j)
 * has its centre at pixel (4j + 2, 4i + 2).  kernels/trainer makes them; kernels/device/README.md has the
 * loss. */
struct network_targets {
    const float *heat;       /* (.., classes) in [0, 1]; exactly 1 at an object's centre cell */
    const float *box;        /* (.., 4) l, t, r, b in px, where box_weight > 0 */
    const float *box_weight; /* (.., 1) each object's cells sum to 1 */
    const float *rays;       /* (.., R) px; NULL when R = 0 */
    const float *ray_weight; /* (.., 1); NULL when R = 0 */
};

struct network_loss {
    double heat, box, rays, total; /* total = heat + 2 box + rays */
};

/* Loss of the last forward, and its gradients down to every parameter.  Once per forward, in training plans
 * only. */
MUST_CHECK enum code network_backward(struct network *network, const struct network_targets *targets,
                                      struct network_loss *loss, struct failure *why);

/* One AdamW step (Loshchilov, Hutter: "Decoupled weight decay regularization", ICLR 2019; beta 0.9, 0.999,
 * eps 1e-8) with the gradient's global norm clipped, then the EMA of weights and running statistics.  Where
 * the norm is not finite nothing changes: the caller sees it in *gradient_norm (which may be NULL). */
struct network_update {
    float lr;           /* this step's, schedule applied */
    float weight_decay; /* per step, times lr */
    float clip_norm;    /* 10; 0 for none */
    float ema_decay;    /* this step's, ramp applied */
    int64_t step;       /* 1-based, for Adam's bias correction */
};
void network_apply(struct network *network, const struct network_update *update, float *gradient_norm);

#endif
