/* Where a training stands, as a file: the four slabs of the network, the step, and what is being trained. */
#ifndef CYTOFS_CHECKPOINT_H
#define CYTOFS_CHECKPOINT_H

#include <stdint.h>

#include "failure.h"
#include "network.h"

#define CHECKPOINT_VERSION 1

/* Replaces the file atomically.  `digest` says what is being trained (training_plan.h). */
MUST_CHECK enum code checkpoint_write(const char *path, const struct network *network, int64_t step,
                                      const char *digest, struct failure *why);

/* Puts the network where the checkpoint stands and sets *step.  CODE_NOT_FOUND: there is none; CODE_INVALID:
 * it belongs to another training; other failures: it cannot be read.  In all of them the network is
 * unchanged. */
MUST_CHECK enum code checkpoint_read(const char *path, struct network *network, const char *digest,
                                     int64_t *step, struct failure *why);

#endif
