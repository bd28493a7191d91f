/* Detections as areas: a label map in which each pixel belongs to at most one of them. */
#ifndef CYTOFS_OUTLINE_H
#define CYTOFS_OUTLINE_H

#include <stdint.h>

#include "detection.h"

/* Paints the detections, best first, into labels[y * width + x] (overwritten): the pixels whose centre lies inside the
 * outline (or in the box, where the list has no rays) and that no better one has get its number.  One of which better ones
 * own more than half is dropped from the list; the one at items[i] is numbered i + 1.  The list must be in the order of
 * detection_list_sort. */
MUST_CHECK enum code outline_paint(struct detection_list *list, int width, int height, uint32_t *labels,
                                   struct failure *why);

#endif
