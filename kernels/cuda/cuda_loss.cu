/* The detection loss and its gradient, formula by formula as in the README of kernels/device.
 *
 * A first kernel sums what the terms are divided by (peaks, weights of boxes and rays), a second computes terms and
 * gradients.  Both leave one partial sum a block and term, which a kernel of one block adds up.
 *
 *     scratch: sums of the first (3), then partial sums of either (3 a block)
 */
#include "cuda_values.cuh"

#define HEAT_CLAMP       1e-4f
#define DISTANCE_UNIT    4.0f /* px: d = 4 exp(z) */
#define EXPONENT_MIN     -4.0f
#define EXPONENT_MAX     6.0f
#define PEAK_THRESHOLD   0.999f
#define BOX_FACTOR       2.0f /* total = heat + 2 box + rays */
#define RAY_LOG_FACTOR   0.2f
#define RAY_TARGET_FLOOR 0.1f /* px */

enum { TERM_HEAT, TERM_BOX, TERM_RAYS, TERMS };

__device__ inline void leave_sums(double *partial, double heat, double box, double rays)
{
    double sums[TERMS] = {cuda_block_sum(heat), cuda_block_sum(box), cuda_block_sum(rays)};
    if (threadIdx.x == 0)
        for (int term = 0; term < TERMS; term++)
            partial[(size_t)blockIdx.x * TERMS + term] = sums[term];
}

__global__ void sum_divisors(struct detection_loss loss, size_t cells, double *partial)
{
    double peaks = 0, boxes = 0, rays = 0;
    size_t step = (size_t)gridDim.x * blockDim.x, first = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    for (size_t i = first; i < cells * loss.heat.c; i += step)
        peaks += loss.heat_target[i] > PEAK_THRESHOLD ? 1.0 : 0.0;
    for (size_t cell = first; cell < cells; cell += step) {
        boxes += (double)loss.box_weight[cell];
        if (loss.rays.data)
            rays += (double)loss.ray_weight[cell];
    }
    leave_sums(partial, peaks, boxes, rays);
}

/* One block. */
__global__ void add_partials(int blocks, const double *partial, double *sums)
{
    for (int term = 0; term < TERMS; term++) {
        double sum = 0;
        for (int b = (int)threadIdx.x; b < blocks; b += CUDA_THREADS)
            sum += partial[(size_t)b * TERMS + term];
        sum = cuda_block_sum(sum);
        if (threadIdx.x == 0)
            sums[term] = sum;
    }
}

template <typename T> __device__ static double heat_value(const struct detection_loss &loss, size_t i, float unit)
{
    float x = ((const float *)loss.heat.data)[i], t = loss.heat_target[i];
    float p = fminf(fmaxf(1 / (1 + expf(-x)), HEAT_CLAMP), 1 - HEAT_CLAMP), value, gradient;
    if (t > PEAK_THRESHOLD) {
        value = -(1 - p) * (1 - p) * logf(p);
        gradient = (1 - p) * (1 - p) * (2 * p * logf(p) - (1 - p));
    } else {
        float far = (1 - t) * (1 - t) * (1 - t) * (1 - t);
        value = -far * p * p * log1pf(-p);
        gradient = far * p * p * (p - 2 * (1 - p) * log1pf(-p));
    }
    cuda_set((T *)loss.dheat.data, i, gradient * unit);
    return (double)value * (double)unit;
}

__device__ inline float distance(const void *logits, size_t i)
{
    return DISTANCE_UNIT * expf(fminf(fmaxf(((const float *)logits)[i], EXPONENT_MIN), EXPONENT_MAX));
}

