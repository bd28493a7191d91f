/* Files whose bytes follow from a number that stands at their beginning: whatever version a reader finds, it can tell a
 * whole one from a mixture. */
#ifndef CYTOFS_TEST_SEEDED_FILE_H
#define CYTOFS_TEST_SEEDED_FILE_H

#include "testing.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lab_fixture.h"
#include "random.h"

/* What such a file holds. */
static inline void seeded_file_fill(uint8_t *bytes, uint32_t count, uint64_t seed)
{
    struct random random = {seed * 1000003};
    for (uint32_t i = 0; i < count; i += 8) {
        uint64_t word = random_next(&random);
        memcpy(bytes + i, &word, count - i < 8 ? count - i : 8);
    }
}

static inline void seeded_file_write(struct lab *lab, const char *path, uint32_t count, uint64_t seed)
{
    struct failure refused;
    uint8_t *bytes = malloc(count);
    seeded_file_fill(bytes, count, seed);
    memcpy(bytes, &seed, sizeof seed); /* so that a reader knows what should follow */
    assert_code_ok(tree_path_write(lab->tree, path, 0644, bytes, count, &refused), refused);
    free(bytes);
}

/* Whatever file is found, it must be one that was written, whole. */
static inline bool seeded_file_is_whole(const struct buffer *found)
{
    uint64_t seed;
    if (found->length < sizeof seed)
        return false;
    memcpy(&seed, found->data, sizeof seed);
    uint8_t *wanted = malloc(found->length);
    seeded_file_fill(wanted, (uint32_t)found->length, seed);
    memcpy(wanted, &seed, sizeof seed);
    bool same = memcmp(wanted, found->data, found->length) == 0;
    free(wanted);
    return same;
}

/* The number of a whole one. */
static inline uint64_t seeded_file_number(const struct buffer *found)
{
    uint64_t seed;
    memcpy(&seed, found->data, sizeof seed);
    return seed;
}

#endif
