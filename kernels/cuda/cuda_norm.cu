/* Batch normalisation with what surrounds it in a residual block: formulas in kernels/ref/ref_norm.c.
 *
 * Every pass runs at the speed of memory: a thread takes eight neighbouring channels at a time (16 bytes of bf16), the same
 * ones for all of its pixels, whose parameters it so reads once.
 *
 * Statistics: each of CUDA_REDUCE_BLOCKS blocks takes a range of pixels; a block's threads are (eight channels, lane) pairs,
 * each lane every n-th pixel; lanes are added up in shared memory, blocks by a second kernel, all in a fixed order; sums are
 * f32 over SUM_RUN pixels, else f64. Forward takes one pass over x for sums of x and of (x - shift)^2, where shift is x of
 * the first pixel, so that nothing cancels, then one to write y.  Backward: one pass that masks and adds the gradients and
 * sums them, one for dx.
 */
#include "cuda_values.cuh"

#define SUM_RUN     4  /* pixels summed in f32 */
#define FINAL_LANES 32 /* of the kernels that add up blocks' sums */
#define FINAL_WIDTH (CUDA_THREADS / FINAL_LANES)

/* Two sums a channel of a block's threads: lane by lane for (eights of channels, lanes).  Threads [0, channels) write them.
 */
__device__ static void leave_sums(int channels, int lanes, const double a[CUDA_WIDTH], const double b[CUDA_WIDTH],
                                  double *partial)
{
    __shared__ double first[CUDA_WIDTH][CUDA_THREADS], second[CUDA_WIDTH][CUDA_THREADS];
    for (int k = 0; k < CUDA_WIDTH; k++) {
        first[k][threadIdx.x] = a[k];
        second[k][threadIdx.x] = b[k];
    }
    __syncthreads();
    int eights = channels / CUDA_WIDTH;
    for (int c = (int)threadIdx.x; c < channels; c += CUDA_THREADS) {
        double sum_a = 0, sum_b = 0;
        for (int lane = 0; lane < lanes; lane++) {
            sum_a += first[c % CUDA_WIDTH][lane * eights + c / CUDA_WIDTH];
            sum_b += second[c % CUDA_WIDTH][lane * eights + c / CUDA_WIDTH];
        }
        partial[((size_t)blockIdx.x * 2 + 0) * channels + c] = sum_a;
        partial[((size_t)blockIdx.x * 2 + 1) * channels + c] = sum_b;
    }
}

/* The two sums over blocks of channel c, for the threads of lane 0; blocks of FINAL_WIDTH channels x FINAL_LANES. */
__device__ static void add_blocks(int blocks, int channels, int c, int lane, const double *partial, double sums[2])
{
    __shared__ double shared[2][CUDA_THREADS];
    sums[0] = sums[1] = 0;
    for (int b = lane; c < channels && b < blocks; b += FINAL_LANES) {
        sums[0] += partial[((size_t)b * 2 + 0) * channels + c];
        sums[1] += partial[((size_t)b * 2 + 1) * channels + c];
    }
    shared[0][threadIdx.x] = sums[0];
    shared[1][threadIdx.x] = sums[1];
    __syncthreads();
    if (lane == 0)
        for (int l = 1; l < FINAL_LANES; l++) {
            sums[0] += shared[0][threadIdx.x + l * FINAL_WIDTH];
            sums[1] += shared[1][threadIdx.x + l * FINAL_WIDTH];
        }
}

static inline unsigned final_blocks(int channels)
{
    return (unsigned)((channels + FINAL_WIDTH - 1) / FINAL_WIDTH);
}

/* partial: (block, 2, channels). */
template <typename T> __global__ void sums(size_t pixels, int channels, const T *x, double *partial)
{
    size_t first = pixels * blockIdx.x / gridDim.x, end = pixels * (blockIdx.x + 1) / gridDim.x;
    int eights = channels / CUDA_WIDTH, lanes = CUDA_THREADS / eights;
    int c = (int)threadIdx.x % eights * CUDA_WIDTH, lane = (int)threadIdx.x / eights;
    double sum[CUDA_WIDTH] = {0}, squares[CUDA_WIDTH] = {0};
    const struct cuda_eight shift = cuda_get_eight(x, (size_t)c);
    for (size_t p = first + lane; lane < lanes && p < end;) {
        float run[CUDA_WIDTH] = {0}, run_squares[CUDA_WIDTH] = {0};
#pragma unroll
        for (int n = 0; n < SUM_RUN; n++, p += lanes)
            if (p < end) {
                const struct cuda_eight value = cuda_get_eight(x, p * channels + c);
                for (int k = 0; k < CUDA_WIDTH; k++) {
                    float distance = value.of[k] - shift.of[k];
                    run[k] += distance;
                    run_squares[k] += distance * distance;
                }
            }
        for (int k = 0; k < CUDA_WIDTH; k++) {
            sum[k] += (double)run[k];
            squares[k] += (double)run_squares[k];
        }
    }
    leave_sums(channels, lanes, sum, squares, partial);
}

