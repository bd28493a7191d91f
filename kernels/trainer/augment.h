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
    float *input;                  /* (side, side, channels), (v - 0.5) * 4 */
    uint32_t *labels;              /* (side, side); NULL: not wanted */
    struct target_object *objects; /* room for the image's object_count */
    size_t object_count;
};

/* Crops and changes one image.  Everything random comes from *random. */
void augment_example(const struct training_image *image, const struct dataset_object *objects,
                     size_t object_count, struct random *random, struct augmented *out);

#endif
