/* Matching and average precision: see evaluation.h.
 *
 * Per class: every image is matched by itself (its detections best first, each object taken at most once),
 * then the verdicts of all images are merged in score order.  Ties in score keep the order of the images, so
 * the figures are the same on every machine.
 */
#include "evaluation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scope.h"

struct ranked {
    struct evaluation_match match;
    size_t order; /* position before sorting, for stable ties */
};

static int by_score(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    if (a->match.score != b->match.score)
        return a->match.score < b->match.score ? 1 : -1;
    return (a->order > b->order) - (a->order < b->order);
}

static int detections_by_score(const void *left, const void *right)
{
    const struct detection *a = *(const struct detection *const *)left, *b = *(const struct detection *const *)right;
    if (a->score != b->score)
        return a->score < b->score ? 1 : -1;
    return (a > b) - (a < b);
}

/* Index of the free object of the class that the detection overlaps most, at `iou` or more; -1 for none. */
static ptrdiff_t best_object(const struct evaluation_image *image, const struct detection *item, const bool *taken,
                             float iou)
{
    ptrdiff_t best = -1;
    for (size_t i = 0; i < image->truth_count; i++) {
        if (taken[i] || image->truths[i].class_index != item->class_index)
            continue;
        float overlap = detection_iou(&image->truths[i].box, &item->box);
        if (overlap >= iou) {
            best = (ptrdiff_t)i;
            iou = nextafterf(overlap, 2);
        }
    }
    return best;
}

static size_t select_class(const struct evaluation_image *image, int class_index, const struct detection **items)
{
    size_t count = 0;
    for (size_t i = 0; i < image->detection_count; i++)
        if (image->detections[i].class_index == class_index)
            items[count++] = &image->detections[i];
    if (count > 1)
        qsort(items, count, sizeof(const struct detection *), detections_by_score);
    return count;
}

struct matcher {
    const struct detection **items; /* room for the fullest image's detections */
    bool *taken;                    /* room for the fullest image's objects */
    struct ranked *ranked;          /* room for all detections */
    size_t ranked_count;
};

static void match_image(struct matcher *matcher, const struct evaluation_image *image, int class_index, float iou)
{
    size_t count = select_class(image, class_index, matcher->items);
    memset(matcher->taken, 0, image->truth_count * sizeof *matcher->taken);
    for (size_t i = 0; i < count; i++) {
        ptrdiff_t object = best_object(image, matcher->items[i], matcher->taken, iou);
        if (object >= 0)
            matcher->taken[object] = true;
        matcher->ranked[matcher->ranked_count] =
            (struct ranked){{matcher->items[i]->score, object >= 0}, matcher->ranked_count};
        matcher->ranked_count++;
    }
}

static size_t count_objects(const struct evaluation_image *image, int class_index)
{
    size_t count = 0;
    for (size_t i = 0; i < image->truth_count; i++)
        count += image->truths[i].class_index == class_index;
    return count;
}

enum code evaluation_judge(const struct evaluation_image *images, size_t count, int class_index, float iou,
                           struct evaluation_verdicts *out, struct failure *why)
{
    size_t detections = 0, fullest = 0, objects = 0;
    *out = (struct evaluation_verdicts){0};
    for (size_t i = 0; i < count; i++) {
        detections += images[i].detection_count;
        fullest = images[i].detection_count > fullest ? images[i].detection_count : fullest;
        objects = images[i].truth_count > objects ? images[i].truth_count : objects;
        out->object_count += count_objects(&images[i], class_index);
    }
    SCOPE_FREE const struct detection **items = calloc(fullest + 1, sizeof *items);
    SCOPE_FREE bool *taken = calloc(objects + 1, sizeof *taken);
    SCOPE_FREE struct ranked *ranked = calloc(detections + 1, sizeof *ranked);
    struct evaluation_match *matches = calloc(detections + 1, sizeof *matches);
    if (!items || !taken || !ranked || !matches) {
        free(matches);
        return failure_set(why, CODE_NO_MEMORY, "evaluating %zu detections: out of memory", detections);
    }
    struct matcher matcher = {items, taken, ranked, 0};
    for (size_t i = 0; i < count; i++)
        match_image(&matcher, &images[i], class_index, iou);
    qsort(ranked, matcher.ranked_count, sizeof *ranked, by_score);
    for (size_t i = 0; i < matcher.ranked_count; i++)
        matches[i] = ranked[i].match;
    out->matches = matches;
    out->count = matcher.ranked_count;
    return CODE_OK;
}

