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

/* Eight neighbours at a time, in accesses of 16 bytes; i is a multiple of 8, and the array begins at a multiple of 16 bytes.
 */
#define CUDA_WIDTH 8

struct cuda_eight {
    float of[CUDA_WIDTH];
};

__device__ inline struct cuda_eight cuda_get_eight(const float *values, size_t i)
{
    const float4 *from = (const float4 *)(values + i);
    float4 low = from[0], high = from[1];
    struct cuda_eight eight = {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
    return eight;
}
/* bf16 is the upper half of an f32. */
__device__ inline struct cuda_eight cuda_get_eight(const __nv_bfloat16 *values, size_t i)
{
    uint4 words = *(const uint4 *)(values + i);
    struct cuda_eight eight = {{__uint_as_float(words.x << 16), __uint_as_float(words.x & 0xFFFF0000u),
                                __uint_as_float(words.y << 16), __uint_as_float(words.y & 0xFFFF0000u),
                                __uint_as_float(words.z << 16), __uint_as_float(words.z & 0xFFFF0000u),
                                __uint_as_float(words.w << 16), __uint_as_float(words.w & 0xFFFF0000u)}};
    return eight;
}

__device__ inline void cuda_set_eight(float *values, size_t i, const struct cuda_eight &eight)
{
    float4 *to = (float4 *)(values + i);
    to[0] = make_float4(eight.of[0], eight.of[1], eight.of[2], eight.of[3]);
    to[1] = make_float4(eight.of[4], eight.of[5], eight.of[6], eight.of[7]);
}
__device__ inline unsigned cuda_two_halves(float low, float high)
{
    return (unsigned)__bfloat16_as_ushort(__float2bfloat16_rn(low)) |
           (unsigned)__bfloat16_as_ushort(__float2bfloat16_rn(high)) << 16;
}
__device__ inline void cuda_set_eight(__nv_bfloat16 *values, size_t i, const struct cuda_eight &eight)
{
    *(uint4 *)(values + i) =
        make_uint4(cuda_two_halves(eight.of[0], eight.of[1]), cuda_two_halves(eight.of[2], eight.of[3]),
                   cuda_two_halves(eight.of[4], eight.of[5]), cuda_two_halves(eight.of[6], eight.of[7]));
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

/* Blocks for a loop over `items` whose threads each take many: enough to fill an H100, so that what a thread keeps in
 * registers is read once. */
#define CUDA_LOOP_BLOCKS_MAX 1056 /* eight for each multiprocessor */
static inline unsigned cuda_loop_blocks(size_t items)
{
    unsigned blocks = cuda_blocks(items);
    return blocks < CUDA_LOOP_BLOCKS_MAX ? blocks : CUDA_LOOP_BLOCKS_MAX;
}

/* Queues a kernel: name, blocks, threads a block, stream, arguments.  The tests compile the same files for the host, where
 * cuda_host.h runs the kernels. */
#ifdef __CUDACC__
#define CUDA_LAUNCH(kernel, blocks, threads, stream, ...) kernel<<<(blocks), (threads), 0, (stream)>>>(__VA_ARGS__)
#endif

/* Calls the statement with T the element type of dtype. */
#define CUDA_WITH_TYPE(dtype, T, ...)                                                                                       \
    do {                                                                                                                    \
        if ((dtype) == DTYPE_BF16) {                                                                                        \
            typedef __nv_bfloat16 T;                                                                                        \
            __VA_ARGS__;                                                                                                    \
        } else {                                                                                                            \
            typedef float T;                                                                                                \
            __VA_ARGS__;                                                                                                    \
        }                                                                                                                   \
    } while (0)

#endif
