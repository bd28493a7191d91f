/* The averaged weights that did best on validation images so far, as a file beside the checkpoint. */
#ifndef CYTOFS_BEST_H
#define CYTOFS_BEST_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

struct best {
    int64_t step; /* 0: none yet */
    double ap50;
};

/* Replaces the file atomically.  `digest` says what is being trained (training_plan.h). */
MUST_CHECK enum code best_write(const char *path, const struct best *best, const char *digest, const float *weights,
                                size_t floats, struct failure *why);

/* CODE_NOT_FOUND: there is none; CODE_INVALID: it belongs to another training; other failures: it cannot be read.  weights
 * (floats) may be NULL, to learn only how good they are. */
MUST_CHECK enum code best_read(const char *path, const char *digest, struct best *best, float *weights, size_t floats,
                               struct failure *why);

#endif
