/* Giving back the space of chunks that are no longer named, while the lab is in use. */
#ifndef CYTOFS_TREE_COMPACT_H
#define CYTOFS_TREE_COMPACT_H

#include "tree_internal.h"

/* Does a little of it; the committer calls this after its rounds.  Without the lock. */
void compact_some(struct tree *tree);

#endif
