/* Batch normalisation with what surrounds it in a residual block: formulas in kernels/ref/ref_norm.c.
 *
 * Statistics: each of CUDA_REDUCE_BLOCKS blocks takes a range of pixels; a block's threads are (channel, lane) pairs, each
 * lane every n-th pixel; lanes are added up in shared memory, blocks by a second kernel, all in a fixed order and in double.
 * Forward takes two passes over x (sums of x and of (x - shift)^2 in one, where shift is x of the first pixel, so that
 * nothing cancels), then one to write y.  Backward: one pass that masks and adds the gradients and sums them, one for dx.
 */
#include "cuda_values.cuh"

#define NORM_LANES_MAX 16

/* Channels of one group of a block's threads, and lanes. */
static inline int lanes_for(int channels)
{
    int lanes = CUDA_THREADS / channels;
    return lanes < 1 ? 1 : lanes > NORM_LANES_MAX ? NORM_LANES_MAX : lanes;
}

/* Adds up two values over the lanes of each channel; lane 0 has the sums. */
__device__ static void add_lanes(int lanes, int width, int lane, int slot, double &a, double &b)
{
    __shared__ double first[CUDA_THREADS], second[CUDA_THREADS];
    first[threadIdx.x] = a;
    second[threadIdx.x] = b;
    __syncthreads();
    if (lane == 0)
        for (int l = 1; l < lanes; l++) {
            a += first[l * width + slot];
            b += second[l * width + slot];
        }
    __syncthreads();
}

/* partial: (block, 2, channels). */
template <typename T> __global__ void sums(size_t pixels, int channels, int lanes, const T *x, double *partial)
{
    size_t first = pixels * blockIdx.x / gridDim.x, end = pixels * (blockIdx.x + 1) / gridDim.x;
    int width = (int)blockDim.x / lanes, slot = (int)threadIdx.x % width, lane = (int)threadIdx.x / width;
    for (int begin = 0; begin < channels; begin += width) {
        int c = begin + slot;
        double sum = 0, squares = 0;
        if (c < channels && lane < lanes) {
            float shift = cuda_get(x, (size_t)c);
            for (size_t p = first + lane; p < end; p += lanes) {
                float distance = cuda_get(x, p * channels + c) - shift;
                sum += (double)distance;
                squares += (double)distance * (double)distance;
            }
        }
        add_lanes(lanes, width, lane, slot, sum, squares);
        if (c < channels && lane == 0) {
            partial[((size_t)blockIdx.x * 2 + 0) * channels + c] = sum;
            partial[((size_t)blockIdx.x * 2 + 1) * channels + c] = squares;
        }
    }
}

template <typename T>
__global__ void statistics(size_t pixels, int channels, int blocks, const T *x, const double *partial, float *running_mean,
                           float *running_variance, float *mean_out, float *inverse_deviation)
{
    int c = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (c >= channels)
        return;
    double sum = 0, squares = 0;
    for (int b = 0; b < blocks; b++) {
        sum += partial[((size_t)b * 2 + 0) * channels + c];
        squares += partial[((size_t)b * 2 + 1) * channels + c];
    }
    double offset = sum / (double)pixels, mean = (double)cuda_get(x, (size_t)c) + offset;
    double variance = fmax(squares / (double)pixels - offset * offset, 0.0);
    double unbiased = pixels > 1 ? variance * (double)pixels / (double)(pixels - 1) : variance;
    running_mean[c] += NORM_MOMENTUM * ((float)mean - running_mean[c]);
    running_variance[c] += NORM_MOMENTUM * ((float)unbiased - running_variance[c]);
    mean_out[c] = (float)mean;
    inverse_deviation[c] = (float)(1 / sqrt(variance + (double)NORM_EPSILON));
}

template <typename T>
__global__ void normalize(size_t count, int channels, const T *x, const T *residual, bool relu, const float *mean,
                          const float *inverse_deviation, const float *gamma, const float *beta, T *y)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count)
        return;
    int c = (int)(i % channels);
    float value = (cuda_get(x, i) - mean[c]) * inverse_deviation[c] * gamma[c] + beta[c];
    if (residual)
        value += cuda_get(residual, i);
    cuda_set(y, i, relu ? fmaxf(value, 0.0f) : value);
}

template <typename T> static void forward(cudaStream_t stream, const struct norm_forward *norm, double *scratch)
{
    size_t pixels = tensor_pixels(&norm->x), count = tensor_count(&norm->x);
    int channels = norm->x.c;
    const T *x = (const T *)norm->x.data;
    CUDA_LAUNCH(sums, CUDA_REDUCE_BLOCKS, CUDA_THREADS, stream, pixels, channels, lanes_for(channels), x, scratch);
    CUDA_LAUNCH(statistics, cuda_blocks((size_t)channels), CUDA_THREADS, stream, pixels, channels, CUDA_REDUCE_BLOCKS, x, scratch,
                                                                         norm->running_mean, norm->running_variance,
                                                                         norm->mean, norm->inverse_deviation);
    CUDA_LAUNCH(normalize, cuda_blocks(count), CUDA_THREADS, stream, count, channels, x, norm->residual ? (const T *)norm->residual->data : (const T *)NULL, norm->relu, norm->mean,
        norm->inverse_deviation, norm->gamma, norm->beta, (T *)norm->y.data);
}

