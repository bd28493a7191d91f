/* Kept training images: see image_store.h.
 *
 * Invariants: a kept image has samples != NULL and is never changed; `bytes` is the sum over kept images and
 * stays at or below bytes_max; `passing` holds the one image that found no room, until the next call.
 */
#include "image_store.h"

#include <math.h>
#include <stdlib.h>

#include "file.h"
#include "scope.h"

struct image_store {
    const struct dataset *dataset; /* borrowed */
    struct image_store_options options;
    struct training_image *images; /* (dataset->image_count) */
    struct training_image passing;
    size_t bytes;
};

enum code image_store_create(const struct dataset *dataset, const struct image_store_options *options,
                             struct image_store **out, struct failure *why)
{
    struct image_store *store = calloc(1, sizeof *store);
    if (store)
        store->images = calloc(dataset->image_count + 1, sizeof *store->images);
    if (!store || !store->images) {
        free(store);
        return failure_set(why, CODE_NO_MEMORY, "keeping %zu images: out of memory", dataset->image_count);
    }
    store->dataset = dataset;
    store->options = *options;
    if (store->options.bytes_max == 0)
        store->options.bytes_max = IMAGE_STORE_BYTES_MAX;
    *out = store;
    return CODE_OK;
}

static void training_image_clear(struct training_image *image)
{
    free(image->samples);
    free(image->labels);
    *image = (struct training_image){0};
}

void image_store_destroy(struct image_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < store->dataset->image_count; i++)
        training_image_clear(&store->images[i]);
    training_image_clear(&store->passing);
    free(store->images);
    free(store);
}

static uint16_t quantise(float value)
{
    float scaled = (value + TRAINING_IMAGE_ZERO) * TRAINING_IMAGE_ONE;
    return (uint16_t)lrintf(fminf(fmaxf(scaled, 0), 65535));
}

static enum code take_plane(const struct plane *plane, struct training_image *out, struct failure *why)
{
    size_t samples = (size_t)plane->width * (size_t)plane->height * (size_t)plane->channels;
    out->samples = malloc(samples * sizeof *out->samples);
    if (!out->samples)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < samples; i++)
        out->samples[i] = quantise(plane->data[i]);
    out->width = plane->width;
    out->height = plane->height;
    out->channels = plane->channels;
    preprocessing_medians(plane, out->median);
    return CODE_OK;
}

static enum code take_labels(struct image_store *store, const struct dataset_image *entry, struct training_image *out,
                             struct failure *why)
{
    SCOPE_FREE uint32_t *labels = NULL;
    enum code code = dataset_read_labels(store->dataset, entry, &labels, why);
    if (code != CODE_OK)
        return code;
    out->labels = malloc((size_t)out->width * (size_t)out->height * sizeof *out->labels);
    if (!out->labels)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    for (int y = 0; y < out->height; y++) {
        size_t from = (size_t)((y + 0.5) * entry->height / out->height) * (size_t)entry->width;
        for (int x = 0; x < out->width; x++)
            out->labels[(size_t)y * (size_t)out->width + (size_t)x] =
                labels[from + (size_t)((x + 0.5) * entry->width / out->width)];
    }
    return CODE_OK;
}

static enum code read_one(struct image_store *store, size_t index, struct training_image *out, struct failure *why)
{
    const struct dataset_image *entry = &store->dataset->images[index];
    SCOPE_FREE char *path = file_join(store->dataset->folder, entry->path);
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", entry->path);
    SCOPE_IMAGE image = {0};
    SCOPE_PLANE plane = {0};
    enum code code = image_read(path, &image, why);
    if (code == CODE_OK)
        code = preprocessing_apply(&store->options.recipe, &image, &plane, why);
    if (code == CODE_OK)
        code = take_plane(&plane, out, why);
    if (code == CODE_OK && store->options.with_labels)
        code = take_labels(store, entry, out, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "reading %s", entry->path);
    out->across = (float)out->width / (float)image.width;
    out->down = (float)out->height / (float)image.height;
    return CODE_OK;
}

enum code image_store_get(struct image_store *store, size_t index, const struct training_image **out, struct failure *why)
{
    struct training_image *kept = &store->images[index];
    training_image_clear(&store->passing);
    if (kept->samples) {
        *out = kept;
        return CODE_OK;
    }
    struct training_image image = {0};
    enum code code = read_one(store, index, &image, why);
    if (code != CODE_OK) {
        training_image_clear(&image);
        return code;
    }
    size_t pixels = (size_t)image.width * (size_t)image.height;
    size_t bytes = pixels * ((size_t)image.channels * sizeof *image.samples + (image.labels ? sizeof *image.labels : 0));
    bool is_kept = bytes <= store->options.bytes_max - store->bytes;
    if (is_kept)
        store->bytes += bytes;
    else
        kept = &store->passing;
    *kept = image;
    *out = kept;
    return CODE_OK;
}
