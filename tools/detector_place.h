/* Opening a detector for a command: the device, its precision, the model. */
#ifndef CYTOFS_DETECTOR_PLACE_H
#define CYTOFS_DETECTOR_PLACE_H

#include <stdint.h>

#include "failure.h"

struct detector;
struct device;

struct detector_place {
    struct device *device;
    struct detector *detector;
};

/* model: a version's folder (with model.safetensors in it) or the file itself.  precision: "f32", "bf16" or "auto";
 * threads: 0 for all. */
MUST_CHECK enum code detector_place_open(const char *model, const char *device, const char *precision, int threads,
                                         struct detector_place *out, struct failure *why);
void detector_place_close(struct detector_place *place);

#endif
