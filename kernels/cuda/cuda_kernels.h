/* The kernels of "cuda", as C functions that queue work on a stream: see the .cu file of each.  Everything is device
 * memory.  Pixels and channels are as in tensor.h; every sum is taken in a fixed order, so the same call gives the same
 * bits.
 */
#ifndef CYTOFS_CUDA_KERNELS_H
#define CYTOFS_CUDA_KERNELS_H

#include <cuda_runtime_api.h>
#include <stddef.h>

#include "device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Blocks that a reduction over pixels is split into, and the scratch memory that it wants: partial sums per block and
 * channel. */
#ifndef CUDA_REDUCE_BLOCKS     /* the tests, which run kernels on the host, take fewer */
#define CUDA_REDUCE_BLOCKS 264 /* two for each multiprocessor of an H100 */
#endif
#define CUDA_REDUCE_SCRATCH_BYTES ((size_t)CUDA_REDUCE_BLOCKS * 3 * DEVICE_CHANNELS_MAX * sizeof(double))

/* cuda_layout.cu */
void cuda_layout_convert(cudaStream_t stream, const struct tensor *from, const struct tensor *to);
/* (pixels, channels) to (pixels, padded) and back; what is added is zero. */
void cuda_layout_pad(cudaStream_t stream, enum dtype dtype, size_t pixels, int channels, int padded, const void *from,
                     void *to);
void cuda_layout_unpad(cudaStream_t stream, enum dtype dtype, size_t pixels, int channels, int padded, const void *from,
                       void *to);
/* Weights (Cout, taps, Cin) in f32, times scale (Cout, or NULL), to (outer, taps, inner) of dtype, padded with zeros. */
struct cuda_weights_shape {
    int channels_out, taps, channels_in;
    int padded_out, padded_in;
};
void cuda_layout_pack_weights(cudaStream_t stream, enum dtype dtype, const struct cuda_weights_shape *shape,
                              const float *weights, const float *scale, void *packed);
void cuda_layout_unpack_gradient(cudaStream_t stream, enum dtype dtype, const struct cuda_weights_shape *shape,
                                 const void *packed, float *gradient);
/* y = relu?(sums + bias + (accumulate? y)); sums (pixels, padded) of one type, y (pixels, channels) of another. */
struct cuda_epilogue {
    size_t pixels;
    int channels, padded;
    const void *sums;
    enum dtype dtype, dtype_out;
    const float *bias; /* NULL for none */
    bool accumulate, relu;
};
void cuda_layout_finish(cudaStream_t stream, const struct cuda_epilogue *epilogue, void *y);
void cuda_layout_sum_pixels(cudaStream_t stream, enum dtype dtype, size_t pixels, int channels, const void *x,
                            double *scratch, float *sums);
void cuda_layout_upsample_add(cudaStream_t stream, const struct tensor *coarse, const struct tensor *fine);
void cuda_layout_upsample_backward(cudaStream_t stream, const struct tensor *dfine, const struct tensor *dcoarse);

/* cuda_norm.cu; scratch: CUDA_REDUCE_SCRATCH_BYTES */
void cuda_norm_forward(cudaStream_t stream, const struct norm_forward *norm, double *scratch);
void cuda_norm_backward(cudaStream_t stream, const struct norm_backward *norm, double *scratch);
void cuda_norm_fold(cudaStream_t stream, int channels, const float *gamma, const float *beta, const float *running_mean,
                    const float *running_variance, float *scale, float *shift);

/* cuda_augment.cu */
void cuda_augment(cudaStream_t stream, const struct augmentation_crop *crops, const struct tensor *x);

/* cuda_loss.cu, cuda_optimizer.cu; the same scratch */
void cuda_loss_detection(cudaStream_t stream, const struct detection_loss *loss, double *scratch);
void cuda_optimizer_step(cudaStream_t stream, const struct optimizer_step *step, double *scratch);

#ifdef __cplusplus
}
#endif
#endif
