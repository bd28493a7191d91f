/* One window looked at in several mirrored views, so that what was seen can be averaged.
 *
 * What the network says of an object depends a little on which way round the image lies, though the object
 * does not.  The mean over mirrored copies errs less (Krizhevsky, Sutskever, Hinton: "ImageNet classification
 * with deep convolutional neural networks", 2012, section 4.1).
 */
#ifndef CYTOFS_MIRRORED_H
#define CYTOFS_MIRRORED_H

#include <stdbool.h>
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

/* Whether a model may have so many views: one, or MIRRORED_VIEWS where its rays are even in number, so that
 * every mirrored ray is a ray. */
bool mirrored_is_possible(int views, int ray_count);

/* sum += `from`, mirrored as `view`, 0 .. MIRRORED_VIEWS - 1, is.  A view undoes itself. */
void mirrored_add(const struct mirrored_grid *grid, int view, const float *from, float *sum);

#endif