template <typename T> __device__ static double box_value(const struct detection_loss &loss, size_t cell, double weights)
{
    T *to = (T *)loss.dbox.data;
    if (!(loss.box_weight[cell] > 0)) {
        for (int k = 0; k < 4; k++)
            cuda_set(to, cell * 4 + k, 0.0f);
        return 0;
    }
    float share = (float)((double)loss.box_weight[cell] / weights), d[4], target[4], inner[4];
    for (int k = 0; k < 4; k++) {
        d[k] = distance(loss.box.data, cell * 4 + k);
        target[k] = loss.box_target[cell * 4 + k];
        inner[k] = fminf(d[k], target[k]);
    }
    float intersection = (inner[0] + inner[2]) * (inner[1] + inner[3]);
    float together = (d[0] + d[2]) * (d[1] + d[3]) + (target[0] + target[2]) * (target[1] + target[3]) - intersection;
    for (int k = 0; k < 4; k++) {
        int side = (k + 1) % 4, opposite = (k + 3) % 4; /* the two distances of the other axis */
        float dI = d[k] < target[k] ? inner[side] + inner[opposite] : 0, dU = d[side] + d[opposite] - dI;
        cuda_set(to, cell * 4 + k, BOX_FACTOR * share * d[k] * (-dI / (intersection + 1) + dU / (together + 1)));
    }
    return -(double)share * log(((double)intersection + 1) / ((double)together + 1));
}

template <typename T> __device__ static double ray_value(const struct detection_loss &loss, size_t cell, double weights)
{
    T *to = (T *)loss.drays.data;
    size_t first = cell * loss.rays.c, end = first + loss.rays.c;
    if (!(loss.ray_weight[cell] > 0)) {
        for (size_t k = first; k < end; k++)
            cuda_set(to, k, 0.0f);
        return 0;
    }
    float share = (float)((double)loss.ray_weight[cell] / weights), largest = 0, smallest = 0, logs = 0;
    for (size_t k = first; k < end; k++) {
        float d = distance(loss.rays.data, k), target = fmaxf(loss.ray_target[k], RAY_TARGET_FLOOR);
        largest += fmaxf(d, target);
        smallest += fminf(d, target);
        logs += fabsf(logf(d) - logf(target));
    }
    for (size_t k = first; k < end; k++) {
        float d = distance(loss.rays.data, k), target = fmaxf(loss.ray_target[k], RAY_TARGET_FLOOR);
        float gradient = d >= target ? d / largest : -d / smallest, sign = d > target ? 1 : d < target ? -1 : 0;
        cuda_set(to, k, share * (gradient + RAY_LOG_FACTOR * sign / (float)loss.rays.c));
    }
    return (double)share * (log((double)largest / (double)smallest) + (double)(RAY_LOG_FACTOR * logs / (float)loss.rays.c));
}

template <typename T>
__global__ void terms(struct detection_loss loss, size_t cells, const double *divisors, double *partial)
{
    double heat = 0, box = 0, rays = 0;
    float unit = 1.0f / (float)(divisors[TERM_HEAT] > 0 ? divisors[TERM_HEAT] : 1.0);
    size_t step = (size_t)gridDim.x * blockDim.x, first = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    for (size_t i = first; i < cells * loss.heat.c; i += step)
        heat += heat_value<T>(loss, i, unit);
    for (size_t cell = first; cell < cells; cell += step) {
        box += box_value<T>(loss, cell, divisors[TERM_BOX]);
        if (loss.rays.data)
            rays += ray_value<T>(loss, cell, divisors[TERM_RAYS]);
    }
    leave_sums(partial, heat, box, rays);
}

void cuda_loss_detection(cudaStream_t stream, const struct detection_loss *loss, double *scratch)
{
    size_t cells = tensor_pixels(&loss->heat);
    double *divisors = scratch, *partial = scratch + TERMS;
    CUDA_LAUNCH(sum_divisors, CUDA_REDUCE_BLOCKS, CUDA_THREADS, stream, *loss, cells, partial);
    CUDA_LAUNCH(add_partials, 1, CUDA_THREADS, stream, CUDA_REDUCE_BLOCKS, partial, divisors);
    CUDA_WITH_TYPE(loss->dheat.dtype, T,
                   CUDA_LAUNCH(terms<T>, CUDA_REDUCE_BLOCKS, CUDA_THREADS, stream, *loss, cells, divisors, partial));
    CUDA_LAUNCH(add_partials, 1, CUDA_THREADS, stream, CUDA_REDUCE_BLOCKS, partial, loss->terms);
}
