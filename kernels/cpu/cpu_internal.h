/* The state and the operations of "cpu", for the files of this folder; contracts in device.h. */
#ifndef CYTOFS_CPU_INTERNAL_H
#define CYTOFS_CPU_INTERNAL_H

#include <omp.h>

#include "cpu_dnnl.h"
#include "cpu_loops.h"
#include "cpu_loss_loops.h"
#include "cpu_winograd_loops.h"
#include "device.h"

/* Sums over a tensor are taken per chunk and then over the chunks, so they do not depend on the number of
 * threads. */
#define CPU_CHUNKS_MAX 64

struct cpu_winograd_moments;

struct cpu_device {
    struct device base; /* first: a struct device * is a struct cpu_device * */
    struct cpu_dnnl *dnnl;
    const struct cpu_loops *loops;
    const struct cpu_loss_loops *loss_loops;
    const struct cpu_winograd_loops *winograd; /* NULL where this processor has no AVX-512 */
    float *scratch;                            /* of cpu_winograd.c; grown when a convolution is planned */
    size_t scratch_floats;
    enum code failed; /* the first failure since the last synchronize; the text is in `why` */
    struct failure why;
    double partial[CPU_CHUNKS_MAX][2][DEVICE_CHANNELS_MAX];
};

static inline struct cpu_device *cpu_internal_of(const struct device *device)
{
    return (struct cpu_device *)device; /* made by cpu_device_open, never const there */
}

/* oneDNN takes the number of threads from the calling thread's OpenMP settings, and waits for ever if fewer
 * come than it was promised: so OMP_DYNAMIC in the environment must not have its way. */
static inline void cpu_internal_use_threads(const struct device *device)
{
    omp_set_dynamic(0);
    omp_set_num_threads(device->threads);
}

enum code cpu_convolution_create(const struct device *device, const struct convolution_spec *spec, struct convolution **out,
                                 struct failure *why);
void cpu_convolution_destroy(struct convolution *plan);
void cpu_convolution_set_weights(struct convolution *plan, const float *weights, const float *scale, const float *bias);
void cpu_convolution_forward(struct convolution *plan, const void *x, void *y);
/* What the last forward pass of a `normalized` plan summed on its way; NULL where it did not. */
const struct cpu_winograd_moments *cpu_convolution_moments(const struct convolution *plan);
void cpu_convolution_backward_data(struct convolution *plan, const void *dy, void *dx);
void cpu_convolution_backward_weights(struct convolution *plan, const void *x, const void *dy, float *dweights,
                                      float *dbias);

void cpu_norm_forward(const struct device *device, const struct norm_forward *norm);
void cpu_norm_backward(const struct device *device, const struct norm_backward *norm);
void cpu_norm_fold(const struct device *device, int channels, const float *gamma, const float *beta,
                   const float *running_mean, const float *running_variance, float *scale, float *shift);

void cpu_upsample_add(const struct device *device, const struct tensor *coarse, const struct tensor *fine);
void cpu_upsample_backward(const struct device *device, const struct tensor *dfine, const struct tensor *dcoarse);

void cpu_loss_detection(const struct device *device, const struct detection_loss *loss);
void cpu_optimizer_step(const struct device *device, const struct optimizer_step *step);

#endif
