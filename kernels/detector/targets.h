/* What the network should have said: heat map, box distances and rays for one image of known objects.
 *
 * The output cell (i, j) stands for the image point (4j + 2, 4i + 2).  A target is a Gaussian bump per object
 * in its class's heat map (Zhou et al.: "Objects as Points", 2019), its extent tied to the box as in TTFNet
 * (Liu et al., 2020), and distances to the four sides around the bump's middle.  Rays: Schmidt et al., "Cell
 * Detection with Star-convex Polygons", MICCAI 2018.
 */
#ifndef CYTOFS_TARGETS_H
#define CYTOFS_TARGETS_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define TARGETS_STRIDE      4
#define TARGETS_OBJECTS_MAX 20000

/* An object in the network's input, in its pixels. */
struct target_object {
    float x0, y0, x1, y1;
    int32_t class_index;
    uint32_t label; /* in the label map; unused without rays */
};

/* Where the targets of one image go; all are overwritten.  Rows and columns are height / 4 and width / 4. */
struct targets {
    int width, height; /* px of the network's input, multiples of 4 */
    int classes;
    int ray_count;     /* 0: rays and ray_weight are not touched */
    float *heat;       /* (rows, columns, classes) */
    float *box;        /* (rows, columns, 4) */
    float *box_weight; /* (rows, columns) */
    float *rays;       /* (rows, columns, ray_count) */
    float *ray_weight; /* (rows, columns) */
};

/* Fills *targets from `count` objects (at most TARGETS_OBJECTS_MAX), which may reach beyond the image.
 * `labels` is (height, width), needed where ray_count > 0. */
MUST_CHECK enum code targets_fill(struct targets *targets, const struct target_object *objects, size_t count,
                                  const uint32_t *labels, struct failure *why);

#endif
