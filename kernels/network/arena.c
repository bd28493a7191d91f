/* Greedy by size: see arena.h.  Quadratic in the number of blocks, which is below 256. */
#include "arena.h"

#include <assert.h>
#include <stdbool.h>

static size_t align(size_t bytes)
{
    return (bytes + ARENA_ALIGN_BYTES - 1) / ARENA_ALIGN_BYTES * ARENA_ALIGN_BYTES;
}

static bool live_together(const struct arena_block *a, const struct arena_block *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest offset at which `block` overlaps none of the placed ones that live together with it.  Moves
 * upwards past one obstacle after the other until none is left. */
static size_t lowest_offset(const struct arena_block *block, const struct arena_block *const *placed, size_t count)
{
    size_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t i = 0; i < count; i++) {
            size_t end = placed[i]->offset + align(placed[i]->bytes);
            if (live_together(block, placed[i]) && offset < end && placed[i]->offset < offset + align(block->bytes)) {
                offset = end;
                moved = true;
            }
        }
    }
    return offset;
}

size_t arena_plan(struct arena_block *blocks, size_t count)
{
    const struct arena_block *placed[ARENA_BLOCKS_MAX];
    bool done[ARENA_BLOCKS_MAX] = {false};
    size_t total = 0;
    assert(count <= ARENA_BLOCKS_MAX);
    for (size_t n = 0; n < count; n++) {
        size_t largest = count;
        for (size_t i = 0; i < count; i++)
            if (!done[i] && (largest == count || blocks[i].bytes > blocks[largest].bytes))
                largest = i;
        struct arena_block *block = &blocks[largest];
        assert(block->first <= block->last);
        block->offset = lowest_offset(block, placed, n);
        done[largest] = true;
        placed[n] = block;
        if (block->offset + align(block->bytes) > total)
            total = block->offset + align(block->bytes);
    }
    return total;
}
