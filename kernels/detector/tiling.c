/* Windows over a large image: see tiling.h.  One axis is cut at a time: window k of n starts at k (length -
 * side) / (n - 1), with n the fewest that leaves the wanted overlap; cores meet in the middle of each
 * overlap. */
#include "tiling.h"

#include <stdint.h>
#include <stdlib.h>

struct span {
    int start, length, core0, core1;
};

static int span_count(int length, int side, int overlap)
{
    if (length <= side)
        return 1;
    int advance = side - overlap;
    return 1 + (length - side + advance - 1) / advance;
}

static int span_start(int length, int side, int count, int index)
{
    return count == 1 ? 0 : (int)((int64_t)index * (length - side) / (count - 1));
}

static struct span span_at(int length, int side, int count, int index)
{
    struct span span = {.start = span_start(length, side, count, index), .length = length < side ? length : side};
    span.core1 = length;
    if (index > 0)
        span.core0 = (span.start + span_start(length, side, count, index - 1) + side) / 2;
    if (index < count - 1)
        span.core1 = (span_start(length, side, count, index + 1) + span.start + side) / 2;
    return span;
}

enum code tiling_create(int width, int height, int side, int overlap, struct tiling *out, struct failure *why)
{
    if (overlap > side / 2)
        overlap = side / 2;
    int columns = span_count(width, side, overlap), rows = span_count(height, side, overlap);
    struct tile *tiles = calloc((size_t)columns * (size_t)rows, sizeof *tiles);
    if (!tiles)
        return failure_set(why, CODE_NO_MEMORY, "cutting a %d x %d image into tiles: out of memory", width, height);
    for (int row = 0; row < rows; row++) {
        struct span y = span_at(height, side, rows, row);
        for (int column = 0; column < columns; column++) {
            struct span x = span_at(width, side, columns, column);
            tiles[row * columns + column] =
                (struct tile){x.start, y.start, x.length, y.length, x.core0, y.core0, x.core1, y.core1};
        }
    }
    *out = (struct tiling){tiles, rows * columns};
    return CODE_OK;
}

void tiling_free(struct tiling *tiling)
{
    free(tiling->tiles);
    *tiling = (struct tiling){0};
}
