/* Places blocks of memory that live for a known span of steps so that blocks alive together never overlap and
 * the whole is small: the largest first, each at the lowest offset that is free for its span (Pisarchyk, Lee:
 * "Efficient memory management for deep neural net inference", 2020, "greedy by size"). */
#ifndef CYTOFS_ARENA_H
#define CYTOFS_ARENA_H

#include <stddef.h>

#define ARENA_BLOCKS_MAX  256
#define ARENA_ALIGN_BYTES 256

struct arena_block {
    size_t bytes;
    int first, last; /* the steps, inclusive, during which it must keep its bytes; first <= last */
    size_t offset;   /* the answer */
};

/* Fills in the offsets; count <= ARENA_BLOCKS_MAX.  Returns the bytes of the whole. */
size_t arena_plan(struct arena_block *blocks, size_t count);

#endif
