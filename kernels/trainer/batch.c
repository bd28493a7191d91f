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
    return failure_set(
        why, CODE_NO_MEMORY,
        "a batch of %d crops of %d px does not fit in memory: use a smaller batch or image_size",
        shape->batch, shape->side);
}

void batch_free(struct batch *batch)
{
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
    struct augmented example = {.side = shape->side,
                                .input = batch->input + (size_t)slot * pixels * (size_t)shape->channels,
                                .labels = labels,
                                .objects = objects};
    struct random random = random_stream(source->seed, STREAM_EXAMPLES + draw);
    augment_example(image, entry->objects, entry->object_count, &random, &example);
    struct targets targets = targets_of_slot(shape, batch, slot);
    return targets_fill(&targets, objects, example.object_count, labels, why);
}

enum code batch_fill(const struct batch_source *source, int64_t step, struct batch *batch,
                     struct failure *why)
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
