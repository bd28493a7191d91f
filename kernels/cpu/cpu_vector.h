/* How the loops of this folder become vector code on any x86-64.
 *
 * A loop body is CPU_INLINE, with the element type as a constant argument, and works on strips of CPU_LANES channels.  Small
 * VECTORISED functions around it are compiled once per instruction set; the loader picks.  They hold no OpenMP: the
 * parallel loop is in the caller.  Under a sanitizer, and elsewhere than on x86-64, there is one plain copy. */
#ifndef CYTOFS_CPU_VECTOR_H
#define CYTOFS_CPU_VECTOR_H

#include "tensor.h"

#define CPU_LANES  16
#define CPU_INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&               \
    !defined(__SANITIZE_THREAD__)
#define VECTORISED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define VECTORISED
#endif

CPU_INLINE float cpu_vector_get(enum dtype dtype, const void *data, size_t index)
{
    return dtype == DTYPE_F32 ? ((const float *)data)[index] : bf16_to_f32(((const uint16_t *)data)[index]);
}

CPU_INLINE void cpu_vector_set(enum dtype dtype, void *data, size_t index, float value)
{
    if (dtype == DTYPE_F32)
        ((float *)data)[index] = value;
    else
        ((uint16_t *)data)[index] = bf16_from_f32(value);
}

#endif
