/* Giving back the space of chunks that are no longer named, while the lab is in use. */
#ifndef CYTOFS_TREE_COMPACT_H
#define CYTOFS_TREE_COMPACT_H

#include "catalog_chunk.h"
#include "tree_internal.h"

/* Does a little of it; the committer calls this after its rounds.  Without the lock. */
void compact_some(struct tree *tree);

/* False where somebody else moves chunks right now; else compact_leave ends it. */
bool compact_try_enter(struct tree *tree);

/* For who wants more of it (tree_collect.c): between the two nobody else moves chunks. */
void compact_enter(struct tree *tree);
void compact_leave(struct tree *tree);

/* Copies the chunk of a row to the growing pack, sealed as it is, and points all rows that share it there. */
MUST_CHECK enum code compact_chunk(struct tree *tree, const struct catalog_chunk *row, struct failure *why);

/* Moves up to about `bytes` of what lives in the pack to the growing one; *left: there may be more.  *moved grows. */
MUST_CHECK enum code compact_pack(struct tree *tree, uint32_t pack, uint64_t bytes, bool *left, uint64_t *moved,
                                  struct failure *why);

#endif
