/* A device computes: the table of operations that the network is written over, and the list of devices.
 *
 * "ref" is plain loops in double precision, the truth that tests hold the others against.  "cpu" is oneDNN
 * with our own vectorised loops, "cuda" is cuDNN with our own kernels: there pointers are device memory, calls are
 * queued in order, and only `upload`, `download` and `synchronize` wait.
 *
 * Rules for every operation
 * 1. Tensors are NHWC.  Shapes and types are the caller's duty (asserted).  Memory is allocated by `allocate`
 *    and by the plans of convolutions alone, so a training step allocates nothing.
 * 2. Parameters, statistics, their gradients and the optimiser's state are f32; activations are f32 or bf16.
 * 3. Sums are taken in a fixed order: the same calls on the same device with the same number of threads give
 *    the same bits.
 * 4. A failure while computing is kept and returned by the next `synchronize`, as CUDA does.
 * 5. One thread at a time calls a device.
 */
#ifndef CYTOFS_DEVICE_H
#define CYTOFS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"
#include "tensor.h"

#define NORM_EPSILON          1e-5f
#define NORM_MOMENTUM         0.1f
#define NORM_CHANNELS_UNIT    16 /* channels of a normalised or upsampled tensor are a multiple of this */
#define DEVICE_CHANNELS_MAX   512
#define GRADIENT_SUMMANDS_MAX 3

struct device;
struct convolution; /* a planned convolution; each device has its own */
struct device_recording;
struct augmentation_crop; /* augmentation.h */

struct convolution_spec {
    int batch, height, width; /* of the input */
    int channels_in, channels_out;
    int kernel;           /* 1 or 3, zero padding kernel / 2 */
    int stride;           /* 1 or 2; the output is (ceil(height / stride), ceil(width / stride)) */
    enum dtype dtype;     /* of x, dx and dy */
    enum dtype dtype_out; /* of y: dtype, or f32 */
    bool bias;            /* y has a bias added per output channel */
    bool accumulate;      /* y is added to what y holds already (the residual) */
    bool relu;            /* last of all */
    bool training;        /* the two backward functions will be called: needs !accumulate, !relu */
    bool input_gradient;  /* convolution_backward_data will be called */
    bool normalized;      /* y goes into norm_forward, which will name this plan; training only */
};

/* y = relu?(gamma * (x - mean) / sqrt(variance + NORM_EPSILON) + beta + residual), mean and variance those of
 * the batch. */
struct norm_forward {
    struct tensor x, y;
    const struct convolution *source; /* the `normalized` plan whose last forward pass made x, or NULL: the
                                       * device may have summed x on the way */
    const struct tensor *residual;    /* NULL for none */
    bool relu;
    const float *gamma, *beta;              /* (C) */
    float *running_mean, *running_variance; /* (C), moved by NORM_MOMENTUM; the variance is unbiased */
    float *mean, *inverse_deviation;        /* (C), kept for the backward pass */
};

/* The gradient of norm_forward.  The gradient of y is the sum of `gradients`, masked by y > 0 under relu. The
 * masked sum is left in gradients[0], where it is also the gradient of the residual. */
struct norm_backward {
    struct tensor x, y;
    bool relu;
    struct tensor gradients[GRADIENT_SUMMANDS_MAX];
    int gradient_count;                    /* 1 .. GRADIENT_SUMMANDS_MAX */
    const float *gamma;                    /* (C) */
    const float *mean, *inverse_deviation; /* (C), from norm_forward */
    /* (C), or NULL.  Given where the forward pass had ReLU and no residual, there is one gradient, and nobody
     * wants it masked: y > 0 can then be told from x, and what is left in gradients[0] is undefined. */
    const float *beta;
    struct tensor dx;      /* may be gradients[0] where nobody wants the residual's gradient */
    float *dgamma, *dbeta; /* (C), overwritten */
};

