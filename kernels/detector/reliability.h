/* Whether probabilities are what they say: of the detections called 70 % likely, 70 % should be objects.
 *
 * Detections of all classes are put into ten bins by their calibrated probability.  The expected calibration
 * error (ECE) is the mean, over detections, of the distance between a bin's mean probability and its part of
 * true detections at IoU 0.5 (Naeini, Cooper, Hauskrecht: "Obtaining well calibrated probabilities using
 * Bayesian binning", AAAI 2015).  Most detections above the detector's floor are improbable ones and easily
 * right, so the error of those that count as found is told beside it.
 */
#ifndef CYTOFS_RELIABILITY_H
#define CYTOFS_RELIABILITY_H

#include <stddef.h>

#include "failure.h"

struct evaluation_image; /* evaluation.h */
struct thresholds;       /* thresholds.h */

#define RELIABILITY_BINS 10

struct reliability_bin {
    size_t count;               /* detections of this bin */
    double predicted, observed; /* their mean probability, their part of true ones; 0 where there is none */
};

struct reliability {
    size_t detections, found;                      /* all, and those above their class's threshold */
    double ece, ece_found;                         /* 0 where there is none */
    struct reliability_bin bins[RELIABILITY_BINS]; /* of all; bin k holds probabilities from k / 10 */
};

MUST_CHECK enum code reliability_compute(const struct evaluation_image *images, size_t count, int class_count,
                                         const struct thresholds *thresholds, struct reliability *out, struct failure *why);

#endif
