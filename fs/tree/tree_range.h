/* Which parts of a stored file are there, and which are holes. */
#ifndef CYTOFS_TREE_RANGE_H
#define CYTOFS_TREE_RANGE_H

#include "tree_node.h"

/* The 512-byte units that a file takes, holes not counted: so that programs that copy and pack files see which have any.
 * Never too few, but of small files, and for a second of those that change, it is taken that they have none.  With the lock.
 */
uint64_t range_blocks(struct tree *tree, struct node *node);

#endif
