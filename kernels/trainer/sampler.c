/* Drawing training images: see sampler.h.
 *
 * The list holds every image floor(repeat) times, and once more with the probability of the fraction (drawn
 * once, from the seed).  Each epoch shuffles that list by its own stream of random numbers; the shuffled list
 * of the epoch asked for last is kept.
 */
#include "sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

#define STREAM_REPEATS UINT64_C(0x5A3F00000000)
#define STREAM_EPOCHS  UINT64_C(0x5A4000000000)

struct sampler {
    uint64_t seed;
    size_t length;
    size_t *list;     /* (length) image indices, in the dataset's order */
    size_t *shuffled; /* (length) the same, as `epoch` sees them */
    uint64_t epoch;   /* UINT64_MAX: none shuffled yet */
};

static int compare_counts(const void *left, const void *right)
{
    size_t a = *(const size_t *)left, b = *(const size_t *)right;
    return (a > b) - (a < b);
}

/* Repeat factor of each class: sqrt(median / objects), from 1 to SAMPLER_REPEAT_MAX. */
static void class_repeats(const struct dataset *dataset, const size_t *indices, size_t count,
                          double repeats[DATASET_CLASSES_MAX])
{
    size_t objects[DATASET_CLASSES_MAX] = {0}, sorted[DATASET_CLASSES_MAX];
    for (size_t i = 0; i < count; i++) {
        const struct dataset_image *image = &dataset->images[indices[i]];
        for (size_t k = 0; k < image->object_count; k++)
            objects[image->objects[k].class_index]++;
    }
    size_t present = 0;
    for (int k = 0; k < dataset->class_count; k++)
        if (objects[k] > 0)
            sorted[present++] = objects[k];
    qsort(sorted, present, sizeof *sorted, compare_counts);
    double median = present ? (double)sorted[present / 2] : 0;
    for (int k = 0; k < dataset->class_count; k++) {
        double repeat = objects[k] ? sqrt(median / (double)objects[k]) : 1;
        repeats[k] = fmin(fmax(repeat, 1), SAMPLER_REPEAT_MAX);
    }
}

static double image_repeat(const struct dataset_image *image, const double repeats[DATASET_CLASSES_MAX])
{
    double most = 1;
    for (size_t k = 0; k < image->object_count; k++)
        most = fmax(most, repeats[image->objects[k].class_index]);
    return most;
}

static void fill_list(struct sampler *sampler, const struct dataset *dataset, const size_t *indices, size_t count)
{
    double repeats[DATASET_CLASSES_MAX];
    class_repeats(dataset, indices, count, repeats);
    struct random random = random_stream(sampler->seed, STREAM_REPEATS);
    for (size_t i = 0; i < count; i++) {
        double repeat = image_repeat(&dataset->images[indices[i]], repeats);
        int times = (int)repeat + (random_uniform(&random) < repeat - floor(repeat));
        for (int k = 0; k < times; k++)
            sampler->list[sampler->length++] = indices[i];
    }
}

enum code sampler_create(const struct dataset *dataset, const size_t *indices, size_t count, uint64_t seed,
                         struct sampler **out, struct failure *why)
{
    struct sampler *sampler = calloc(1, sizeof *sampler);
    if (sampler) {
        sampler->list = calloc(count * SAMPLER_REPEAT_MAX + 1, sizeof *sampler->list);
        sampler->shuffled = calloc(count * SAMPLER_REPEAT_MAX + 1, sizeof *sampler->shuffled);
    }
    if (!sampler || !sampler->list || !sampler->shuffled) {
        sampler_destroy(sampler);
        return failure_set(why, CODE_NO_MEMORY, "planning the order of %zu images: out of memory", count);
    }
    sampler->seed = seed;
    sampler->epoch = UINT64_MAX;
    fill_list(sampler, dataset, indices, count);
    *out = sampler;
    return CODE_OK;
}

void sampler_destroy(struct sampler *sampler)
{
    if (!sampler)
        return;
    free(sampler->list);
    free(sampler->shuffled);
    free(sampler);
}

size_t sampler_epoch_length(const struct sampler *sampler)
{
    return sampler->length;
}

/* Fisher and Yates. */
static void shuffle(struct sampler *sampler, uint64_t epoch)
{
    memcpy(sampler->shuffled, sampler->list, sampler->length * sizeof *sampler->list);
    struct random random = random_stream(sampler->seed, STREAM_EPOCHS + epoch);
    for (size_t i = sampler->length; i-- > 1;) {
        size_t other = random_below(&random, (uint32_t)(i + 1));
        size_t kept = sampler->shuffled[i];
        sampler->shuffled[i] = sampler->shuffled[other];
        sampler->shuffled[other] = kept;
    }
    sampler->epoch = epoch;
}

size_t sampler_image(struct sampler *sampler, uint64_t draw)
{
    uint64_t epoch = draw / sampler->length;
    if (epoch != sampler->epoch)
        shuffle(sampler, epoch);
    return sampler->shuffled[draw % sampler->length];
}
