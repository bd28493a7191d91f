/* AdamW over the whole slab in one kernel, after the gradient's norm: formulas in kernels/ref/ref_optimizer.c.  The norm
 * stays on the device, where the second kernel reads it. */
#include "cuda_values.cuh"

__global__ void sum_squares(size_t count, const float *gradient, double *partial)
{
    double squares = 0;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (size_t)gridDim.x * blockDim.x)
        squares += (double)gradient[i] * (double)gradient[i];
    squares = cuda_block_sum(squares);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = squares;
}

/* One block. */
__global__ void finish_norm(int blocks, const double *partial, double *norm)
{
    double squares = 0;
    for (int b = (int)threadIdx.x; b < blocks; b += CUDA_THREADS)
        squares += partial[b];
    squares = cuda_block_sum(squares);
    if (threadIdx.x == 0)
        *norm = sqrt(squares);
}

__global__ void update(struct optimizer_step step)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    const struct optimizer_rates rates = *step.rates;
    double norm = *step.gradient_norm;
    if (i >= step.count || !isfinite(norm))
        return;
    if (i < step.trained) {
        double clip = rates.clip_norm > 0 && norm > (double)rates.clip_norm ? (double)rates.clip_norm / norm : 1;
        double g = (double)step.gradient[i] * clip, weight = (double)step.weights[i];
        double m = ADAM_BETA1 * (double)step.moment1[i] + (1 - ADAM_BETA1) * g;
        double v = ADAM_BETA2 * (double)step.moment2[i] + (1 - ADAM_BETA2) * g * g;
        if (i < step.decaying)
            weight -= (double)rates.lr * (double)rates.weight_decay * weight;
        weight -= (double)rates.lr * (m / rates.bias_correction1) / (sqrt(v / rates.bias_correction2) + ADAM_EPSILON);
        step.moment1[i] = (float)m;
        step.moment2[i] = (float)v;
        step.weights[i] = (float)weight;
    }
    double keep = (double)rates.average_decay;
    step.average[i] = (float)(keep * (double)step.average[i] + (1 - keep) * (double)step.weights[i]);
}

void cuda_optimizer_step(cudaStream_t stream, const struct optimizer_step *step, double *scratch)
{
    CUDA_LAUNCH(sum_squares, CUDA_REDUCE_BLOCKS, CUDA_THREADS, stream, step->trained, step->gradient, scratch);
    CUDA_LAUNCH(finish_norm, 1, CUDA_THREADS, stream, CUDA_REDUCE_BLOCKS, scratch, step->gradient_norm);
    CUDA_LAUNCH(update, cuda_blocks(step->count), CUDA_THREADS, stream, *step);
}