template <typename T>
__global__ void statistics(size_t pixels, int channels, int blocks, const T *x, const double *partial, float *running_mean,
                           float *running_variance, float *mean_out, float *inverse_deviation)
{
    int c = (int)(blockIdx.x * FINAL_WIDTH + threadIdx.x % FINAL_WIDTH), lane = (int)threadIdx.x / FINAL_WIDTH;
    double found[2];
    add_blocks(blocks, channels, c, lane, partial, found);
    if (lane > 0 || c >= channels)
        return;
    double offset = found[0] / (double)pixels, mean = (double)cuda_get(x, (size_t)c) + offset;
    double variance = fmax(found[1] / (double)pixels - offset * offset, 0.0);
    double unbiased = pixels > 1 ? variance * (double)pixels / (double)(pixels - 1) : variance;
    running_mean[c] += NORM_MOMENTUM * ((float)mean - running_mean[c]);
    running_variance[c] += NORM_MOMENTUM * ((float)unbiased - running_variance[c]);
    mean_out[c] = (float)mean;
    inverse_deviation[c] = (float)(1 / sqrt(variance + (double)NORM_EPSILON));
}

/* A thread's first eight elements, and how far it is to its next ones, which are the same channels of a later pixel; what is
 * left of the grid has nothing to do. */
__device__ static inline bool loop_over_eights(int channels, size_t *first, size_t *step)
{
    size_t threads = (size_t)gridDim.x * blockDim.x, eights = (size_t)channels / CUDA_WIDTH;
    size_t thread = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    *first = thread * CUDA_WIDTH;
    *step = threads / eights * eights * CUDA_WIDTH;
    return thread * CUDA_WIDTH < *step;
}

template <typename T>
__global__ void normalize(size_t count, int channels, const T *x, const T *residual, bool relu, const float *mean,
                          const float *inverse_deviation, const float *gamma, const float *beta, T *y)
{
    size_t first, step;
    if (!loop_over_eights(channels, &first, &step))
        return;
    size_t c = first % channels;
    const struct cuda_eight m = cuda_get_eight(mean, c), inverse = cuda_get_eight(inverse_deviation, c),
                            g = cuda_get_eight(gamma, c), b = cuda_get_eight(beta, c);
    for (size_t i = first; i < count; i += step) {
        struct cuda_eight value = cuda_get_eight(x, i), more = {{0}};
        if (residual)
            more = cuda_get_eight(residual, i);
        for (int k = 0; k < CUDA_WIDTH; k++) {
            value.of[k] = (value.of[k] - m.of[k]) * inverse.of[k] * g.of[k] + b.of[k] + more.of[k];
            value.of[k] = relu ? fmaxf(value.of[k], 0.0f) : value.of[k];
        }
        cuda_set_eight(y, i, value);
    }
}

