/* Stands in for CUDA's header of this name (see README.md): bf16 as kernels/device/tensor.h has it, and the
 * vectors of words that CUDA has without a header. */
#ifndef CYTOFS_CUDA_BF16_H
#define CYTOFS_CUDA_BF16_H

#include <math.h>
#include <stdint.h>

#include "tensor.h"

struct __nv_bfloat16 {
    uint16_t bits;
};

static inline float __bfloat162float(__nv_bfloat16 value)
{
    return bf16_to_f32(value.bits);
}

struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}

static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w)
{
    return {x, y, z, w};
}

static inline float __uint_as_float(unsigned bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value)
{
    return value.bits;
}

static inline __nv_bfloat16 __float2bfloat16_rn(float value)
{
    return {bf16_from_f32(value)};
}

#endif
