/* Reading and writing elements of either type, and sums over a block in a fixed order. */
#ifndef CYTOFS_CUDA_VALUES_CUH
#define CYTOFS_CUDA_VALUES_CUH

#include <cuda_bf16.h>

#include "cuda_kernels.h"

#define CUDA_THREADS 256

template <typename T> __device__ inline float cuda_get(const T *values, size_t i);
template <> __device__ inline float cuda_get(const float *values, size_t i)
{
    return values[i];
}
template <> __device__ inline float cuda_get(const __nv_bfloat16 *values, size_t i)
{
    return __bfloat162float(values[i]);
}

__device__ inline void cuda_set(float *values, size_t i, float value)
{
    values[i] = value;
}
__device__ inline void cuda_set(__nv_bfloat16 *values, size_t i, float value)
{
    values[i] = __float2bfloat16_rn(value);
}

/* The sum over the block's threads, for thread 0.  blockDim.x is CUDA_THREADS. */
__device__ inline double cuda_block_sum(double value)
{
    __shared__ double shared[CUDA_THREADS];
    shared[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = CUDA_THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            shared[threadIdx.x] += shared[threadIdx.x + half];
        __syncthreads();
    }
    double sum = shared[0];
    __syncthreads();
    return sum;
}

static inline unsigned cuda_blocks(size_t items)
{
    size_t blocks = (items + CUDA_THREADS - 1) / CUDA_THREADS;
    return (unsigned)(blocks < 1 ? 1 : blocks > 1u << 30 ? 1u << 30 : blocks);
}

/* Queues a kernel: name, blocks, threads a block, stream, arguments.  The tests compile the same files for the host, where
 * cuda_host.h runs the kernels. */
#ifdef __CUDACC__
#define CUDA_LAUNCH(kernel, blocks, threads, stream, ...) kernel<<<(blocks), (threads), 0, (stream)>>>(__VA_ARGS__)
#endif

/* Calls the statement with T the element type of dtype. */
#define CUDA_WITH_TYPE(dtype, T, ...)                                                                                  \
    do {                                                                                                               \
        if ((dtype) == DTYPE_BF16) {                                                                                   \
            typedef __nv_bfloat16 T;                                                                                   \
            __VA_ARGS__;                                                                                               \
        } else {                                                                                                       \
            typedef float T;                                                                                           \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
    } while (0)

#endif
