/* The second part of a rotation: chunks are sealed anew, and the rotation ends when none is left. */
#ifndef CYTOFS_TREE_RESEAL_CHUNKS_H
#define CYTOFS_TREE_RESEAL_CHUNKS_H

#include "tree_internal.h"

/* Goes on with the pack at hand, or to the next.  The committer's thread, without the lock; packs are not being emptied by
 * others (compact_try_enter). */
MUST_CHECK enum code reseal_chunks_step(struct tree *tree, struct failure *why);

#endif
