/* Scores of outlines: see mask_scoring.h.  A fit tries every variant of a row on every image, which is read once.  Of
 * factors it takes the top of the parabola through the best one and its two neighbours; of thresholds the best one where
 * each counts together with its neighbours, since whether single objects match jumps. */
#include "mask_scoring.h"

#include <math.h>
#include <stdlib.h>

#include "outline.h"
#include "scope.h"

#define FACTORS  14
#define SHIFTS   21
#define VARIANTS SHIFTS

static const double factor_first = 0.9, factor_step = 0.02;
static const double shift_first = -1.5, shift_step = 0.125;

_Static_assert(FACTORS <= VARIANTS, "a trial has room for either row");

/* Outlines drawn `factor` times as large, of what is above the thresholds moved by `shift`. */
struct variant {
    double factor, shift;
};

/* What they came to. */
struct trial {
    const float *threshold_by_class;
    int count;
    struct variant variants[VARIANTS];
    struct mask_tally tallies[VARIANTS];
    size_t images;
};

static bool is_kept(const struct detection *item, const float *threshold_by_class, double shift)
{
    return item->score >= thresholds_moved(threshold_by_class[item->class_index], shift);
}

/* Paints the detections and compares. */
static enum code compare(const struct detection_list *found, const float *threshold_by_class, const struct variant *variant,
                         const struct dataset_image *entry, const uint32_t *truth, uint32_t *labels,
                         struct mask_tally *tally, struct failure *why)
{
    SCOPE_DETECTIONS list = {.ray_count = found->ray_count};
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < found->count; i++)
        if (is_kept(&found->items[i], threshold_by_class, variant->shift))
            code = detection_list_add(&list, &found->items[i], why);
    detection_list_enlarge(&list, variant->factor);
    if (code == CODE_OK)
        code = outline_paint(&list, entry->width, entry->height, labels, why);
    size_t pixels = (size_t)entry->width * (size_t)entry->height;
    return code == CODE_OK ? mask_evaluation_add(tally, truth, labels, pixels, 0.5, why) : code;
}

static enum code try_image(const struct dataset *dataset, const struct dataset_image *entry,
                           const struct detection_list *found, struct trial *trial, struct failure *why)
{
    SCOPE_FREE uint32_t *truth = NULL;
    SCOPE_FREE uint32_t *labels = calloc((size_t)entry->width * (size_t)entry->height, sizeof *labels);
    enum code code = labels ? dataset_read_labels(dataset, entry, &truth, why)
                            : failure_set(why, CODE_NO_MEMORY, "%s: out of memory", entry->path);
    for (int i = 0; code == CODE_OK && i < trial->count; i++)
        code = compare(found, trial->threshold_by_class, &trial->variants[i], entry, truth, labels, &trial->tallies[i], why);
    trial->images++;
    return code;
}

static enum code try_all(const struct scoring *scoring, const struct dataset *dataset, struct trial *trial,
                         struct failure *why)
{
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < scoring->count; i++)
        if (scoring->entries[i]->mask_paths && scoring->lists[i].ray_count >= 3)
            code = try_image(dataset, scoring->entries[i], &scoring->lists[i], trial, why);
    return code;
}

static bool is_enough(const struct trial *trial)
{
    return trial->tallies[0].objects >= MASK_SCORING_OBJECTS_MIN;
}

enum code mask_scoring_compare(const struct scoring *scoring, const struct dataset *dataset, const float *threshold_by_class,
                               struct mask_tally *tally, size_t *images, struct failure *why)
{
    struct trial trial = {.threshold_by_class = threshold_by_class, .count = 1, .variants = {{.factor = 1}}};
    enum code code = try_all(scoring, dataset, &trial, why);
    *tally = trial.tallies[0];
    *images = trial.images;
    return code;
}

/* The best factor; of equally good ones the nearest to 1. */
static int find_best_factor(const struct trial *trial)
{
    int best = 0;
    for (int i = 1; i < trial->count; i++) {
        double here = mask_evaluation_fit(&trial->tallies[i]), there = mask_evaluation_fit(&trial->tallies[best]);
        bool is_nearer = fabs(trial->variants[i].factor - 1) < fabs(trial->variants[best].factor - 1);
        if (here > there || (here == there && is_nearer))
            best = i;
    }
    return best;
}

/* Between its neighbours, where it has two and is above them. */
static double refine(const struct trial *trial, int best)
{
    if (best == 0 || best == trial->count - 1)
        return trial->variants[best].factor;
    double left = mask_evaluation_fit(&trial->tallies[best - 1]), top = mask_evaluation_fit(&trial->tallies[best]),
           right = mask_evaluation_fit(&trial->tallies[best + 1]);
    if (!(top > left) || !(top > right))
        return trial->variants[best].factor;
    return trial->variants[best].factor + factor_step * (right - left) / (2 * (2 * top - left - right));
}

enum code mask_scoring_fit(const struct scoring *scoring, const struct dataset *dataset, const float *threshold_by_class,
                           double *factor, struct failure *why)
{
    struct trial trial = {.threshold_by_class = threshold_by_class, .count = FACTORS};
    for (int i = 0; i < FACTORS; i++)
        trial.variants[i].factor = factor_first + factor_step * i;
    enum code code = try_all(scoring, dataset, &trial, why);
    *factor = code == CODE_OK && is_enough(&trial) ? refine(&trial, find_best_factor(&trial)) : 1;
    return code;
}

/* F1 of a variant, half of it its neighbours'. */
static double smoothed_f1(const struct trial *trial, int i)
{
    int left = i > 0 ? i - 1 : i, right = i < trial->count - 1 ? i + 1 : i;
    return mask_evaluation_f1(&trial->tallies[i]) / 2 + mask_evaluation_f1(&trial->tallies[left]) / 4 +
           mask_evaluation_f1(&trial->tallies[right]) / 4;
}

/* The best shift; of equally good ones the smallest. */
static int find_best_shift(const struct trial *trial)
{
    int best = 0;
    for (int i = 1; i < trial->count; i++) {
        double here = smoothed_f1(trial, i), there = smoothed_f1(trial, best);
        bool is_smaller = fabs(trial->variants[i].shift) < fabs(trial->variants[best].shift);
        if (here > there || (here == there && is_smaller))
            best = i;
    }
    return best;
}

enum code mask_scoring_fit_thresholds(const struct scoring *scoring, const struct dataset *dataset,
                                      const float *threshold_by_class, double *shift, struct failure *why)
{
    struct trial trial = {.threshold_by_class = threshold_by_class, .count = SHIFTS};
    for (int i = 0; i < SHIFTS; i++)
        trial.variants[i] = (struct variant){1, shift_first + shift_step * i};
    enum code code = try_all(scoring, dataset, &trial, why);
    *shift = code == CODE_OK && is_enough(&trial) ? trial.variants[find_best_shift(&trial)].shift : 0;
    return code;
}
