/* Sealing anew what an older key of a space sealed: the committer does some of it between two rounds. */
#ifndef CYTOFS_TREE_RESEAL_H
#define CYTOFS_TREE_RESEAL_H

#include "tree_internal.h"

/* Does a little, where there is something to do.  The committer's thread, without the lock. */
void reseal_some(struct tree *tree);

/* Spaces have changed: look for something to do.  With the lock. */
void reseal_look(struct tree *tree);

/* From its steps, where one can do nothing but wait for others: the next is made at the committer's interval, not at once.
 * Without the lock. */
void reseal_wait(struct tree *tree);

/* How far it is, as a line for people; with the lock. */
void reseal_describe(struct tree *tree, uint64_t space, struct buffer *out);

#endif
