/* A trained detector in memory: open a model, show it images, get objects.
 *
 * One thread at a time uses a detector; the device parallelises inside.  The same image and model give the
 * same detections on one kind of device, bit for bit.
 */
#ifndef CYTOFS_DETECTOR_H
#define CYTOFS_DETECTOR_H

#include "detection.h"
#include "image.h"
#include "model_file.h"

struct device; /* device.h */
struct detector;

struct detector_options {
    const struct device *device; /* borrowed; outlives the detector */
    enum network_precision precision;
    double pixel_um; /* micrometres a pixel of the images to come; 0: what each image says, else as in
                        training */
};

/* Opens a model file. */
MUST_CHECK enum code detector_open(const char *model_path, const struct detector_options *options, struct detector **out,
                                   struct failure *why);

/* The same from memory: weights in the order of the network's slab (network_slab_floats values), copied. */
MUST_CHECK enum code detector_create(const struct model_info *info, const float *weights, size_t weight_count,
                                     const struct detector_options *options, struct detector **out, struct failure *why);
void detector_destroy(struct detector *detector);

const struct model_info *detector_info(const struct detector *detector);

/* Fills *list (empty before, freed by the caller in any case) with everything that scores above
 * DECODE_SCORE_FLOOR, best first, in pixels of the image and clipped to it.  What counts as found is
 * detection_list_keep_above() with the thresholds of detector_info(). */
MUST_CHECK enum code detector_detect(struct detector *detector, const struct image *image, struct detection_list *list,
                                     struct failure *why);

#endif
