/* The training images that a GPU keeps in its own memory, sent there once before the first step: crops of them cost no
 * transfer. The others stay on the host, and of them a step sends what its crops see.  Which are kept changes nothing about
 * the weights. */
#ifndef CYTOFS_RESIDENT_IMAGES_H
#define CYTOFS_RESIDENT_IMAGES_H

#include <stdbool.h>

#include "image_store.h"

struct device;
struct resident_images;

struct resident_images_request {
    const size_t *indices;     /* images to keep, into dataset->images, those wanted most first */
    size_t count, image_count; /* of indices, of the dataset */
    size_t bytes_max;
};

/* Reads images from the store, in order, until the next one does not fit.  The device must live longer. */
MUST_CHECK enum code resident_images_create(const struct device *device, struct image_store *store,
                                            const struct resident_images_request *request, struct resident_images **out,
                                            struct failure *why);
void resident_images_destroy(struct resident_images *images); /* NULL is fine */

/* The image's samples in the device's memory, NULL where it is not kept. */
const uint16_t *resident_images_samples(const struct resident_images *images, size_t index);

size_t resident_images_count(const struct resident_images *images);
size_t resident_images_bytes(const struct resident_images *images);

#endif
