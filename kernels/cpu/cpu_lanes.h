/* Strips of 16 channels in one vector, for the loops that are built once per instruction set (cpu_loops.c,
 * cpu_winograd_loops.c).  GCC and Clang turn the arithmetic into as many registers as the set has room for.
 */
#ifndef CYTOFS_CPU_LANES_H
#define CYTOFS_CPU_LANES_H

#include <stdint.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "cpu_loops.h"

#define INLINE static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(64)));
typedef uint32_t words __attribute__((vector_size(64)));
typedef uint16_t halves __attribute__((vector_size(32)));

INLINE lanes load(enum dtype dtype, const void *data, size_t index)
{
    if (dtype == DTYPE_F32) {
        lanes values;
        memcpy(&values, (const float *)data + index, sizeof values);
        return values;
    }
    halves upper;
    memcpy(&upper, (const uint16_t *)data + index, sizeof upper);
#ifdef __AVX512F__ /* one instruction, where GCC 12 makes five of the line below */
    return (lanes)((words)_mm512_cvtepu16_epi32((__m256i)upper) << 16);
#else
    return (lanes)(__builtin_convertvector(upper, words) << 16);
#endif
}

INLINE void store(enum dtype dtype, void *data, size_t index, lanes values)
{
    if (dtype == DTYPE_F32) {
        memcpy((float *)data + index, &values, sizeof values);
        return;
    }
#ifdef __AVX512BF16__ /* the same rounding in one instruction; denormal numbers become 0 */
    halves upper = (halves)_mm512_cvtneps_pbh((__m512)values);
#else
    words bits = (words)values;
    halves upper = __builtin_convertvector((bits + 0x7FFF + (bits >> 16 & 1)) >> 16, halves);
#endif
    memcpy((uint16_t *)data + index, &upper, sizeof upper);
}

/* values where gate > 0, else 0 */
INLINE lanes pass_positive(lanes values, lanes gate)
{
#ifdef __AVX512F__
    __mmask16 passes = _mm512_cmp_ps_mask((__m512)gate, _mm512_setzero_ps(), _CMP_GT_OQ);
    return (lanes)_mm512_maskz_mov_ps(passes, (__m512)values);
#else
    return (lanes)((words)values & (words)(gate > 0.0f));
#endif
}

#endif
