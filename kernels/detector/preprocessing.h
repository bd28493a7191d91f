/* From a decoded image to the network's input: intensities, working scale, channels, padding.
 *
 * Training and detection go through these same functions, so a model sees what it was trained on.
 */
#ifndef CYTOFS_PREPROCESSING_H
#define CYTOFS_PREPROCESSING_H

#include "failure.h"
#include "image.h"
#include "resample.h"

/* How samples become 0 .. 1. */
enum intensity_kind {
    INTENSITY_FULL,       /* divided by the sample type's maximum: colour pictures from a camera */
    INTENSITY_PERCENTILE, /* per image, its 1st percentile to 0 and its 99.8th to 1: fluorescence, 16 bit */
};

#define PREPROCESSING_SCALE_MIN 0.02
#define PREPROCESSING_SCALE_MAX 4.0

/* A model's recipe; a part of its file. */
struct preprocessing {
    enum intensity_kind intensity;
    double range_floor; /* of the full scale: the percentile range is never taken smaller, so an empty field
                           stays empty instead of becoming loud noise */
    double scale;       /* working pixels per image pixel, PREPROCESSING_SCALE_MIN .. _MAX */
    int channels;       /* 1 or 3: grey is repeated, colour is averaged (Rec. 601) */
};

/* The 1st and 99.8th percentile of all samples, as parts 0 .. 1 of the sample type's maximum. */
void preprocessing_percentiles(const struct image *image, double *low, double *high);

/* Makes the working image; the caller frees it with resample_free. */
MUST_CHECK enum code preprocessing_apply(const struct preprocessing *recipe, const struct image *image, struct plane *out,
                                         struct failure *why);

/* The smallest side that the network takes and that holds `side`: a multiple of 32, of 64 above 256, of 128
 * above 512, so that images of many sizes share few network plans. */
int preprocessing_padded(int side);

/* The median of each channel (to 1/4000): what an image is continued with beyond its frame,
 * in training crops and in windows alike.  Mirrored instead, a cell that the frame cuts becomes a whole one:
 * the AP50 of red cells in blood smears falls from 0.82 to 0.75. */
void preprocessing_medians(const struct plane *plane, float median[3]);

/* What the network takes for a value of the working image. */
static inline float preprocessing_input(float value)
{
    return (value - 0.5f) * 4;
}

/* Copies the window at (x, y) of the working image into `input`, (height, width, channels), each value as
 * preprocessing_input gives it. */
struct preprocessing_window {
    int x, y, width, height;
    float outside[3]; /* what lies beyond the plane */
};
void preprocessing_copy_window(const struct plane *plane, const struct preprocessing_window *window, float *input);

#endif
