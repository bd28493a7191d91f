/* The bytes of stored files: read, write, cut, zero.  They know nothing of handles, rules or times. */
#ifndef CYTOFS_TREE_CONTENTS_H
#define CYTOFS_TREE_CONTENTS_H

#include "catalog_chunk.h"
#include "tree_node.h"
#include "tree_storing.h"

/* Reads up to count bytes at offset; *got < count only at the end.  WITHOUT the lock; the node is kept by a handle or
 * reference of the caller's. */
MUST_CHECK enum code contents_read(struct tree *tree, struct node *node, uint64_t offset, void *bytes, size_t count,
                                   size_t *got, struct failure *why);

#define CONTENTS_LENT_MAX 32 /* whole chunks of one write; further ones are copied */

struct contents_write {
    uint64_t offset;
    const void *bytes;
    size_t count;
    bool lends; /* the bytes stay as they are until contents_settle, so whole chunks need not be copied */

    /* Set by contents_write, for contents_settle. */
    struct storing_place place;
    struct storing storing;
    struct {
        uint64_t index, change; /* of the chunk, of the piece that shows it */
    } lent[CONTENTS_LENT_MAX];
    size_t lent_count;
};

/* Writes all bytes or none.  With the lock, no operation needed; does not touch times.  From then on everybody sees them.
 * Where write->lends contents_settle has to follow. */
MUST_CHECK enum code contents_write(struct tree *tree, struct node *node, struct contents_write *write, struct failure *why);

/* Stores the chunks that were lent; what cannot be stored is copied, for the next commit to try again.  Without the lock. */
void contents_settle(struct tree *tree, struct contents_write *write);

/* Sets the size.  With the lock, inside an operation, and contents_finish_resize when it has succeeded. */
MUST_CHECK enum code contents_resize(struct tree *tree, struct node *node, uint64_t size, struct failure *why);
void contents_finish_resize(struct tree *tree, struct node *node);

/* Makes a range zeros, without changing the size.  With the lock, inside an operation, and contents_finish_zero of the
 * same range when it has succeeded. */
MUST_CHECK enum code contents_zero(struct tree *tree, struct node *node, uint64_t offset, uint64_t count,
                                   struct failure *why);
void contents_finish_zero(struct tree *tree, struct node *node, uint64_t offset, uint64_t count);

#endif