template <typename T> static void forward(cudaStream_t stream, const struct norm_forward *norm, double *scratch)
{
    size_t pixels = tensor_pixels(&norm->x), count = tensor_count(&norm->x);
    int channels = norm->x.c;
    const T *x = (const T *)norm->x.data, *residual = norm->residual ? (const T *)norm->residual->data : (const T *)NULL;
    CUDA_LAUNCH(sums, CUDA_REDUCE_BLOCKS, CUDA_THREADS, stream, pixels, channels, x, scratch);
    CUDA_LAUNCH(statistics, final_blocks(channels), CUDA_THREADS, stream, pixels, channels, CUDA_REDUCE_BLOCKS, x, scratch,
                norm->running_mean, norm->running_variance, norm->mean, norm->inverse_deviation);
    CUDA_LAUNCH(normalize, cuda_loop_blocks(count / CUDA_WIDTH), CUDA_THREADS, stream, count, channels, x, residual,
                norm->relu, norm->mean, norm->inverse_deviation, norm->gamma, norm->beta, (T *)norm->y.data);
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
__global__ void mask_and_sum(size_t pixels, int channels, struct backward_inputs<T> in, double *partial)
{
    size_t first = pixels * blockIdx.x / gridDim.x, end = pixels * (blockIdx.x + 1) / gridDim.x;
    int eights = channels / CUDA_WIDTH, lanes = CUDA_THREADS / eights;
    int c = (int)threadIdx.x % eights * CUDA_WIDTH, lane = (int)threadIdx.x / eights;
    double dbeta[CUDA_WIDTH] = {0}, dgamma[CUDA_WIDTH] = {0};
    const struct cuda_eight mean = cuda_get_eight(in.mean, (size_t)c),
                            inverse = cuda_get_eight(in.inverse_deviation, (size_t)c);
    for (size_t p = first + lane; lane < lanes && p < end; p += lanes) {
        size_t i = p * channels + c;
        struct cuda_eight g = cuda_get_eight(in.gradients[0], i);
        const struct cuda_eight x = cuda_get_eight(in.x, i);
#pragma unroll
        for (int n = 1; n < GRADIENT_SUMMANDS_MAX; n++)
            if (n < in.gradient_count) {
                const struct cuda_eight more = cuda_get_eight(in.gradients[n], i);
                for (int k = 0; k < CUDA_WIDTH; k++)
                    g.of[k] += more.of[k];
            }
        if (in.relu) {
            const struct cuda_eight y = cuda_get_eight(in.y, i);
            for (int k = 0; k < CUDA_WIDTH; k++)
                g.of[k] = y.of[k] > 0 ? g.of[k] : 0;
        }
        if (in.relu || in.gradient_count > 1) {
            cuda_set_eight(in.gradients[0], i, g);
            g = cuda_get_eight(in.gradients[0], i); /* as rounded */
        }
        for (int k = 0; k < CUDA_WIDTH; k++) {
            dbeta[k] += (double)g.of[k];
            dgamma[k] += (double)(g.of[k] * ((x.of[k] - mean.of[k]) * inverse.of[k]));
        }
    }
    leave_sums(channels, lanes, dbeta, dgamma, partial);
}

__global__ void parameter_gradients(int channels, int blocks, const double *partial, float *dgamma, float *dbeta)
{
    int c = (int)(blockIdx.x * FINAL_WIDTH + threadIdx.x % FINAL_WIDTH), lane = (int)threadIdx.x / FINAL_WIDTH;
    double found[2];
    add_blocks(blocks, channels, c, lane, partial, found);
    if (lane > 0 || c >= channels)
        return;
    dbeta[c] = (float)found[0];
    dgamma[c] = (float)found[1];
}

template <typename T>
__global__ void input_gradient(size_t count, int channels, float per_pixel, const T *x, const T *g, const float *mean,
                               const float *inverse_deviation, const float *gamma, const float *dgamma, const float *dbeta,
                               T *dx)
{
    size_t first, step;
    if (!loop_over_eights(channels, &first, &step))
        return;
    size_t c = first % channels;
    const struct cuda_eight m = cuda_get_eight(mean, c), inverse = cuda_get_eight(inverse_deviation, c),
                            factor = cuda_get_eight(gamma, c), along = cuda_get_eight(dgamma, c),
                            all = cuda_get_eight(dbeta, c);
    for (size_t i = first; i < count; i += step) {
        const struct cuda_eight value = cuda_get_eight(x, i), gradient = cuda_get_eight(g, i);
        struct cuda_eight out;
        for (int k = 0; k < CUDA_WIDTH; k++) {
            float h = (value.of[k] - m.of[k]) * inverse.of[k];
            out.of[k] =
                factor.of[k] * inverse.of[k] * (gradient.of[k] - all.of[k] * per_pixel - h * along.of[k] * per_pixel);
        }
        cuda_set_eight(dx, i, out);
    }
}

template <typename T> static void backward(cudaStream_t stream, const struct norm_backward *norm, double *scratch)
{
    size_t pixels = tensor_pixels(&norm->x), count = tensor_count(&norm->x);
    int channels = norm->x.c;
    struct backward_inputs<T> in = {
        (const T *)norm->x.data, (const T *)norm->y.data,
            {NULL}, norm->gradient_count, norm->relu, norm->mean, norm->inverse_deviation
    };
    for (int k = 0; k < norm->gradient_count; k++)
        in.gradients[k] = (T *)norm->gradients[k].data;
    CUDA_LAUNCH(mask_and_sum, CUDA_REDUCE_BLOCKS, CUDA_THREADS, stream, pixels, channels, in, scratch);
    CUDA_LAUNCH(parameter_gradients, final_blocks(channels), CUDA_THREADS, stream, channels, CUDA_REDUCE_BLOCKS, scratch,
                norm->dgamma, norm->dbeta);
    CUDA_LAUNCH(input_gradient, cuda_loop_blocks(count / CUDA_WIDTH), CUDA_THREADS, stream, count, channels,
                1.0f / (float)pixels, in.x, (const T *)in.gradients[0], norm->mean, norm->inverse_deviation, norm->gamma,
                norm->dgamma, norm->dbeta, (T *)norm->dx.data);
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
    CUDA_LAUNCH(fold, cuda_blocks((size_t)channels), CUDA_THREADS, stream, channels, gamma, beta, running_mean,
                running_variance, scale, shift);
}
