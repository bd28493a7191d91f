/* Mirrored views: see mirrored.h.  Bit 0 of a view's number exchanges left and right, bit 1 top and bottom.
 * Ray k lies at the angle 2 pi k / R: the first turns an angle a into pi - a, the second into -a. */
#include "mirrored.h"

#include <assert.h>
#include <stdbool.h>

#define ACROSS 1
#define DOWN   2

size_t mirrored_values(const struct mirrored_grid *grid)
{
    return (size_t)grid->rows * (size_t)grid->columns * (size_t)grid->channels;
}

/* The channel that holds, in a mirrored grid, what is channel k here. */
static int mirrored_channel(const struct mirrored_grid *grid, int view, int k)
{
    const int count = grid->channels;
    bool is_side_exchanged = k % 2 == 0 ? view & ACROSS : view & DOWN;
    switch (grid->kind) {
    case MIRRORED_PLAIN:
        break;
    case MIRRORED_BOX:
        return is_side_exchanged ? (k + 2) % 4 : k;
    case MIRRORED_RAYS:
        if (view & ACROSS)
            k = (count + count / 2 - k) % count;
        return view & DOWN ? (count - k) % count : k;
    }
    return k;
}

void mirrored_add(const struct mirrored_grid *grid, int view, const float *from, float *sum)
{
    assert(view >= 0 && view < MIRRORED_VIEWS && (grid->kind != MIRRORED_BOX || grid->channels == 4));
    size_t columns = (size_t)grid->columns, channels = (size_t)grid->channels;
    for (int k = 0; k < grid->channels; k++) {
        const float *channel = from + mirrored_channel(grid, view, k);
        for (int row = 0; row < grid->rows; row++) {
            size_t other_row = (size_t)(view & DOWN ? grid->rows - 1 - row : row) * columns;
            float *to = sum + (size_t)row * columns * channels + (size_t)k;
            for (size_t column = 0; column < columns; column++) {
                size_t other = other_row + (view & ACROSS ? columns - 1 - column : column);
                to[column * channels] += channel[other * channels];
            }
        }
    }
}
