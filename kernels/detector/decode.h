/* From the network's outputs to detections: local maxima of the heat map, each with its box and rays. */
#ifndef CYTOFS_DECODE_H
#define CYTOFS_DECODE_H

#include "detection.h"

#define DECODE_SCORE_FLOOR 0.02f /* peaks below are not looked at */
#define DECODE_PEAKS_MAX   1000  /* best peaks kept in one window */
#define DECODE_IOU         0.5f  /* overlap at which the lesser of two boxes of one class goes */

/* One image's outputs, host memory, as network.h describes them. */
struct decode_outputs {
    int rows, columns, classes, ray_count;
    const float *heat; /* (rows, columns, classes) logits */
    const float *box;  /* (rows, columns, 4) */
    const float *rays; /* (rows, columns, ray_count); NULL when ray_count is 0 */
};

/* The network's distance for a raw output, px: 4 exp(clamp(z, -4, 6)). */
float decode_distance(float z);

/* Appends the at most DECODE_PEAKS_MAX best peaks to *list, in pixels of the network's input, before
 * suppression. */
MUST_CHECK enum code decode_peaks(const struct decode_outputs *outputs, struct detection_list *list, struct failure *why);

#endif
