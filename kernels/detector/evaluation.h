/* How good detections are, against annotated objects.
 *
 * Average precision as in COCO (Lin et al.: "Microsoft COCO", ECCV 2014): greedy matching in score order per
 * image and class, a detection takes the free object that it overlaps most, at IoU >= t; precision
 * interpolated at 101 recalls; no cap on detections; classes without an object are left out of means.  An
 * image without objects and without detections is perfect.
 */
#ifndef CYTOFS_EVALUATION_H
#define CYTOFS_EVALUATION_H

#include <stdbool.h>
#include <stddef.h>

#include "detection.h"
#include "reliability.h"

#define EVALUATION_IOUS 10 /* 0.50, 0.55 ... 0.95 */

/* One image; nothing is owned.  Detections may come in any order. */
struct evaluation_image {
    const struct truth *truths;
    size_t truth_count;
    const struct detection *detections;
    size_t detection_count;
};

struct evaluation_class {
    size_t objects;               /* annotated ones */
    double ap[EVALUATION_IOUS];   /* average precision at each IoU; NAN without objects */
    double map;                   /* their mean */
    double precision, recall, f1; /* at the class's threshold and IoU 0.5 */
    double count_mae, count_bias; /* detected at the threshold - annotated, per image: mean |.|, mean */
};

struct evaluation {
    size_t images, objects;
    int class_count;
    double ap50, ap75, map;       /* means over classes with objects; NAN where there is none */
    double precision, recall, f1; /* over all classes together */
    double count_mae, count_bias; /* of all classes together */
    /* By pixels at IoU 0.5 and the classes' thresholds (mask_evaluation.h), all classes as one; evaluation_compute leaves
     * them undefined (mask_images 0), whoever has label maps fills them in. */
    size_t mask_images;
    double mask_ap50, mask_image_ap50, mask_f1; /* the second: the mean over images */
    /* Left at 0 by evaluation_compute, which knows no calibration. */
    struct reliability reliability;
    struct evaluation_class classes[DETECTION_CLASSES_MAX];
};

/* `threshold_by_class` decides what counts as found for precision, recall, F1 and counts. */
MUST_CHECK enum code evaluation_compute(const struct evaluation_image *images, size_t count, int class_count,
                                        const float *threshold_by_class, struct evaluation *out, struct failure *why);

/* One detection of a class, judged. */
struct evaluation_match {
    float score;
    bool is_true;
};

/* Every detection of one class in all images, judged. */
struct evaluation_verdicts {
    struct evaluation_match *matches; /* best first; owned by whoever asked for them: free() */
    size_t count;
    size_t object_count; /* annotated objects of the class */
};

/* Judges the detections of one class at IoU `iou`.  Where it fails, nothing is to be freed. */
MUST_CHECK enum code evaluation_judge(const struct evaluation_image *images, size_t count, int class_index, float iou,
                                      struct evaluation_verdicts *out, struct failure *why);

/* Interpolated average precision of matches, best first. */
double evaluation_average_precision(const struct evaluation_match *matches, size_t count, size_t object_count);

#endif
