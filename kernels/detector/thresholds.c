/* Choosing thresholds and calibrations: see thresholds.h. */
#include "thresholds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int calibration_rounds = 50;
static const size_t calibration_each_min = 10;
static const double calibration_pull = 1e-3; /* ridge towards {1, 0}: separable verdicts have no finite optimum */

/* Half way between two scores, so that the choice does not hang on one detection's last bit. */
static float between(float kept, float dropped)
{
    return (kept + dropped) / 2;
}

float thresholds_best_f1(const struct evaluation_match *matches, size_t count, size_t object_count)
{
    size_t found = 0;
    double best = 0;
    float threshold = THRESHOLDS_DEFAULT;
    for (size_t i = 0; i < count; i++) {
        found += matches[i].is_true;
        if (i + 1 < count && matches[i + 1].score == matches[i].score)
            continue;
        double f1 = 2 * (double)found / (double)(i + 1 + object_count);
        if (f1 > best) {
            best = f1;
            threshold = between(matches[i].score, i + 1 < count ? matches[i + 1].score : 0);
        }
    }
    return threshold;
}

static float unbiased_threshold(const struct evaluation_match *matches, size_t count, size_t object_count)
{
    if (object_count == 0 || count == 0)
        return THRESHOLDS_DEFAULT;
    if (object_count >= count)
        return matches[count - 1].score / 2;
    return between(matches[object_count - 1].score, matches[object_count].score);
}

static double logit(float score)
{
    double p = fmin(fmax((double)score, 1e-6), 1 - 1e-6);
    return log(p / (1 - p));
}

float thresholds_probability(const struct calibration *calibration, float score)
{
    return (float)(1 / (1 + exp(-(calibration->slope * logit(score) + calibration->offset))));
}

float thresholds_moved(float threshold, double shift)
{
    return shift == 0 ? threshold : thresholds_probability(&(struct calibration){1, shift}, threshold);
}

/* One Newton step of the ridged log-likelihood; returns how far it went. */
static double improve(struct calibration *fit, const struct evaluation_match *matches, size_t count)
{
    double pull = calibration_pull * (double)count;
    double g0 = pull * (fit->slope - 1), g1 = pull * fit->offset, h00 = pull, h01 = 0, h11 = pull;
    for (size_t i = 0; i < count; i++) {
        double x = logit(matches[i].score), p = thresholds_probability(fit, matches[i].score);
        double error = p - matches[i].is_true, weight = p * (1 - p);
        g0 += error * x;
        g1 += error;
        h00 += weight * x * x;
        h01 += weight * x;
        h11 += weight;
    }
    double determinant = h00 * h11 - h01 * h01;
    double step0 = (h11 * g0 - h01 * g1) / determinant, step1 = (h00 * g1 - h01 * g0) / determinant;
    double length = fmax(fabs(step0), fabs(step1)), damping = length > 1 ? 1 / length : 1;
    fit->slope -= damping * step0;
    fit->offset -= damping * step1;
    return length;
}

struct calibration thresholds_calibrate(const struct evaluation_match *matches, size_t count)
{
    struct calibration fit = {1, 0};
    size_t true_count = 0;
    for (size_t i = 0; i < count; i++)
        true_count += matches[i].is_true;
    if (true_count < calibration_each_min || count - true_count < calibration_each_min)
        return fit;
    for (int round = 0; round < calibration_rounds; round++)
        if (improve(&fit, matches, count) < 1e-9)
            break;
    /* A falling curve would mean that better scores are worse: only noise does that. */
    return fit.slope > 0 && isfinite(fit.slope) && isfinite(fit.offset) ? fit : (struct calibration){1, 0};
}

static int by_score(const void *left, const void *right)
{
    const struct evaluation_match *a = left, *b = right;
    if (a->score != b->score)
        return a->score < b->score ? 1 : -1;
    return b->is_true - a->is_true;
}

/* All classes' verdicts in one list, best first. */
struct pool {
    struct evaluation_match *matches;
    size_t count, objects;
};

static enum code pool_add(struct pool *pool, const struct evaluation_verdicts *verdicts, struct failure *why)
{
    struct evaluation_match *grown = reallocarray(pool->matches, pool->count + verdicts->count + 1, sizeof *grown);
    if (!grown)
        return failure_set(why, CODE_NO_MEMORY, "choosing thresholds: out of memory");
    pool->matches = grown;
    memcpy(grown + pool->count, verdicts->matches, verdicts->count * sizeof *grown);
    pool->count += verdicts->count;
    pool->objects += verdicts->object_count;
    return CODE_OK;
}

/* From a class's own verdicts alone; those go into the pool as well. */
static enum code choose_class(const struct evaluation_image *images, size_t count, int k, struct thresholds *out,
                              struct pool *pool, struct failure *why)
{
    struct evaluation_verdicts verdicts;
    enum code code = evaluation_judge(images, count, k, 0.5f, &verdicts, why);
    if (code != CODE_OK)
        return code;
    out->best_f1[k] = thresholds_best_f1(verdicts.matches, verdicts.count, verdicts.object_count);
    out->unbiased[k] = unbiased_threshold(verdicts.matches, verdicts.count, verdicts.object_count);
    out->calibration[k] = thresholds_calibrate(verdicts.matches, verdicts.count);
    code = pool_add(pool, &verdicts, why);
    free(verdicts.matches);
    return code;
}

enum code thresholds_choose(const struct evaluation_image *images, size_t count, int class_count, struct thresholds *out,
                            struct failure *why)
{
    *out = (struct thresholds){0};
    size_t objects[DETECTION_CLASSES_MAX];
    struct pool pool = {0};
    enum code code = CODE_OK;
    for (int k = 0; k < class_count && code == CODE_OK; k++) {
        size_t before = pool.objects;
        code = choose_class(images, count, k, out, &pool, why);
        objects[k] = pool.objects - before;
    }
    if (code == CODE_OK) {
        if (pool.count > 1)
            qsort(pool.matches, pool.count, sizeof *pool.matches, by_score);
        out->best_f1_all = thresholds_best_f1(pool.matches, pool.count, pool.objects);
        struct calibration shared = thresholds_calibrate(pool.matches, pool.count);
        for (int k = 0; k < class_count; k++) {
            if (objects[k] >= THRESHOLDS_OBJECTS_MIN)
                continue;
            float own = (float)objects[k] / THRESHOLDS_OBJECTS_MIN;
            out->best_f1[k] = own * out->best_f1[k] + (1 - own) * out->best_f1_all;
            out->calibration[k] = shared;
        }
    }
    free(pool.matches);
    return code;
}
