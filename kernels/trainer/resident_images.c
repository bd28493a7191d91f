/* Images in a GPU's memory: see resident_images.h.
 *
 * One slab, images one after the other at multiples of 256 bytes.  It is taken before the images' sizes are all known to be
 * right, by the store's word: the store gives the same image each time.
 *
 * Invariant: constant after resident_images_create, so any thread may ask. */
#include "resident_images.h"

#include <stdlib.h>

#include "device.h"

#define IMAGE_ALIGN 256

struct resident_images {
    const struct device *device; /* borrowed */
    char *slab;                  /* device memory */
    size_t *offsets;             /* (image_count) into slab, plus 1; 0 for none */
    size_t count, bytes;
};

static size_t bytes_of(const struct training_image *image)
{
    size_t bytes = (size_t)image->width * (size_t)image->height * (size_t)image->channels * sizeof *image->samples;
    return (bytes + IMAGE_ALIGN - 1) / IMAGE_ALIGN * IMAGE_ALIGN;
}

/* How many of the first images fit, and their bytes. */
static enum code choose(struct resident_images *images, struct image_store *store,
                        const struct resident_images_request *request, struct failure *why)
{
    for (; images->count < request->count; images->count++) {
        const struct training_image *image;
        enum code code = image_store_get(store, request->indices[images->count], &image, why);
        if (code != CODE_OK)
            return code;
        if (bytes_of(image) > request->bytes_max - images->bytes)
            break;
        images->bytes += bytes_of(image);
    }
    return CODE_OK;
}

static enum code send(struct resident_images *images, struct image_store *store,
                      const struct resident_images_request *request, struct failure *why)
{
    size_t end = 0;
    for (size_t i = 0; i < images->count; i++) {
        const struct training_image *image;
        enum code code = image_store_get(store, request->indices[i], &image, why);
        if (code != CODE_OK)
            return code;
        if (bytes_of(image) > images->bytes - end)
            return failure_set(why, CODE_CORRUPT, "an image of the dataset changed while it was read: start again");
        images->device->operations->upload(images->device, images->slab + end, image->samples,
                                           (size_t)image->width * (size_t)image->height * (size_t)image->channels *
                                               sizeof *image->samples);
        images->offsets[request->indices[i]] = end + 1;
        end += bytes_of(image);
    }
    return images->device->operations->synchronize(images->device, why);
}

enum code resident_images_create(const struct device *device, struct image_store *store,
                                 const struct resident_images_request *request, struct resident_images **out,
                                 struct failure *why)
{
    struct resident_images *images = calloc(1, sizeof *images);
    if (images)
        images->offsets = calloc(request->image_count + 1, sizeof *images->offsets);
    if (!images || !images->offsets) {
        free(images);
        return failure_set(why, CODE_NO_MEMORY, "keeping images on the GPU: out of memory");
    }
    images->device = device;
    enum code code = choose(images, store, request, why);
    if (code == CODE_OK && images->count > 0) {
        images->slab = device->operations->allocate(device, images->bytes);
        if (images->slab)
            code = send(images, store, request, why);
        else /* less free memory than was said: all of them are sent as they are needed */
            images->count = images->bytes = 0;
    }
    if (code != CODE_OK) {
        resident_images_destroy(images);
        return code;
    }
    *out = images;
    return CODE_OK;
}

void resident_images_destroy(struct resident_images *images)
{
    if (!images)
        return;
    images->device->operations->release(images->device, images->slab);
    free(images->offsets);
    free(images);
}

const uint16_t *resident_images_samples(const struct resident_images *images, size_t index)
{
    return images->offsets[index] ? (const uint16_t *)(images->slab + images->offsets[index] - 1) : NULL;
}

size_t resident_images_count(const struct resident_images *images)
{
    return images->count;
}

size_t resident_images_bytes(const struct resident_images *images)
{
    return images->bytes;
}
