/* A picture for people: the image as it would be shown on a screen, with what was detected drawn over it. */
#ifndef CYTOFS_OVERLAY_H
#define CYTOFS_OVERLAY_H

#include "detection.h"
#include "image.h"

/* The colour of a class, RGB; twelve that differ for most eyes, then again from the first. */
void overlay_class_colour(int class_index, uint8_t rgb[3]);

/* Makes an 8-bit RGB picture of the image's size: 16-bit and grey images are stretched from their 1st to
 * their 99.8th percentile.  Outlines are drawn where the list has rays, boxes elsewhere.  The caller frees
 * *out. */
MUST_CHECK enum code overlay_draw(const struct image *image, const struct detection_list *list, struct image *out,
                                  struct failure *why);

#endif
