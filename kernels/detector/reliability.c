/* Binned calibration: see reliability.h. */
#include "reliability.h"

#include <math.h>
#include <stdlib.h>

#include "evaluation.h"
#include "thresholds.h"

/* Sums of one bin. */
struct sums {
    size_t count, true_count;
    double probability;
};

static void add(struct sums bins[RELIABILITY_BINS], double probability, bool is_true)
{
    int k = (int)(probability * RELIABILITY_BINS);
    struct sums *bin = &bins[k < RELIABILITY_BINS ? k : RELIABILITY_BINS - 1];
    bin->count++;
    bin->true_count += is_true;
    bin->probability += probability;
}

/* The distances of the bins, weighted by their counts; how many there are in *total. */
static double error_of(const struct sums bins[RELIABILITY_BINS], size_t *total)
{
    double sum = 0;
    *total = 0;
    for (int k = 0; k < RELIABILITY_BINS; k++) {
        sum += fabs(bins[k].probability - (double)bins[k].true_count);
        *total += bins[k].count;
    }
    return *total ? sum / (double)*total : 0;
}

enum code reliability_compute(const struct evaluation_image *images, size_t count, int class_count,
                              const struct thresholds *thresholds, struct reliability *out, struct failure *why)
{
    struct sums all[RELIABILITY_BINS] = {0}, found[RELIABILITY_BINS] = {0};
    *out = (struct reliability){0};
    for (int k = 0; k < class_count; k++) {
        struct evaluation_verdicts verdicts;
        enum code code = evaluation_judge(images, count, k, 0.5f, &verdicts, why);
        if (code != CODE_OK)
            return code;
        for (size_t i = 0; i < verdicts.count; i++) {
            const struct evaluation_match *match = &verdicts.matches[i];
            double probability = (double)thresholds_probability(&thresholds->calibration[k], match->score);
            add(all, probability, match->is_true);
            if (match->score >= thresholds->best_f1[k])
                add(found, probability, match->is_true);
        }
        free(verdicts.matches);
    }
    out->ece = error_of(all, &out->detections);
    out->ece_found = error_of(found, &out->found);
    for (int k = 0; k < RELIABILITY_BINS; k++)
        if (all[k].count)
            out->bins[k] = (struct reliability_bin){.count = all[k].count,
                                                    .predicted = all[k].probability / (double)all[k].count,
                                                    .observed = (double)all[k].true_count / (double)all[k].count};
    return CODE_OK;
}
