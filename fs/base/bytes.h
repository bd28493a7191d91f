/* Little-endian loads and stores for formats on disk, and arithmetic on numbers from outside that cannot wrap. */
#ifndef CYTOFS_BYTES_H
#define CYTOFS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_load16(const void *at)
{
    const uint8_t *b = at;
    return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t bytes_load32(const void *at)
{
    const uint8_t *b = at;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t bytes_load64(const void *at)
{
    const uint8_t *b = at;
    return (uint64_t)bytes_load32(b) | (uint64_t)bytes_load32(b + 4) << 32;
}

static inline void bytes_store16(void *at, uint16_t value)
{
    uint8_t *b = at;
    b[0] = (uint8_t)value;
    b[1] = (uint8_t)(value >> 8);
}

static inline void bytes_store32(void *at, uint32_t value)
{
    uint8_t *b = at;
    for (int i = 0; i < 4; i++)
        b[i] = (uint8_t)(value >> 8 * i);
}

static inline void bytes_store64(void *at, uint64_t value)
{
    uint8_t *b = at;
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(value >> 8 * i);
}

/* Most significant byte first, as algorithms from the network's world have it. */
static inline uint64_t bytes_load_big64(const void *at)
{
    return __builtin_bswap64(bytes_load64(at));
}

static inline void bytes_store_big64(void *at, uint64_t value)
{
    bytes_store64(at, __builtin_bswap64(value));
}

/* Each returns false, and leaves *result alone, where the true result does not fit. */
static inline bool bytes_add(size_t a, size_t b, size_t *result)
{
    return !__builtin_add_overflow(a, b, result);
}

static inline bool bytes_multiply(size_t a, size_t b, size_t *result)
{
    return !__builtin_mul_overflow(a, b, result);
}

#endif
