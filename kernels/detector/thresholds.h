/* Which scores count as found, and what a score is worth: chosen on the validation images. */
#ifndef CYTOFS_THRESHOLDS_H
#define CYTOFS_THRESHOLDS_H

#include "evaluation.h"

#define THRESHOLDS_DEFAULT 0.3f /* where there is nothing to choose by */
#define THRESHOLDS_OBJECTS_MIN                                                                                              \
    50 /* fewer annotated objects lean on the threshold of all classes together                                             \
        */

/* Platt scaling: probability = 1 / (1 + exp(-(slope * logit(score) + offset))).  (Platt: "Probabilistic
 * outputs for support vector machines", 1999.)  {1, 0} leaves scores as they are. */
struct calibration {
    double slope, offset;
};

struct thresholds {
    float best_f1[DETECTION_CLASSES_MAX];  /* maximises F1 at IoU 0.5, of boxes, or of outlines where the model
                                              has any; shrunk to best_f1_all where objects are few */
    float best_f1_all;                     /* of all classes together */
    float unbiased[DETECTION_CLASSES_MAX]; /* as many detections as annotated objects: for counting */
    struct calibration calibration[DETECTION_CLASSES_MAX];
};

MUST_CHECK enum code thresholds_choose(const struct evaluation_image *images, size_t count, int class_count,
                                       struct thresholds *out, struct failure *why);

/* The score, best first in matches, with the highest F1; THRESHOLDS_DEFAULT without objects or detections. */
float thresholds_best_f1(const struct evaluation_match *matches, size_t count, size_t object_count);

/* {1, 0} where there are fewer than ten true or ten false detections: too few to fit. */
struct calibration thresholds_calibrate(const struct evaluation_match *matches, size_t count);

/* A threshold with `shift` added to its logit; itself where that is 0. */
float thresholds_moved(float threshold, double shift);

float thresholds_probability(const struct calibration *calibration, float score);

#endif
