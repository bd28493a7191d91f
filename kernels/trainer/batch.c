/* Making batches: see batch.h.  Draw number (step - 1) * batch + i decides the image of slot i (sampler.h)
 * and its stream of random numbers (augment.h). */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include "augment.h"
#include "scope.h"
#include "targets.h"

#define STREAM_EXAMPLES UINT64_C(0x5A4100000000)

static size_t cells_of(const struct batch_shape *shape)
{
    size_t cells = (size_t)(shape->side / TARGETS_STRIDE);
    return cells * cells;
}

enum code batch_create(const struct batch_shape *shape, struct batch *out, struct failure *why)
{
    size_t images = (size_t)shape->batch, pixels = (size_t)shape->side * (size_t)shape->side;
    size_t cells = images * cells_of(shape);
    *out = (struct batch){
        .input = calloc(images * pixels * (size_t)shape->channels, sizeof(float)),
        .heat = calloc(cells * (size_t)shape->classes, sizeof(float)),
        .box = calloc(cells * 4, sizeof(float)),
        .box_weight = calloc(cells, sizeof(float)),
    };
    bool is_whole = out->input && out->heat && out->box && out->box_weight;
    if (shape->rays > 0) {
        out->rays = calloc(cells * (size_t)shape->rays, sizeof(float));
        out->ray_weight = calloc(cells, sizeof(float));
        is_whole = is_whole && out->rays && out->ray_weight;
    }
    if (is_whole)
        return CODE_OK;
    batch_free(out);
    return failure_set(why, CODE_NO_MEMORY,
                       "a batch of %d crops of %d px does not fit in memory: use a smaller batch or image_size",
                       shape->batch, shape->side);
}

struct batch batch_of_feed(struct network_feed *feed)
{
    return (struct batch){.feed = feed,
                          .heat = feed->heat,
                          .box = feed->box,
                          .box_weight = feed->box_weight,
                          .rays = feed->rays,
                          .ray_weight = feed->ray_weight};
}

void batch_free(struct batch *batch)
{
    if (batch->feed) {
        *batch = (struct batch){0};
        return;
    }
    free(batch->input);
    free(batch->heat);
    free(batch->box);
    free(batch->box_weight);
    free(batch->rays);
    free(batch->ray_weight);
    *batch = (struct batch){0};
}

static struct targets targets_of_slot(const struct batch_shape *shape, struct batch *batch, int slot)
{
    size_t first = (size_t)slot * cells_of(shape);
    return (struct targets){
        .width = shape->side,
        .height = shape->side,
        .classes = shape->classes,
        .ray_count = shape->rays,
        .heat = batch->heat + first * (size_t)shape->classes,
        .box = batch->box + first * 4,
        .box_weight = batch->box_weight + first,
        .rays = shape->rays ? batch->rays + first * (size_t)shape->rays : NULL,
        .ray_weight = shape->rays ? batch->ray_weight + first : NULL,
    };
}

/* Tells the device which crop to make of an image, and gives it what it does not hold of that. */
static void fill_crop(const struct batch_source *source, size_t index, const struct training_image *image,
                      struct network_feed *feed, int slot, struct augmentation_crop crop)
{
    size_t n = (size_t)slot, first = n * feed->window_samples_max;
    crop.table = feed->device_tables + n * AUGMENTATION_TABLE_FLOATS;
    crop.samples = resident_images_samples(source->resident, index);
    feed->window_samples[n] = 0;
    if (!crop.samples) {
        const struct augment_window window = augment_window(&crop);
        augment_copy_window(image, &crop, feed->windows + first);
        crop.samples = feed->device_windows + first;
        feed->window_samples[n] = (size_t)window.width * (size_t)window.height * (size_t)image->channels;
    }
    feed->crops[n] = crop;
}

static enum code fill_slot(const struct batch_source *source, uint64_t draw, struct batch *batch, int slot,
                           struct failure *why)
{
    const struct batch_shape *shape = &source->shape;
    size_t index = sampler_image(source->sampler, draw);
    const struct dataset_image *entry = &source->dataset->images[index];
    const struct training_image *image;
    enum code code = image_store_get(source->store, index, &image, why);
    if (code != CODE_OK)
        return code;
    size_t pixels = (size_t)shape->side * (size_t)shape->side;
    SCOPE_FREE struct target_object *objects = calloc(entry->object_count + 1, sizeof *objects);
    SCOPE_FREE uint32_t *labels = shape->rays ? malloc(pixels * sizeof *labels) : NULL;
    if (!objects || (shape->rays && !labels))
        return failure_set(why, CODE_NO_MEMORY, "preparing a batch: out of memory");
    struct network_feed *feed = batch->feed;
    struct augmented example = {.side = shape->side,
                                .input = feed ? NULL : batch->input + (size_t)slot * pixels * (size_t)shape->channels,
                                .table = feed ? feed->tables + (size_t)slot * AUGMENTATION_TABLE_FLOATS : NULL,
                                .labels = labels,
                                .objects = objects};
    struct random random = random_stream(source->seed, STREAM_EXAMPLES + draw);
    augment_example(image, entry->objects, entry->object_count, &random, &example);
    if (feed)
        fill_crop(source, index, image, feed, slot, example.crop);
    struct targets targets = targets_of_slot(shape, batch, slot);
    return targets_fill(&targets, objects, example.object_count, labels, why);
}

enum code batch_fill(const struct batch_source *source, int64_t step, struct batch *batch, struct failure *why)
{
    for (int slot = 0; slot < source->shape.batch; slot++) {
        uint64_t draw = (uint64_t)(step - 1) * (uint64_t)source->shape.batch + (uint64_t)slot;
        enum code code = fill_slot(source, draw, batch, slot, why);
        if (code != CODE_OK)
            return code;
    }
    batch->step = step;
    return CODE_OK;
}