double evaluation_average_precision(const struct evaluation_match *matches, size_t count, size_t object_count)
{
    if (object_count == 0)
        return NAN;
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += matches[i].is_true;
    /* From the worst detection up: precision at or beyond each recall is the best seen so far. */
    double best = 0, sum = 0;
    int point = 100;
    for (size_t i = count; i-- > 0 && point >= 0;) {
        double recall = (double)found / (double)object_count;
        for (; point >= 0 && (double)point / 100 > recall; point--)
            sum += best;
        best = fmax(best, (double)found / (double)(i + 1));
        found -= matches[i].is_true;
    }
    for (; point >= 0 && count > 0; point--)
        sum += best;
    return sum / 101;
}

static double ratio_or(double numerator, double denominator, double otherwise)
{
    return denominator > 0 ? numerator / denominator : otherwise;
}

struct tally {
    size_t true_positives, detected, objects;
};

static void tally_scores(const struct tally *tally, double *precision, double *recall, double *f1)
{
    *precision = ratio_or((double)tally->true_positives, (double)tally->detected, tally->objects ? 0 : 1);
    *recall = ratio_or((double)tally->true_positives, (double)tally->objects, 1);
    *f1 = ratio_or(2 * (double)tally->true_positives, (double)(tally->detected + tally->objects), 1);
}

static void tally_found(const struct evaluation_verdicts *verdicts, float threshold, struct tally *tally)
{
    for (size_t i = 0; i < verdicts->count && verdicts->matches[i].score >= threshold; i++) {
        tally->true_positives += verdicts->matches[i].is_true;
        tally->detected++;
    }
}

static enum code compute_class(const struct evaluation_image *images, size_t count, int class_index,
                               struct evaluation_class *out, struct tally *tally, float threshold, struct failure *why)
{
    double sum = 0;
    for (int t = 0; t < EVALUATION_IOUS; t++) {
        struct evaluation_verdicts verdicts;
        enum code code = evaluation_judge(images, count, class_index, (float)(50 + 5 * t) / 100, &verdicts, why);
        if (code != CODE_OK)
            return code;
        out->objects = verdicts.object_count;
        out->ap[t] = evaluation_average_precision(verdicts.matches, verdicts.count, verdicts.object_count);
        sum += out->ap[t];
        if (t == 0)
            tally_found(&verdicts, threshold, tally);
        free(verdicts.matches);
    }
    out->map = sum / EVALUATION_IOUS;
    tally->objects = out->objects;
    tally_scores(tally, &out->precision, &out->recall, &out->f1);
    return CODE_OK;
}

static int count_difference(const struct evaluation_image *image, int class_index, float threshold)
{
    int detected = 0;
    for (size_t i = 0; i < image->detection_count; i++)
        detected += image->detections[i].class_index == class_index && image->detections[i].score >= threshold;
    return detected - (int)count_objects(image, class_index);
}

static void compute_counts(const struct evaluation_image *images, size_t count, const float *threshold_by_class,
                           struct evaluation *out)
{
    for (size_t i = 0; i < count; i++) {
        int total = 0;
        for (int k = 0; k < out->class_count; k++) {
            int difference = count_difference(&images[i], k, threshold_by_class[k]);
            out->classes[k].count_mae += (double)abs(difference) / (double)count;
            out->classes[k].count_bias += (double)difference / (double)count;
            total += difference;
        }
        out->count_mae += (double)abs(total) / (double)count;
        out->count_bias += (double)total / (double)count;
    }
}

enum code evaluation_compute(const struct evaluation_image *images, size_t count, int class_count,
                             const float *threshold_by_class, struct evaluation *out, struct failure *why)
{
    *out = (struct evaluation){.images = count, .class_count = class_count};
    struct tally all = {0};
    int present = 0;
    for (int k = 0; k < class_count; k++) {
        struct tally tally = {0};
        enum code code = compute_class(images, count, k, &out->classes[k], &tally, threshold_by_class[k], why);
        if (code != CODE_OK)
            return code;
        all.true_positives += tally.true_positives;
        all.detected += tally.detected;
        all.objects += tally.objects;
        if (tally.objects == 0)
            continue;
        present++;
        out->ap50 += out->classes[k].ap[0];
        out->ap75 += out->classes[k].ap[5];
        out->map += out->classes[k].map;
    }
    out->objects = all.objects;
    out->ap50 = present ? out->ap50 / present : NAN;
    out->ap75 = present ? out->ap75 / present : NAN;
    out->map = present ? out->map / present : NAN;
    tally_scores(&all, &out->precision, &out->recall, &out->f1);
    compute_counts(images, count, threshold_by_class, out);
    return CODE_OK;
}