void cuda_norm_forward(cudaStream_t stream, const struct norm_forward *norm, double *scratch)
{
    CUDA_WITH_TYPE(norm->x.dtype, T, forward<T>(stream, norm, scratch));
}

template <typename T> struct backward_inputs {
    const T *x, *y;
    T *gradients[GRADIENT_SUMMANDS_MAX];
    int gradient_count;
    bool relu;
    const float *mean, *inverse_deviation;
};

/* The masked sum of the gradients goes into gradients[0]; its sums, alone and times the normalised x, into partial. */
template <typename T>
__global__ void mask_and_sum(size_t pixels, int channels, int lanes, struct backward_inputs<T> in, double *partial)
{
    size_t first = pixels * blockIdx.x / gridDim.x, end = pixels * (blockIdx.x + 1) / gridDim.x;
    int width = (int)blockDim.x / lanes, slot = (int)threadIdx.x % width, lane = (int)threadIdx.x / width;
    for (int begin = 0; begin < channels; begin += width) {
        int c = begin + slot;
        double dbeta = 0, dgamma = 0;
        if (c < channels && lane < lanes) {
            float mean = in.mean[c], inverse = in.inverse_deviation[c];
            for (size_t p = first + lane; p < end; p += lanes) {
                size_t i = p * channels + c;
                float g = 0;
                for (int k = 0; k < in.gradient_count; k++)
                    g += cuda_get(in.gradients[k], i);
                if (in.relu && !(cuda_get(in.y, i) > 0))
                    g = 0;
                cuda_set(in.gradients[0], i, g);
                g = cuda_get(in.gradients[0], i);
                dbeta += (double)g;
                dgamma += (double)g * (double)((cuda_get(in.x, i) - mean) * inverse);
            }
        }
        add_lanes(lanes, width, lane, slot, dbeta, dgamma);
        if (c < channels && lane == 0) {
            partial[((size_t)blockIdx.x * 2 + 0) * channels + c] = dbeta;
            partial[((size_t)blockIdx.x * 2 + 1) * channels + c] = dgamma;
        }
    }
}

__global__ void parameter_gradients(int channels, int blocks, const double *partial, float *dgamma, float *dbeta)
{
    int c = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (c >= channels)
        return;
    double beta = 0, gamma = 0;
    for (int b = 0; b < blocks; b++) {
        beta += partial[((size_t)b * 2 + 0) * channels + c];
        gamma += partial[((size_t)b * 2 + 1) * channels + c];
    }
    dbeta[c] = (float)beta;
    dgamma[c] = (float)gamma;
}

template <typename T>
__global__ void input_gradient(size_t count, int channels, float per_pixel, const T *x, const T *g, const float *mean,
                               const float *inverse_deviation, const float *gamma, const float *dgamma, const float *dbeta,
                               T *dx)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count)
        return;
    int c = (int)(i % channels);
    float h = (cuda_get(x, i) - mean[c]) * inverse_deviation[c];
    cuda_set(dx, i,
             gamma[c] * inverse_deviation[c] * (cuda_get(g, i) - dbeta[c] * per_pixel - h * dgamma[c] * per_pixel));
}

template <typename T> static void backward(cudaStream_t stream, const struct norm_backward *norm, double *scratch)
{
    size_t pixels = tensor_pixels(&norm->x), count = tensor_count(&norm->x);
    int channels = norm->x.c;
    struct backward_inputs<T> in = {(const T *)norm->x.data, (const T *)norm->y.data, {NULL}, norm->gradient_count, norm->relu,
                                    norm->mean, norm->inverse_deviation};
    for (int k = 0; k < norm->gradient_count; k++)
        in.gradients[k] = (T *)norm->gradients[k].data;
    CUDA_LAUNCH(mask_and_sum, CUDA_REDUCE_BLOCKS, CUDA_THREADS, stream, pixels, channels, lanes_for(channels), in, scratch);
    CUDA_LAUNCH(parameter_gradients, cuda_blocks((size_t)channels), CUDA_THREADS, stream, channels, CUDA_REDUCE_BLOCKS, scratch,
                                                                                  norm->dgamma, norm->dbeta);
    CUDA_LAUNCH(input_gradient, cuda_blocks(count), CUDA_THREADS, stream, count, channels, 1.0f / (float)pixels, in.x, (const T *)in.gradients[0], norm->mean, norm->inverse_deviation,
        norm->gamma, norm->dgamma, norm->dbeta, (T *)norm->dx.data);
}

void cuda_norm_backward(cudaStream_t stream, const struct norm_backward *norm, double *scratch)
{
    CUDA_WITH_TYPE(norm->x.dtype, T, backward<T>(stream, norm, scratch));
}

__global__ void fold(int channels, const float *gamma, const float *beta, const float *running_mean,
                     const float *running_variance, float *scale, float *shift)
{
    int c = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (c >= channels)
        return;
    double factor = (double)gamma[c] / sqrt((double)running_variance[c] + (double)NORM_EPSILON);
    scale[c] = (float)factor;
    shift[c] = (float)((double)beta[c] - (double)running_mean[c] * factor);
}

void cuda_norm_fold(cudaStream_t stream, int channels, const float *gamma, const float *beta, const float *running_mean,
                    const float *running_variance, float *scale, float *shift)
{
    CUDA_LAUNCH(fold, cuda_blocks((size_t)channels), CUDA_THREADS, stream, channels, gamma, beta, running_mean, running_variance,
                                                                   scale, shift);
}
