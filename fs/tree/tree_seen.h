/* The number of the last commit, kept outside of the store: a store that was put back in time is found out by it. */
#ifndef CYTOFS_TREE_SEEN_H
#define CYTOFS_TREE_SEEN_H

#include "tree_internal.h"

/* Compares with what was seen last, and takes the present number down.  CODE_DENIED where the store is older, unless
 * accepted.  With a read-only tree nothing is written. */
MUST_CHECK enum code seen_open(struct tree *tree, const char *path, bool accept_older, struct failure *why);

/* That commit is durable.  Best effort: a number that lags behind finds fewer old stores out, and refuses no good one. */
void seen_note(struct tree *tree, uint64_t commit);

void seen_close(struct tree *tree);

#endif