/* The loss of CellDet's heads and its gradient; the formulas stand in README.md of this folder.  Logits are
 * f32.  Gradient tensors have the logits' shapes and either type; they hold the gradient of heat + 2 box +
 * rays. */
struct detection_loss {
    struct tensor heat, box, rays; /* logits (N, H, W, K), (.., 4), (.., R); rays.data NULL for none */
    struct tensor dheat, dbox, drays;
    const float *heat_target;             /* (N, H, W, K) in [0, 1], above 0.999 at a peak */
    const float *box_target, *box_weight; /* (N, H, W, 4) px, (N, H, W) */
    const float *ray_target, *ray_weight; /* (N, H, W, R) px, (N, H, W); NULL where there are no rays */
    double *terms;                        /* (3) device memory: heat, box, rays */
};

/* One step over a slab: [0, decaying) gets weight decay, [0, trained) is trained, [trained, count) holds
 * statistics that only the average follows.  Padding is zero everywhere and stays zero. */
struct optimizer_step {
    float *weights, *average, *moment1, *moment2; /* (count) */
    const float *gradient;                        /* (count), only [0, trained) is read */
    size_t count, trained, decaying;
    const struct optimizer_rates *rates; /* (1) device memory, so that a recorded step can be given new ones */
    double *gradient_norm;               /* (1) device memory: before clipping; not finite: the step changes nothing */
};

/* What changes from step to step. */
struct optimizer_rates {
    float lr, weight_decay; /* weight decay is per step, times lr */
    float clip_norm;        /* 0 for none */
    float average_decay;
    double bias_correction1, bias_correction2; /* 1 - beta1^step, 1 - beta2^step */
};

#define ADAM_BETA1   0.9
#define ADAM_BETA2   0.999
#define ADAM_EPSILON 1e-8

struct device_operations {
    void (*close)(struct device *device);

    /* Zeroed memory, 64-byte aligned; NULL where there is none. */
    void *(*allocate)(const struct device *device, size_t bytes);
    void (*release)(const struct device *device, void *memory); /* NULL is fine */
    void (*upload)(const struct device *device, void *to, const void *from_host, size_t bytes);
    void (*download)(const struct device *device, void *to_host, const void *from, size_t bytes);
    void (*copy)(const struct device *device, void *to, const void *from, size_t bytes); /* no overlap */

    /* Waits for everything called so far, and returns the first failure since the last synchronize. */
    enum code (*synchronize)(const struct device *device, struct failure *why);

    /* `to` takes the values of `from`; types may differ, counts are equal. */
    void (*convert)(const struct device *device, const struct tensor *from, const struct tensor *to);

    enum code (*convolution_create)(const struct device *device, const struct convolution_spec *spec,
                                    struct convolution **out, struct failure *why);
    void (*convolution_destroy)(struct convolution *plan); /* NULL is fine */
    /* To be called after each change of the weights (Cout, Kh, Kw, Cin).  The plan keeps them in a form of
     * its own, each output channel times scale (Cout), where NULL is 1.  bias (Cout) is NULL unless the plan
     * has one. */
    void (*convolution_set_weights)(struct convolution *plan, const float *weights, const float *scale, const float *bias);
    void (*convolution_forward)(struct convolution *plan, const void *x, void *y);
    /* dx is overwritten. */
    void (*convolution_backward_data)(struct convolution *plan, const void *dy, void *dx);
    /* dweights (Cout, Kh, Kw, Cin) and, where the plan has a bias, dbias (Cout) are overwritten. */
    void (*convolution_backward_weights)(struct convolution *plan, const void *x, const void *dy, float *dweights,
                                         float *dbias);

    void (*norm_forward)(const struct device *device, const struct norm_forward *norm);
    void (*norm_backward)(const struct device *device, const struct norm_backward *norm);
    /* Batch norm with running statistics as a scale and a shift per channel, all (C): what a convolution
     * absorbs. */
    void (*norm_fold)(const struct device *device, int channels, const float *gamma, const float *beta,
                      const float *running_mean, const float *running_variance, float *scale, float *shift);

