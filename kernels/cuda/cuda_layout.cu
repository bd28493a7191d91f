/* Moving elements: types, padded channels, what surrounds a convolution, upsampling.  One thread an element; neighbouring
 * threads touch neighbouring channels, so that accesses coalesce. */
#include "cuda_values.cuh"

template <typename From, typename To> __global__ void convert(size_t count, const From *from, To *to)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count)
        cuda_set(to, i, cuda_get(from, i));
}

void cuda_layout_convert(cudaStream_t stream, const struct tensor *from, const struct tensor *to)
{
    size_t count = tensor_count(from);
    CUDA_WITH_TYPE(from->dtype, From,
                   CUDA_WITH_TYPE(to->dtype, To,
                                  CUDA_LAUNCH(convert, cuda_blocks(count), CUDA_THREADS, stream, count,
                                              (const From *)from->data, (To *)to->data)));
}

/* (pixels, narrow) from or to (pixels, wide), by element of `to`. */
template <typename T> __global__ void rearrange(size_t count, int channels_to, int channels_from, const T *from, T *to)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count)
        return;
    size_t pixel = i / channels_to;
    int c = (int)(i % channels_to);
    cuda_set(to, i, c < channels_from ? cuda_get(from, pixel * channels_from + c) : 0.0f);
}

void cuda_layout_pad(cudaStream_t stream, enum dtype dtype, size_t pixels, int channels, int padded, const void *from,
                     void *to)
{
    size_t count = pixels * (size_t)padded;
    CUDA_WITH_TYPE(
        dtype, T,
        CUDA_LAUNCH(rearrange, cuda_blocks(count), CUDA_THREADS, stream, count, padded, channels, (const T *)from, (T *)to));
}

void cuda_layout_unpad(cudaStream_t stream, enum dtype dtype, size_t pixels, int channels, int padded, const void *from,
                       void *to)
{
    size_t count = pixels * (size_t)channels;
    CUDA_WITH_TYPE(
        dtype, T,
        CUDA_LAUNCH(rearrange, cuda_blocks(count), CUDA_THREADS, stream, count, channels, padded, (const T *)from, (T *)to));
}

template <typename T>
__global__ void pack_weights(struct cuda_weights_shape shape, const float *weights, const float *scale, T *packed)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)shape.padded_out * shape.taps * shape.padded_in)
        return;
    int in = (int)(i % shape.padded_in), tap = (int)(i / shape.padded_in % shape.taps),
        out = (int)(i / ((size_t)shape.padded_in * shape.taps));
    float value = 0;
    if (in < shape.channels_in && out < shape.channels_out)
        value = weights[((size_t)out * shape.taps + tap) * shape.channels_in + in] * (scale ? scale[out] : 1.0f);
    cuda_set(packed, i, value);
}

void cuda_layout_pack_weights(cudaStream_t stream, enum dtype dtype, const struct cuda_weights_shape *shape,
                              const float *weights, const float *scale, void *packed)
{
    size_t count = (size_t)shape->padded_out * (size_t)shape->taps * (size_t)shape->padded_in;
    CUDA_WITH_TYPE(dtype, T,
                   CUDA_LAUNCH(pack_weights, cuda_blocks(count), CUDA_THREADS, stream, *shape, weights, scale, (T *)packed));
}

template <typename T> __global__ void unpack_gradient(struct cuda_weights_shape shape, const T *packed, float *gradient)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)shape.channels_out * shape.taps * shape.channels_in)
        return;
    int in = (int)(i % shape.channels_in), tap = (int)(i / shape.channels_in % shape.taps),
        out = (int)(i / ((size_t)shape.channels_in * shape.taps));
    gradient[i] = cuda_get(packed, ((size_t)out * shape.taps + tap) * shape.padded_in + in);
}

void cuda_layout_unpack_gradient(cudaStream_t stream, enum dtype dtype, const struct cuda_weights_shape *shape,
                                 const void *packed, float *gradient)
{
    size_t count = (size_t)shape->channels_out * (size_t)shape->taps * (size_t)shape->channels_in;
    CUDA_WITH_TYPE(
        dtype, T,
        CUDA_LAUNCH(unpack_gradient, cuda_blocks(count), CUDA_THREADS, stream, *shape, (const T *)packed, gradient));
}

