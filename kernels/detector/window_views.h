/* What the network says of one window, as the mean over the views that a model looks in.
 *
 * What the network says of an object depends a little on which way round and how large the object lies before it.  The mean
 * over mirrored copies errs less (Krizhevsky, Sutskever, Hinton: "ImageNet classification with deep convolutional neural
 * networks", 2012, section 4.1), and the mean over two sizes less again; README.md has the figures.
 */
#ifndef CYTOFS_WINDOW_VIEWS_H
#define CYTOFS_WINDOW_VIEWS_H

#include <stdbool.h>

#include "decode.h"
#include "mirrored.h"
#include "network.h"

/* The window as it lies; or with its mirror images (mirrored.h); or those, and those of the window at three quarters of its
 * size, which is as much work as 2.25 more. */
#define WINDOW_VIEWS_MIRRORED MIRRORED_VIEWS
#define WINDOW_VIEWS_SIZES    (2 * MIRRORED_VIEWS)

/* Whether a model may have so many: 1, or one of the two above where its rays are even in number, so that every mirrored ray
 * is a ray. */
bool window_views_are_possible(int views, int ray_count);

/* What the network takes of a window. */
struct window_input {
    int width, height, channels; /* sides that preprocessing_padded gives */
    float *values;               /* (height, width, channels); owned */
    float outside[3];            /* what lies beyond the image, as preprocessing_copy_window writes it */
};

/* What the network says of it: heat, box and rays, one after the other in one block. */
struct sight {
    struct decode_outputs outputs; /* points into values */
    float *values;                 /* owned */
};

/* Where networks of other sizes come from: as detector.c keeps them. */
struct window_networks {
    enum code (*find)(void *context, int width, int height, struct network **out, struct failure *why);
    void *context;
};

/* Looks at the window; what is seen is the caller's to release with window_views_free.  Fails without memory and as networks
 * fail. */
MUST_CHECK enum code window_views_look(const struct window_networks *networks,
                                       const struct network_architecture *architecture, int views,
                                       const struct window_input *window, struct sight *out, struct failure *why);
void window_views_free(struct sight *seen);

#endif
