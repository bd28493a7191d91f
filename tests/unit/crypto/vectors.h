/* Published test vectors are written as hexadecimal text; this turns them into bytes. */
#ifndef CYTOFS_VECTORS_H
#define CYTOFS_VECTORS_H

#include "testing.h"

#include <string.h>

#include "hex.h"

struct vector {
    uint8_t bytes[256];
    size_t count;
};

static inline struct vector vector_of(const char *digits)
{
    struct vector vector = {.count = strlen(digits) / 2};
    assert_true(vector.count <= sizeof vector.bytes);
    assert_true(hex_decode(digits, strlen(digits), vector.bytes, vector.count));
    return vector;
}

#define assert_bytes_are(actual, digits)                                                                                    \
    do {                                                                                                                    \
        struct vector expected_ = vector_of(digits);                                                                        \
        assert_memory_equal(actual, expected_.bytes, expected_.count);                                                      \
    } while (0)

#endif