    /* fine (N, 2H, 2W, C) += each value of coarse (N, H, W, C) four times. */
    void (*upsample_add)(const struct device *device, const struct tensor *coarse, const struct tensor *fine);
    /* dcoarse = the sums of 2 x 2 values of dfine. */
    void (*upsample_backward)(const struct device *device, const struct tensor *dfine, const struct tensor *dcoarse);

    void (*detection_loss)(const struct device *device, const struct detection_loss *loss);
    void (*optimizer_step)(const struct device *device, const struct optimizer_step *step);

    /* x (N, side, side, channels) = N crops, which are device memory like all that they point to. */
    void (*augment)(const struct device *device, const struct augmentation_crop *crops, const struct tensor *x);

    /* NULL on a device that computes in the host's memory, where there is nothing to win. */
    const struct device_queue_operations *queue;
};

/* Steps that are queued ahead of the host: for a device with memory of its own, which computes while the host prepares.
 * A slot is one step's worth of inputs and results.  Its life, in the order of calls:
 *
 *     feed ... -> begin -> operations, or replay -> end(results) -> wait
 *
 * The feeds of one slot run beside the computing of another; computing keeps the order of the calls. */
#define DEVICE_SLOTS 4

struct device_queue_operations {
    /* Zeroed memory of the host that copies run from at full speed, without the processor; NULL where there is none. */
    void *(*host_allocate)(const struct device *device, size_t bytes);
    void (*host_release)(const struct device *device, void *memory); /* NULL is fine */

    /* Begins to copy from host_allocate's memory, which must stay as it is until wait(slot). */
    void (*feed)(const struct device *device, int slot, void *to, const void *from_host, size_t bytes);
    /* What is called from here on waits for the slot's feeds. */
    void (*begin)(const struct device *device, int slot);
    /* The slot's step is complete.  `bytes` of results go from device memory to host_allocate's memory. */
    void (*end)(const struct device *device, int slot, void *to_host, const void *from, size_t bytes);
    /* The host waits until the slot's last step is over and its results are there; at once where it had none.  Returns
     * the first failure of all that has been called. */
    enum code (*wait)(const struct device *device, int slot, struct failure *why);

    /* Operations between the two are written down instead of computed.  No failure of record_end leaves anything behind, and
     * the same operations can then be called one by one.  Nothing may be allocated, transferred or waited for in between. */
    enum code (*record_begin)(const struct device *device, struct failure *why);
    enum code (*record_end)(const struct device *device, struct device_recording **out, struct failure *why);
    /* Computes what was written down, with the pointers of then and the memory's contents of now. */
    void (*replay)(const struct device *device, struct device_recording *recording);
    void (*recording_destroy)(struct device_recording *recording); /* NULL is fine */

    size_t (*memory_free)(const struct device *device); /* bytes that could still be allocated */
};

/* What every device begins with. */
struct device {
    const struct device_operations *operations;
    char name[16];         /* "ref", "cpu" */
    char description[200]; /* for the person: processor, threads, bf16 or not */
    bool bf16;             /* bf16 convolutions run, and run in hardware (on "ref": run) */
    int threads;
};

struct device_options {
    int threads; /* 0: as many as this process may use */
};

/* Opens "cuda", "cpu", "ref" or "auto" (the fastest there is).  options may be NULL.  An unknown name is
 * CODE_INVALID and lists the known ones; a device that this machine lacks is CODE_UNSUPPORTED. */
MUST_CHECK enum code device_open(const char *name, const struct device_options *options, struct device **out,
                                 struct failure *why);
void device_close(struct device *device); /* NULL is fine */

/* The devices of this machine, fastest first; returns how many there are and fills in at most max. */
struct device_entry {
    char name[16];
    char description[200];
    bool bf16;
};
size_t device_list(struct device_entry *entries, size_t max);

#endif
