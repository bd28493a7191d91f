/* How a large image is cut into windows that the network sees one after the other.
 *
 * Windows overlap; every point of the image lies in the core of exactly one window, and a detection counts
 * where its centre lies in its window's core: an object on a seam is found once, from a window that shows it
 * whole.
 */
#ifndef CYTOFS_TILING_H
#define CYTOFS_TILING_H

#include "failure.h"

#define TILING_SIDE 1024 /* px of the working image, a multiple of 32 */

struct tile {
    int x, y, width, height;                /* the window, inside the image */
    int core_x0, core_y0, core_x1, core_y1; /* [x0, x1) x [y0, y1), in the image */
};

struct tiling {
    struct tile *tiles; /* owned */
    int count;
};

/* Cuts a width x height image; neighbouring windows share at least `overlap` px (held to half of `side`).  An
 * image that fits one window gives one tile.  The result is freed with tiling_free. */
MUST_CHECK enum code tiling_create(int width, int height, int side, int overlap, struct tiling *out, struct failure *why);
void tiling_free(struct tiling *tiling);

#endif
