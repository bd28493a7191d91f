/* Running a detector over a split: see scoring.h. */
#include "scoring.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "mask_scoring.h"
#include "scope.h"

/* The model's index of each of the dataset's classes, -1 where it does not know it. */
static void match_classes(const struct dataset *dataset, const struct model_info *info, int32_t map[DATASET_CLASSES_MAX])
{
    for (int k = 0; k < dataset->class_count; k++) {
        map[k] = -1;
        for (int m = 0; m < info->architecture.classes; m++)
            if (strcmp(dataset->class_names[k], info->class_names[m]) == 0)
                map[k] = m;
    }
}

static struct truth *copy_truths(const struct dataset_image *entry, const int32_t *map, size_t *count)
{
    struct truth *truths = calloc(entry->object_count + 1, sizeof *truths);
    *count = 0;
    for (size_t i = 0; truths && i < entry->object_count; i++) {
        const struct dataset_object *object = &entry->objects[i];
        if (map[object->class_index] >= 0)
            truths[(*count)++] = (struct truth){{object->x0, object->y0, object->x1, object->y1}, map[object->class_index]};
    }
    return truths;
}

static enum code score_image(struct detector *detector, const struct dataset *dataset, const struct dataset_image *entry,
                             const int32_t *map, struct scoring *out, struct failure *why)
{
    SCOPE_FREE char *path = file_join(dataset->folder, entry->path);
    SCOPE_IMAGE image = {0};
    struct detection_list list = {0};
    enum code code = path ? image_read(path, &image, why) : failure_set(why, CODE_NO_MEMORY, "out of memory");
    if (code != CODE_OK)
        return code;
    code = detector_detect(detector, &image, &list, why);
    size_t i = out->count, truth_count = 0;
    struct truth *truths = code == CODE_OK ? copy_truths(entry, map, &truth_count) : NULL;
    if (code == CODE_OK && !truths)
        code = failure_set(why, CODE_NO_MEMORY, "out of memory");
    if (code != CODE_OK) {
        detection_list_free(&list);
        return code;
    }
    out->entries[i] = entry;
    out->lists[i] = list;
    out->truths[i] = truths;
    out->pixel_um[i] = image.pixel_um;
    out->images[i] = (struct evaluation_image){truths, truth_count, list.items, list.count};
    out->count++;
    return CODE_OK;
}

static enum code scoring_allocate(struct scoring *out, size_t count, struct failure *why)
{
    *out = (struct scoring){
        .entries = calloc(count + 1, sizeof *out->entries),
        .lists = calloc(count + 1, sizeof *out->lists),
        .truths = calloc(count + 1, sizeof *out->truths),
        .images = calloc(count + 1, sizeof *out->images),
        .pixel_um = calloc(count + 1, sizeof *out->pixel_um),
    };
    if (out->entries && out->lists && out->truths && out->images && out->pixel_um)
        return CODE_OK;
    return failure_set(why, CODE_NO_MEMORY, "scoring %zu images: out of memory", count);
}

void scoring_free(struct scoring *scoring)
{
    for (size_t i = 0; i < scoring->count; i++) {
        detection_list_free(&scoring->lists[i]);
        free(scoring->truths[i]);
    }
    free(scoring->entries);
    free(scoring->lists);
    free(scoring->truths);
    free(scoring->images);
    free(scoring->pixel_um);
    *scoring = (struct scoring){0};
}

static size_t count_images(const struct dataset *dataset, enum dataset_split split)
{
    size_t count = 0;
    for (size_t i = 0; i < dataset->image_count; i++)
        count += split == SPLIT_COUNT || dataset->images[i].split == split;
    return count;
}

/* A failure of one image's file passes by with a warning; a failure of the machine does not. */
static bool is_fault_of_image(enum code code)
{
    return code != CODE_NO_MEMORY && code != CODE_INTERRUPTED && code != CODE_IO;
}

static enum code score_all(struct detector *detector, const struct dataset *dataset, const struct scoring_options *options,
                           size_t total, struct scoring *out, struct failure *why)
{
    int32_t map[DATASET_CLASSES_MAX];
    match_classes(dataset, detector_info(detector), map);
    size_t wanted = options->images_max && options->images_max < total ? options->images_max : total;
    size_t seen = 0, taken = 0;
    for (size_t i = 0; i < dataset->image_count && taken < wanted; i++) {
        const struct dataset_image *entry = &dataset->images[i];
        if (options->split != SPLIT_COUNT && entry->split != options->split)
            continue;
        if (seen++ * wanted / total < taken)
            continue;
        if (options->stop && atomic_load(options->stop))
            return failure_set(why, CODE_INTERRUPTED, "scoring images: stopped");
        enum code code = score_image(detector, dataset, entry, map, out, why);
        if (code != CODE_OK && !is_fault_of_image(code))
            return failure_wrap(why, code, "scoring %s", entry->path);
        if (code != CODE_OK) {
            out->skipped++;
            if (options->warnings && why)
                buffer_printf(options->warnings, "%s\n", why->text);
        }
        taken++;
        if (options->on_progress)
            options->on_progress(options->context, taken, wanted);
    }
    return CODE_OK;
}

enum code scoring_run(struct detector *detector, const struct dataset *dataset, const struct scoring_options *options,
                      struct scoring *out, struct failure *why)
{
    size_t total = count_images(dataset, options->split);
    enum code code = scoring_allocate(out, total, why);
    if (code == CODE_OK)
        code = score_all(detector, dataset, options, total, out, why);
    if (code != CODE_OK)
        scoring_free(out);
    return code;
}

static enum code evaluate_masks(const struct scoring *scoring, const struct dataset *dataset,
                                const float *threshold_by_class, struct evaluation *evaluation, struct failure *why)
{
    struct mask_tally tally;
    enum code code = mask_scoring_compare(scoring, dataset, threshold_by_class, &tally, &evaluation->mask_images, why);
    evaluation->mask_ap50 = mask_evaluation_ap(&tally);
    evaluation->mask_image_ap50 = mask_evaluation_image_ap(&tally);
    evaluation->mask_f1 = mask_evaluation_f1(&tally);
    return code;
}

enum code scoring_evaluate(const struct scoring *scoring, const struct dataset *dataset, const struct model_info *info,
                           struct evaluation *out, struct failure *why)
{
    const int classes = info->architecture.classes;
    enum code code = evaluation_compute(scoring->images, scoring->count, classes, info->thresholds.best_f1, out, why);
    if (code == CODE_OK)
        code = reliability_compute(scoring->images, scoring->count, classes, &info->thresholds, &out->reliability, why);
    return code == CODE_OK ? evaluate_masks(scoring, dataset, info->thresholds.best_f1, out, why) : code;
}
