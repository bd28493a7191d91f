/* What the devices compute on: dense NHWC tensors of f32 or bf16, in the memory of one device.
 *
 * bf16 is the upper half of an f32: 8 bits of exponent, 7 of fraction.  Conversion rounds to nearest, ties to
 * even.
 */
#ifndef CYTOFS_TENSOR_H
#define CYTOFS_TENSOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum dtype { DTYPE_F32, DTYPE_BF16 };

struct tensor {
    enum dtype dtype;
    int n, h, w, c; /* all at least 1; channels lie innermost */
    void *data;     /* device memory, 64-byte aligned, n * h * w * c elements */
};

static inline size_t dtype_bytes(enum dtype dtype)
{
    return dtype == DTYPE_F32 ? 4 : 2;
}

static inline size_t tensor_pixels(const struct tensor *tensor)
{
    return (size_t)tensor->n * (size_t)tensor->h * (size_t)tensor->w;
}

static inline size_t tensor_count(const struct tensor *tensor)
{
    return tensor_pixels(tensor) * (size_t)tensor->c;
}

static inline size_t tensor_bytes(const struct tensor *tensor)
{
    return tensor_count(tensor) * dtype_bytes(tensor->dtype);
}

static inline float bf16_to_f32(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A NaN stays a NaN only if its upper half says so: the step's loss is checked in f32, so this never decides.
 */
static inline uint16_t bf16_from_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

#endif
