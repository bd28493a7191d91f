/* Looking at a dataset before training: see survey.h. */
#include "survey.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "image.h"
#include "preprocessing.h"
#include "scope.h"

/* A list of numbers of which quantiles are wanted. */
struct numbers {
    double *values; /* owned */
    size_t count;
};

static int compare_numbers(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double quantile(struct numbers *numbers, double part)
{
    if (numbers->count == 0)
        return 0;
    qsort(numbers->values, numbers->count, sizeof *numbers->values, compare_numbers);
    return numbers->values[(size_t)lrint(part * (double)(numbers->count - 1))];
}

static void count_splits(const struct dataset *dataset, struct survey *out)
{
    for (size_t i = 0; i < dataset->image_count; i++) {
        out->images[dataset->images[i].split]++;
        out->objects[dataset->images[i].split] += dataset->images[i].object_count;
    }
}

static enum code measure_objects(const struct dataset *dataset, struct survey *out, struct failure *why)
{
    SCOPE_FREE double *sides = calloc(out->objects[SPLIT_TRAIN] + 1, sizeof *sides);
    if (!sides)
        return failure_set(why, CODE_NO_MEMORY, "surveying the dataset: out of memory");
    struct numbers numbers = {sides, 0};
    for (size_t i = 0; i < dataset->image_count; i++) {
        const struct dataset_image *image = &dataset->images[i];
        for (size_t k = 0; image->split == SPLIT_TRAIN && k < image->object_count; k++) {
            const struct dataset_object *object = &image->objects[k];
            sides[numbers.count++] = sqrt((double)(object->x1 - object->x0) * (object->y1 - object->y0));
        }
    }
    out->side_median = quantile(&numbers, 0.5);
    out->side_p99 = quantile(&numbers, 0.99);
    return CODE_OK;
}

static bool has_equal_channels(const struct image *image)
{
    if (image->channels == 1)
        return true;
    size_t pixels = (size_t)image->width * (size_t)image->height, bytes = (size_t)image->bits / 8;
    const uint8_t *at = image->data;
    for (size_t i = 0; i < pixels; i++, at += 3 * bytes)
        if (memcmp(at, at + bytes, bytes) != 0 || memcmp(at, at + 2 * bytes, bytes) != 0)
            return false;
    return true;
}

/* One value per image looked at. */
struct looks {
    double low[SURVEY_IMAGES_MAX], high[SURVEY_IMAGES_MAX], range[SURVEY_IMAGES_MAX];
    double width[SURVEY_IMAGES_MAX], height[SURVEY_IMAGES_MAX], pixel_um[SURVEY_IMAGES_MAX];
    size_t count, pixel_count;
};

static void look_at(const struct image *image, struct looks *looks, struct survey *out)
{
    size_t i = looks->count++;
    preprocessing_percentiles(image, &looks->low[i], &looks->high[i]);
    looks->range[i] = looks->high[i] - looks->low[i];
    looks->width[i] = image->width;
    looks->height[i] = image->height;
    if (image->pixel_um > 0)
        looks->pixel_um[looks->pixel_count++] = image->pixel_um;
    if (image->bits > out->bits)
        out->bits = image->bits;
    out->is_grey = out->is_grey && has_equal_channels(image);
}

static void look_at_images(const struct dataset *dataset, struct looks *looks, struct survey *out)
{
    size_t train = out->images[SPLIT_TRAIN], seen = 0;
    size_t stride = (train + SURVEY_IMAGES_MAX - 1) / SURVEY_IMAGES_MAX;
    for (size_t i = 0; i < dataset->image_count; i++) {
        if (dataset->images[i].split != SPLIT_TRAIN || seen++ % stride != 0)
            continue;
        SCOPE_FREE char *path = file_join(dataset->folder, dataset->images[i].path);
        SCOPE_IMAGE image = {0};
        if (path && image_read(path, &image, NULL) == CODE_OK)
            look_at(&image, looks, out);
    }
}

static void summarise(struct looks *looks, struct survey *out)
{
    out->looked_at = looks->count;
    struct numbers low = {looks->low, looks->count}, high = {looks->high, looks->count};
    out->range_low[0] = quantile(&low, 0.05);
    out->range_low[1] = quantile(&low, 0.95);
    out->range_high[0] = quantile(&high, 0.05);
    out->range_high[1] = quantile(&high, 0.95);
    out->range_median = quantile(&(struct numbers){looks->range, looks->count}, 0.5);
    out->image_width = quantile(&(struct numbers){looks->width, looks->count}, 0.5);
    out->image_height = quantile(&(struct numbers){looks->height, looks->count}, 0.5);
    out->pixel_um = quantile(&(struct numbers){looks->pixel_um, looks->pixel_count}, 0.5);
}

enum code survey_dataset(const struct dataset *dataset, struct survey *out, struct failure *why)
{
    *out = (struct survey){.is_grey = true};
    count_splits(dataset, out);
    if (out->images[SPLIT_TRAIN] == 0)
        return failure_set(why, CODE_INVALID, "%s: no image is in the training split (split from: %s)", dataset->folder,
                           dataset->split_source);
    if (out->objects[SPLIT_TRAIN] == 0)
        return failure_set(why, CODE_INVALID, "%s: no object is annotated in the %zu training images", dataset->folder,
                           out->images[SPLIT_TRAIN]);
    enum code code = measure_objects(dataset, out, why);
    if (code != CODE_OK)
        return code;
    struct looks looks = {0};
    look_at_images(dataset, &looks, out);
    if (looks.count == 0)
        return failure_set(why, CODE_INVALID, "%s: none of the training images can be read", dataset->folder);
    summarise(&looks, out);
    return CODE_OK;
}
