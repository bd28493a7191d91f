/* How good label maps are: objects matched by the overlap of their pixels.
 *
 * Above an IoU of 0.5 an object has at most one partner, so matching needs no order and no score.  From the sums over all
 * images: AP = TP / (TP + FP + FN), as StarDist's matching_dataset gives it; F1 = 2 TP / (2 TP + FP + FN).  The Data Science
 * Bowl 2018 (Caicedo et al., Nature Methods 2019) takes each image's AP, and the mean of them.  How well outlines fit beyond
 * that tells the mean of F1 over all IoU from 0.5 to 0.75.
 */
#ifndef CYTOFS_MASK_EVALUATION_H
#define CYTOFS_MASK_EVALUATION_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

struct mask_tally {
    size_t matched, found, objects; /* pairs; labels in the detections' map; labels in the annotations' map */
    double matched_mean;            /* pairs, the mean over all IoU from 0.5 to 0.75 */
    size_t images;
    double image_ap; /* the sum over images */
};

/* Adds one image: two label maps of `pixels` pixels, 0 being background.  iou: 0.5 .. 1; a pair must exceed it. */
MUST_CHECK enum code mask_evaluation_add(struct mask_tally *tally, const uint32_t *truth, const uint32_t *found,
                                         size_t pixels, double iou, struct failure *why);

/* 1 where there is nothing to find and nothing was found. */
double mask_evaluation_ap(const struct mask_tally *tally);
double mask_evaluation_image_ap(const struct mask_tally *tally); /* the mean over images */
double mask_evaluation_f1(const struct mask_tally *tally);

/* The mean of F1 over all IoU from 0.5 to 0.75: it grows with every pixel that fits better. */
double mask_evaluation_fit(const struct mask_tally *tally);

#endif
