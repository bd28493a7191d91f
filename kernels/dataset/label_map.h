/* Instance masks as label maps: which files belong to an image, and what objects lie in them.  Private to
 * this folder. */
#ifndef CYTOFS_LABEL_MAP_H
#define CYTOFS_LABEL_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "dataset.h"
#include "failure.h"
#include "scan.h"

/* The label image that belongs to the image at `path`, relative; NULL where there is none (or no memory).
 * Owned by the scan. */
const char *label_map_find(const struct scan *scan, const char *path);

/* The mask files of an image in the one-file-a-nucleus layout <id>/images/x.png, <id>/masks/...:
 * scan->paths[*first] and the *count that follow; false where the image does not lie so. */
bool label_map_find_masks(const struct scan *scan, const char *path, size_t *first, size_t *count);

/* Reads a label image of width x height.  With `split`, a mask that only tells cell from background (all that
 * is not 0 is 255, or 65535) is split into its connected components, numbered from 1 in reading order. */
MUST_CHECK enum code label_map_read(const char *path, int width, int height, bool split, uint32_t **labels,
                                    struct failure *why);

/* Paints the non-zero pixels of the mask file at `path` with `label` where `labels` is 0 still. */
MUST_CHECK enum code label_map_paint(const char *path, int width, int height, uint32_t label, uint32_t *labels,
                                     struct failure *why);

/* The objects of a label map, one a label in ascending order, class 0: *objects is the caller's to free. More
 * than DATASET_OBJECTS_MAX is CODE_TOO_LARGE. */
MUST_CHECK enum code label_map_objects(const uint32_t *labels, int width, int height, struct dataset_object **objects,
                                       size_t *count, struct failure *why);

#endif
