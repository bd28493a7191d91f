/* Where the cells of a synthetic image lie.  Private to this folder. */
#ifndef CYTOFS_SYNTH_LAYOUT_H
#define CYTOFS_SYNTH_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "random.h"
#include "synth.h"

/* Indices into the class names of the kind. */
enum synth_class { SYNTH_NUCLEUS = 0, SYNTH_RBC = 0, SYNTH_WBC = 1, SYNTH_PLATELET = 2 };

/* An ellipse; its axes are turned by the rotation with cosine c and sine s. */
struct synth_ellipse {
    double x, y; /* centre, pixels */
    double a, b; /* half axes, pixels */
    double c, s;
};

#define SYNTH_LOBES_MAX 3

struct synth_cell {
    struct synth_ellipse shape;
    int class_index;
    double strength; /* fluo16: peak above background, counts; smear8: depth of stain, about 1 */
    int lobe_count;  /* of a white cell's nucleus */
    struct synth_ellipse lobes[SYNTH_LOBES_MAX];
};

/* cells[k] owns the pixels whose owner is k + 1. */
struct synth_layout {
    int width, height;
    struct synth_cell *cells;
    size_t count;
    uint16_t *owner; /* (height, width); the label map */
};

/* Layers of random numbers of one image: drawing more from one does not change the others. */
enum synth_layer { SYNTH_LAYER_LAYOUT = 1, SYNTH_LAYER_TEXTURE = 2, SYNTH_LAYER_NOISE = 3 };

struct random synth_layout_stream(uint64_t seed, size_t number, enum synth_layer layer);

/* Places the cells of image `number`.  The layout is the caller's to free with synth_layout_free. */
MUST_CHECK enum code synth_layout_place(const struct synth_request *request, size_t number, struct synth_layout *out,
                                        struct failure *why);
void synth_layout_free(struct synth_layout *layout);

/* (distance from the centre / radius in that direction) squared, of the centre of pixel (x, y): <= 1 is
 * inside. */
double synth_layout_reach(const struct synth_ellipse *ellipse, int x, int y);

/* The pixels that an ellipse scaled by `scale` can touch, clipped to width x height: columns x0 .. x1-1, rows
 * y0 .. y1-1. */
struct synth_window {
    int x0, y0, x1, y1;
};
struct synth_window synth_layout_window(const struct synth_ellipse *ellipse, double scale, int width, int height);

#endif
