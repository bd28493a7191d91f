/* Which parts of a stored file are there, and which are holes. */
#ifndef CYTOFS_TREE_RANGE_H
#define CYTOFS_TREE_RANGE_H

#include "tree_node.h"

/* The 512-byte units that a file takes, holes not counted: so that programs that copy and pack files see which have any.  Of
 * small files it is taken that they have none; of a file that changes all the time the answer may be a second old.  With
 * the lock. */
uint64_t range_blocks(struct tree *tree, struct node *node);

#endif
