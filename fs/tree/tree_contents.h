/* The bytes of stored files: read, write, cut, zero.  They know nothing of handles, rules or times. */
#ifndef CYTOFS_TREE_CONTENTS_H
#define CYTOFS_TREE_CONTENTS_H

#include "catalog_chunk.h"
#include "tree_node.h"

/* Reads up to count bytes at offset; *got < count only at the end.  WITHOUT the lock; the node is kept by a handle or
 * reference of the caller's. */
MUST_CHECK enum code contents_read(struct tree *tree, struct node *node, uint64_t offset, void *bytes, size_t count,
                                   size_t *got, struct failure *why);

#define CONTENTS_STORED_MAX 32 /* whole chunks of one write; further ones go through memory */

struct contents_write {
    uint64_t offset;
    const void *bytes;
    size_t count;
    struct catalog_chunk rows[CONTENTS_STORED_MAX]; /* chunks that contents_store has put into the store */
    size_t stored;
};

/* Puts the chunks that the write covers whole into the store, so that contents_write need not copy them.  With the lock,
 * which is released meanwhile: afterwards the caller checks anew whatever the write stands on.  The node is kept by a
 * handle or reference of the caller's. */
void contents_store(struct tree *tree, const struct node *node, struct contents_write *write);

/* Writes all bytes or none.  With the lock, no operation needed; does not touch times. */
MUST_CHECK enum code contents_write(struct tree *tree, struct node *node, const struct contents_write *write,
                                    struct failure *why);

/* Sets the size.  With the lock, inside an operation, and contents_finish_resize when it has succeeded. */
MUST_CHECK enum code contents_resize(struct tree *tree, struct node *node, uint64_t size, struct failure *why);
void contents_finish_resize(struct tree *tree, struct node *node);

/* Makes a range zeros, without changing the size.  With the lock, inside an operation, and contents_finish_zero of the
 * same range when it has succeeded. */
MUST_CHECK enum code contents_zero(struct tree *tree, struct node *node, uint64_t offset, uint64_t count,
                                   struct failure *why);
void contents_finish_zero(struct tree *tree, struct node *node, uint64_t offset, uint64_t count);

#endif
