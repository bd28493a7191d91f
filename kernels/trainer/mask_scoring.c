/* Scores of outlines: see mask_scoring.h.  The fit tries every factor of a row on every image, which is read once, and takes
 * the top of the parabola through the best factor and its two neighbours. */
#include "mask_scoring.h"

#include <math.h>
#include <stdlib.h>

#include "outline.h"
#include "scope.h"

#define FACTORS 14

static const double factor_first = 0.9, factor_step = 0.02;

/* What outlines of these sizes came to. */
struct trial {
    int count;
    double factors[FACTORS];
    struct mask_tally tallies[FACTORS];
    size_t images;
};

/* Paints the detections, `factor` times as large, and compares. */
static enum code compare(const struct detection_list *found, double factor, const struct dataset_image *entry,
                         const uint32_t *truth, uint32_t *labels, struct mask_tally *tally, struct failure *why)
{
    SCOPE_DETECTIONS list = {.ray_count = found->ray_count};
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < found->count; i++)
        code = detection_list_add(&list, &found->items[i], why);
    detection_list_enlarge(&list, factor);
    if (code == CODE_OK)
        code = outline_paint(&list, entry->width, entry->height, labels, why);
    size_t pixels = (size_t)entry->width * (size_t)entry->height;
    return code == CODE_OK ? mask_evaluation_add(tally, truth, labels, pixels, 0.5, why) : code;
}

static enum code try_image(const struct dataset *dataset, const struct dataset_image *entry,
                           const struct detection_list *found, const float *threshold_by_class, struct trial *trial,
                           struct failure *why)
{
    SCOPE_FREE uint32_t *truth = NULL;
    SCOPE_FREE uint32_t *labels = calloc((size_t)entry->width * (size_t)entry->height, sizeof *labels);
    SCOPE_DETECTIONS list = {.ray_count = found->ray_count};
    enum code code = labels ? dataset_read_labels(dataset, entry, &truth, why)
                            : failure_set(why, CODE_NO_MEMORY, "%s: out of memory", entry->path);
    for (size_t i = 0; code == CODE_OK && i < found->count; i++)
        code = detection_list_add(&list, &found->items[i], why);
    detection_list_keep_above(&list, threshold_by_class);
    for (int i = 0; code == CODE_OK && i < trial->count; i++)
        code = compare(&list, trial->factors[i], entry, truth, labels, &trial->tallies[i], why);
    trial->images++;
    return code;
}

static enum code try_all(const struct scoring *scoring, const struct dataset *dataset, const float *threshold_by_class,
                         struct trial *trial, struct failure *why)
{
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < scoring->count; i++)
        if (scoring->entries[i]->mask_paths && scoring->lists[i].ray_count >= 3)
            code = try_image(dataset, scoring->entries[i], &scoring->lists[i], threshold_by_class, trial, why);
    return code;
}

enum code mask_scoring_compare(const struct scoring *scoring, const struct dataset *dataset, const float *threshold_by_class,
                               struct mask_tally *tally, size_t *images, struct failure *why)
{
    struct trial trial = {.count = 1, .factors = {1}};
    enum code code = try_all(scoring, dataset, threshold_by_class, &trial, why);
    *tally = trial.tallies[0];
    *images = trial.images;
    return code;
}

/* The best factor; of equally good ones the nearest to 1. */
static int find_best(const struct trial *trial)
{
    int best = 0;
    for (int i = 1; i < trial->count; i++) {
        double here = mask_evaluation_fit(&trial->tallies[i]), there = mask_evaluation_fit(&trial->tallies[best]);
        bool is_nearer = fabs(trial->factors[i] - 1) < fabs(trial->factors[best] - 1);
        if (here > there || (here == there && is_nearer))
            best = i;
    }
    return best;
}

/* Between its neighbours, where it has two and is above them. */
static double refine(const struct trial *trial, int best)
{
    if (best == 0 || best == trial->count - 1)
        return trial->factors[best];
    double left = mask_evaluation_fit(&trial->tallies[best - 1]), top = mask_evaluation_fit(&trial->tallies[best]),
           right = mask_evaluation_fit(&trial->tallies[best + 1]);
    if (!(top > left) || !(top > right))
        return trial->factors[best];
    return trial->factors[best] + factor_step * (right - left) / (2 * (2 * top - left - right));
}

enum code mask_scoring_fit(const struct scoring *scoring, const struct dataset *dataset, const float *threshold_by_class,
                           double *factor, struct failure *why)
{
    struct trial trial = {.count = FACTORS};
    for (int i = 0; i < FACTORS; i++)
        trial.factors[i] = factor_first + factor_step * i;
    enum code code = try_all(scoring, dataset, threshold_by_class, &trial, why);
    bool is_enough = trial.tallies[0].objects >= MASK_SCORING_OBJECTS_MIN;
    *factor = code == CODE_OK && is_enough ? refine(&trial, find_best(&trial)) : 1;
    return code;
}
