/* The first part of a rotation: what hangs on nodes is sealed anew. */
#ifndef CYTOFS_TREE_RESEAL_NODES_H
#define CYTOFS_TREE_RESEAL_NODES_H

#include "tree_internal.h"

/* Some nodes of the space that is being rotated, behind tree->reseal.inode; at the last one the phase is the next.  The
 * committer's thread, without the lock. */
MUST_CHECK enum code reseal_nodes_step(struct tree *tree, struct failure *why);

#endif
