/* One detected object, a list of them, and the geometry of boxes.  Values only; any thread. */
#ifndef CYTOFS_DETECTION_H
#define CYTOFS_DETECTION_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "network.h"

#define DETECTION_CLASSES_MAX 80

/* [x0, x1) x [y0, y1) in continuous pixels. */
struct box {
    float x0, y0, x1, y1;
};

/* Coordinates are continuous pixels of the image as it lies in the file. */
struct detection {
    struct box box;
    float score;                  /* the network's, 0 .. 1; not calibrated */
    float probability;            /* that it is a true object, 0 .. 1; equals score without a calibration */
    int32_t class_index;          /* into the model's class names */
    float origin_x, origin_y;     /* where the rays start */
    float rays[NETWORK_RAYS_MAX]; /* px, direction k at angle 2 pi k / ray_count; see detection_list.ray_count
                                   */
};

struct detection_list {
    struct detection *items; /* owned */
    size_t count, capacity;
    int ray_count; /* 0 where the model gives boxes only */
};

#define SCOPE_DETECTIONS __attribute__((cleanup(detection_list_free))) struct detection_list

/* An annotated object, as an evaluation needs it. */
struct truth {
    struct box box;
    int32_t class_index;
};

MUST_CHECK enum code detection_list_add(struct detection_list *list, const struct detection *item, struct failure *why);
void detection_list_free(struct detection_list *list);

/* Best first: by score, then class, then place, so that equal scores have one order on every machine. */
void detection_list_sort(struct detection_list *list);

/* Greedy non-maximum suppression within each class: a detection goes when it overlaps a better kept one by
 * more than `iou`.  Sorts the list, best first. */
void detection_list_suppress(struct detection_list *list, float iou);

/* Keeps the detections whose score reaches their class's threshold. */
void detection_list_keep_above(struct detection_list *list, const float *threshold_by_class);

/* Makes every outline `factor` times as large, about its origin; boxes stay. */
void detection_list_enlarge(struct detection_list *list, double factor);

/* Intersection over union, 0 where the boxes do not meet or are empty. */
float detection_iou(const struct box *a, const struct box *b);

/* The outline's points (x, y) in order, ray_count of them, clipped to [0, size[0]] x [0, size[1]]. */
void detection_outline(const struct detection *item, int ray_count, const int size[2], float (*points)[2]);

/* px^2: of the outline where there are rays, else of the box. */
double detection_area(const struct detection *item, int ray_count);

#endif
