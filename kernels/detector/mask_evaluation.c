/* Matching label maps: see mask_evaluation.h.  Runs of pixels with the same pair of labels are collected and sorted by the
 * pair; runs of one pair then stand together, and so do, sorted by either label, all pixels of an object. */
#include "mask_evaluation.h"

#include <math.h>
#include <stdlib.h>

#include "scope.h"

struct run {
    uint32_t truth, found;
    size_t pixels;
};

static int by_truth(const void *left, const void *right)
{
    const struct run *a = left, *b = right;
    if (a->truth != b->truth)
        return a->truth < b->truth ? -1 : 1;
    return (a->found > b->found) - (a->found < b->found);
}

static int by_found(const void *left, const void *right)
{
    const struct run *a = left, *b = right;
    if (a->found != b->found)
        return a->found < b->found ? -1 : 1;
    return (a->truth > b->truth) - (a->truth < b->truth);
}

static size_t count_runs(const uint32_t *truth, const uint32_t *found, size_t pixels)
{
    size_t count = pixels > 0;
    for (size_t i = 1; i < pixels; i++)
        count += truth[i] != truth[i - 1] || found[i] != found[i - 1];
    return count;
}

static void collect_runs(const uint32_t *truth, const uint32_t *found, size_t pixels, struct run *runs)
{
    size_t at = 0;
    for (size_t i = 0; i < pixels; i++) {
        if (i > 0 && (truth[i] != truth[i - 1] || found[i] != found[i - 1]))
            at++;
        runs[at].truth = truth[i];
        runs[at].found = found[i];
        runs[at].pixels++;
    }
}

/* Makes one run of each pair; they are sorted.  Returns how many are left. */
static size_t merge(struct run *runs, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept && runs[kept - 1].truth == runs[i].truth && runs[kept - 1].found == runs[i].found)
            runs[kept - 1].pixels += runs[i].pixels;
        else
            runs[kept++] = runs[i];
    }
    return kept;
}

/* An object's pixels: the first `count` runs of `runs` that have the label of the first one. */
struct object {
    uint32_t label;
    size_t pixels;
};

static size_t list_found(struct run *runs, size_t count, struct object *objects)
{
    size_t objects_count = 0;
    qsort(runs, count, sizeof *runs, by_found);
    for (size_t i = 0; i < count; i++) {
        if (runs[i].found == 0)
            continue;
        if (!objects_count || objects[objects_count - 1].label != runs[i].found)
            objects[objects_count++] = (struct object){.label = runs[i].found};
        objects[objects_count - 1].pixels += runs[i].pixels;
    }
    return objects_count;
}

static size_t pixels_of(const struct object *objects, size_t count, uint32_t label)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (objects[middle].label < label)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && objects[low].label == label ? objects[low].pixels : 0;
}

/* The IoU with what overlaps most; runs[0 .. count-1] are all of one annotated object. */
static double best_overlap(const struct run *runs, size_t count, const struct object *found, size_t found_count)
{
    size_t own = 0;
    double best = 0;
    for (size_t i = 0; i < count; i++)
        own += runs[i].pixels;
    for (size_t i = 0; i < count; i++) {
        if (runs[i].found == 0)
            continue;
        size_t joined = own + pixels_of(found, found_count, runs[i].found) - runs[i].pixels;
        best = fmax(best, (double)runs[i].pixels / (double)joined);
    }
    return best;
}

enum code mask_evaluation_add(struct mask_tally *tally, const uint32_t *truth, const uint32_t *found, size_t pixels,
                              double iou, struct failure *why)
{
    size_t count = count_runs(truth, found, pixels);
    SCOPE_FREE struct run *runs = calloc(count + 1, sizeof *runs);
    SCOPE_FREE struct object *objects = calloc(count + 1, sizeof *objects);
    if (!runs || !objects)
        return failure_set(why, CODE_NO_MEMORY, "comparing label maps: out of memory");
    collect_runs(truth, found, pixels, runs);
    size_t found_count = list_found(runs, count, objects);
    qsort(runs, count, sizeof *runs, by_truth);
    count = merge(runs, count);
    const struct mask_tally before = *tally;
    tally->found += found_count;
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && runs[end].truth == runs[i].truth;)
            end++;
        if (runs[i].truth == 0)
            continue;
        tally->objects++;
        double overlap = best_overlap(&runs[i], end - i, objects, found_count);
        tally->matched += overlap > iou;
        tally->matched_mean += fmin(fmax((overlap - 0.5) / 0.25, 0), 1);
    }
    const struct mask_tally image = {
        .matched = tally->matched - before.matched, .found = found_count, .objects = tally->objects - before.objects};
    tally->images++;
    tally->image_ap += mask_evaluation_ap(&image);
    return CODE_OK;
}

double mask_evaluation_ap(const struct mask_tally *tally)
{
    size_t all = tally->found + tally->objects - tally->matched;
    return all ? (double)tally->matched / (double)all : 1;
}

double mask_evaluation_image_ap(const struct mask_tally *tally)
{
    return tally->images ? tally->image_ap / (double)tally->images : 1;
}

double mask_evaluation_f1(const struct mask_tally *tally)
{
    size_t all = tally->found + tally->objects;
    return all ? 2 * (double)tally->matched / (double)all : 1;
}

double mask_evaluation_fit(const struct mask_tally *tally)
{
    size_t all = tally->found + tally->objects;
    return all ? 2 * tally->matched_mean / (double)all : 1;
}
