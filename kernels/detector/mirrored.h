/* Grids of values mirrored, as they are seen and said of an image's mirror images. */
#ifndef CYTOFS_MIRRORED_H
#define CYTOFS_MIRRORED_H

#include <stddef.h>

#define MIRRORED_VIEWS 4 /* as it lies, left and right exchanged, top and bottom, both */

/* What mirroring does to channels: nothing; it exchanges opposite sides (left, top, right, bottom); or rays. */
enum mirrored_kind { MIRRORED_PLAIN, MIRRORED_BOX, MIRRORED_RAYS };

/* Values on a grid, (rows, columns, channels). */
struct mirrored_grid {
    enum mirrored_kind kind; /* MIRRORED_BOX has 4 channels, MIRRORED_RAYS an even number */
    int rows, columns, channels;
};

/* How many there are. */
size_t mirrored_values(const struct mirrored_grid *grid);

/* sum += `from`, mirrored as `view`, 0 .. MIRRORED_VIEWS - 1, is.  A view undoes itself. */
void mirrored_add(const struct mirrored_grid *grid, int view, const float *from, float *sum);

#endif
