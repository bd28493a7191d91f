/* A training example: a crop of a working image, changed as microscopes and hands change images, with the
 * objects that are still visible in it.
 */
#ifndef CYTOFS_AUGMENT_H
#define CYTOFS_AUGMENT_H

#include "dataset.h"
#include "failure.h"
#include "random.h"
#include "targets.h"
#include "training_image.h"

/* Where one example goes; memory is the caller's. */
struct augmented {
    int side;                      /* of the square crop, px */
    float *input;                  /* (side, side, channels), (v - 0.5) * 4; NULL: somebody else makes it, from `crop` */
    float *table;                  /* (AUGMENTATION_TABLE_FLOATS): the crop's; NULL: not wanted */
    uint32_t *labels;              /* (side, side); NULL: not wanted */
    struct target_object *objects; /* room for the image's object_count */
    size_t object_count;
    struct augmentation_crop crop; /* how the input follows from the image's samples */
};

/* Crops and changes one image.  Everything random comes from *random. */
void augment_example(const struct training_image *image, const struct dataset_object *objects, size_t object_count,
                     struct random *random, struct augmented *out);

/* The part of the image that a crop reads: at least a pixel, never more than augment_window_samples_max. */
struct augment_window {
    int x, y, width, height;
};
struct augment_window augment_window(const struct augmentation_crop *crop);

/* Samples that the window of any crop of `side` holds at most. */
size_t augment_window_samples_max(int side, int channels);

/* Copies the window's samples, and tells the crop that it has those alone; crop->samples is the caller's to set. */
void augment_copy_window(const struct training_image *image, struct augmentation_crop *crop, uint16_t *samples);

#endif