template <typename T, typename Out> __global__ void finish(struct cuda_epilogue epilogue, const T *sums, Out *y)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= epilogue.pixels * (size_t)epilogue.channels)
        return;
    size_t pixel = i / epilogue.channels;
    int c = (int)(i % epilogue.channels);
    float value = cuda_get(sums, pixel * epilogue.padded + c);
    if (epilogue.bias)
        value += epilogue.bias[c];
    if (epilogue.accumulate)
        value += cuda_get((const Out *)y, i);
    if (epilogue.relu)
        value = fmaxf(value, 0.0f);
    cuda_set(y, i, value);
}

void cuda_layout_finish(cudaStream_t stream, const struct cuda_epilogue *epilogue, void *y)
{
    size_t count = epilogue->pixels * (size_t)epilogue->channels;
    CUDA_WITH_TYPE(epilogue->dtype, T,
                   CUDA_WITH_TYPE(epilogue->dtype_out, Out,
                                  CUDA_LAUNCH(finish, cuda_blocks(count), CUDA_THREADS, stream, *epilogue,
                                              (const T *)epilogue->sums, (Out *)y)));
}

/* Each block sums a range of pixels, channel by channel; then one thread a channel adds the blocks' sums in order. */
template <typename T> __global__ void sum_range(size_t pixels, int channels, const T *x, double *partial)
{
    size_t first = pixels * blockIdx.x / gridDim.x, end = pixels * (blockIdx.x + 1) / gridDim.x;
    for (int c = (int)threadIdx.x; c < channels; c += (int)blockDim.x) {
        double sum = 0;
        for (size_t p = first; p < end; p++)
            sum += (double)cuda_get(x, p * channels + c);
        partial[(size_t)blockIdx.x * channels + c] = sum;
    }
}

__global__ void sum_partials(int blocks, int channels, const double *partial, float *sums)
{
    int c = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (c >= channels)
        return;
    double sum = 0;
    for (int b = 0; b < blocks; b++)
        sum += partial[(size_t)b * channels + c];
    sums[c] = (float)sum;
}

void cuda_layout_sum_pixels(cudaStream_t stream, enum dtype dtype, size_t pixels, int channels, const void *x,
                            double *scratch, float *sums)
{
    CUDA_WITH_TYPE(
        dtype, T, CUDA_LAUNCH(sum_range, CUDA_REDUCE_BLOCKS, CUDA_THREADS, stream, pixels, channels, (const T *)x, scratch));
    CUDA_LAUNCH(sum_partials, cuda_blocks((size_t)channels), CUDA_THREADS, stream, CUDA_REDUCE_BLOCKS, channels, scratch,
                sums);
}

/* i: an element of the fine tensor; the coarse element above it. */
__device__ inline size_t coarse_index(size_t i, int width_fine, int channels)
{
    size_t c = i % channels, pixel = i / channels, j = pixel % width_fine, row = pixel / width_fine;
    return (row / 2 * (width_fine / 2) + j / 2) * channels + c;
}

template <typename T> __global__ void upsample_add(size_t count, int width_fine, int channels, const T *coarse, T *fine)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count)
        cuda_set(fine, i, cuda_get(fine, i) + cuda_get(coarse, coarse_index(i, width_fine, channels)));
}

void cuda_layout_upsample_add(cudaStream_t stream, const struct tensor *coarse, const struct tensor *fine)
{
    size_t count = tensor_count(fine);
    CUDA_WITH_TYPE(fine->dtype, T,
                   CUDA_LAUNCH(upsample_add, cuda_blocks(count), CUDA_THREADS, stream, count, fine->w, fine->c,
                               (const T *)coarse->data, (T *)fine->data));
}

template <typename T>
__global__ void upsample_backward(size_t count, int width_coarse, int channels, const T *dfine, T *dcoarse)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count)
        return;
    size_t c = i % channels, pixel = i / channels, j = pixel % width_coarse, row = pixel / width_coarse;
    size_t width = 2 * (size_t)width_coarse, above = (row * 2 * width + 2 * j) * channels + c,
           below = above + width * channels;
    cuda_set(dcoarse, i,
             cuda_get(dfine, above) + cuda_get(dfine, above + channels) + cuda_get(dfine, below) +
                 cuda_get(dfine, below + channels));
}

void cuda_layout_upsample_backward(cudaStream_t stream, const struct tensor *dfine, const struct tensor *dcoarse)
{
    size_t count = tensor_count(dcoarse);
    CUDA_WITH_TYPE(dfine->dtype, T,
                   CUDA_LAUNCH(upsample_backward, cuda_blocks(count), CUDA_THREADS, stream, count, dcoarse->w, dcoarse->c,
                               (const T *)dfine->data, (T *)dcoarse->data));
}
