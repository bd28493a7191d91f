/* The training images, decoded once and kept at working scale as far as memory allows; the rest is read again
 * each time.  What an image holds does not depend on whether it was kept.  One thread at a time. */
#ifndef CYTOFS_IMAGE_STORE_H
#define CYTOFS_IMAGE_STORE_H

#include "dataset.h"
#include "preprocessing.h"
#include "training_image.h"

#define IMAGE_STORE_BYTES_MAX ((size_t)3 << 30)

struct image_store;

struct image_store_options {
    struct preprocessing recipe;
    bool with_labels; /* keep label maps for rays */
    size_t bytes_max; /* of kept images; 0: IMAGE_STORE_BYTES_MAX */
};

MUST_CHECK enum code image_store_create(const struct dataset *dataset, const struct image_store_options *options,
                                        struct image_store **out, struct failure *why);
void image_store_destroy(struct image_store *store);

/* The image dataset->images[index]; *out stays valid until the next call.  An unreadable file is its failure.
 */
MUST_CHECK enum code image_store_get(struct image_store *store, size_t index, const struct training_image **out,
                                     struct failure *why);

#endif
