/* Where a training stands, as a file: the four slabs of the network, the step, and what is being trained. */
#ifndef CYTOFS_CHECKPOINT_H
#define CYTOFS_CHECKPOINT_H

#include <stdint.h>

#include "best.h"
#include "failure.h"
#include "network.h"

#define CHECKPOINT_VERSION 2

/* What a checkpoint says beside the slabs. */
struct checkpoint {
    const char *digest; /* what is being trained (training_plan.h) */
    int64_t step;       /* done so far */
    struct best best;   /* of the looks up to this step; its weights are in a file of their own */
};

/* Replaces the file atomically. */
MUST_CHECK enum code checkpoint_write(const char *path, const struct network *network, const struct checkpoint *checkpoint,
                                      struct failure *why);

/* Puts the network where the checkpoint stands and fills in all of *checkpoint but the digest, which is given.
 * CODE_NOT_FOUND: there is none; CODE_INVALID:
 * it belongs to another training; other failures: it cannot be read.  In all of them the network is
 * unchanged. */
MUST_CHECK enum code checkpoint_read(const char *path, struct network *network, struct checkpoint *checkpoint,
                                     struct failure *why);

#endif
