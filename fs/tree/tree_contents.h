/* The bytes of stored files: read, write, cut, zero.  They know nothing of handles, rules or times. */
#ifndef CYTOFS_TREE_CONTENTS_H
#define CYTOFS_TREE_CONTENTS_H

#include "tree_node.h"

/* Reads up to count bytes at offset; *got < count only at the end.  WITHOUT the lock; the node is kept by a handle or
 * reference of the caller's. */
MUST_CHECK enum code contents_read(struct tree *tree, struct node *node, uint64_t offset, void *bytes, size_t count,
                                   size_t *got, struct failure *why);

/* Writes all bytes or none, in memory.  With the lock, no operation needed; does not touch times. */
MUST_CHECK enum code contents_write(struct tree *tree, struct node *node, uint64_t offset, const void *bytes,
                                    size_t count, struct failure *why);

/* Sets the size.  With the lock, inside an operation, and contents_finish_resize when it has succeeded. */
MUST_CHECK enum code contents_resize(struct tree *tree, struct node *node, uint64_t size, struct failure *why);
void contents_finish_resize(struct tree *tree, struct node *node);

/* Makes a range zeros, without changing the size.  With the lock, inside an operation, and contents_finish_zero of the
 * same range when it has succeeded. */
MUST_CHECK enum code contents_zero(struct tree *tree, struct node *node, uint64_t offset, uint64_t count,
                                   struct failure *why);
void contents_finish_zero(struct tree *tree, struct node *node, uint64_t offset, uint64_t count);

#endif
