/* Stands in for CUDA's header of this name (see README.md): bf16 as kernels/device/tensor.h has it. */
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

static inline __nv_bfloat16 __float2bfloat16_rn(float value)
{
    return {bf16_from_f32(value)};
}

#endif
