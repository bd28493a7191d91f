/* Outlines of what was found beside annotated label maps: how good they are, and how much larger they should be drawn.
 *
 * Averages of logarithms, which the network learns and which views are joined by, lie below averages: outlines come out a
 * little too small where the network is unsure.  How much shows on the validation images.  (DSB 2018, CellDet-N, 9600 steps,
 * four views: 1.05 times; mask AP50 of the validation images from 0.828 to 0.838, of the test images from 0.836 to 0.841.)
 */
#ifndef CYTOFS_MASK_SCORING_H
#define CYTOFS_MASK_SCORING_H

#include "mask_evaluation.h"
#include "scoring.h"

/* Compares what is above its class's threshold with the label maps, where the model has rays and images have such maps.
 * *images: how many were compared; the tally is of them all, at IoU 0.5. */
MUST_CHECK enum code mask_scoring_compare(const struct scoring *scoring, const struct dataset *dataset,
                                          const float *threshold_by_class, struct mask_tally *tally, size_t *images,
                                          struct failure *why);

/* How many times as large outlines match best (mask_evaluation_fit), 0.9 .. 1.16.  1 where fewer than
 * MASK_SCORING_OBJECTS_MIN annotated objects have label maps. */
#define MASK_SCORING_OBJECTS_MIN 50
MUST_CHECK enum code mask_scoring_fit(const struct scoring *scoring, const struct dataset *dataset,
                                      const float *threshold_by_class, double *factor, struct failure *why);

/* How far thresholds should be moved, in logits (thresholds_moved), so that most outlines match: F1 at IoU 0.5; -1.5 .. 1.
 * Thresholds are chosen by boxes, of which each that is one too many counts; of outlines one over the other, all but the
 * best are dropped (outline_paint), so lower scores are worth keeping.  0 as above. */
MUST_CHECK enum code mask_scoring_fit_thresholds(const struct scoring *scoring, const struct dataset *dataset,
                                                 const float *threshold_by_class, double *shift, struct failure *why);

#endif
