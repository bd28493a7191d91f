/* Storing: chunks are sealed and put into the chunk store by whoever wrote them, without the tree's lock, and before a
 * commit asks for it.  The commit then only names them.
 */
#ifndef CYTOFS_TREE_STORING_H
#define CYTOFS_TREE_STORING_H

#include "catalog_chunk.h"
#include "tree_internal.h"

/* What sealing needs to know of a node; good for as long as somebody uses the node. */
struct storing_place {
    struct space *space;
    uint64_t inode, origin;
};

/* With the lock. */
MUST_CHECK enum code storing_place_of(struct tree *tree, const struct node *node, struct storing_place *out,
                                      struct failure *why);

/* Finds 1 .. TREE_CHUNK_BYTES bytes in the space (row->shared), or seals them and puts them into the store; *row is what may
 * name them.  With the lock, or between storing_begin and storing_end. */
MUST_CHECK enum code storing_put(struct tree *tree, const struct storing_place *place, uint64_t index, const void *plain,
                                 uint32_t length, struct catalog_chunk *row, struct failure *why);

/* A thread that puts chunks without the lock.  From begin to end, both with the lock, no pack is taken for dead that one of
 * them may lie in; they are to be in pieces before the lock is released after the end.  rows: those that were put. */
struct storing {
    uint32_t floor;     /* no lower pack can hold one of them */
    uint64_t rotations; /* tree->rotations when it began: newer keys are not used */
    struct storing *previous, *next;
};
void storing_begin(struct tree *tree, struct storing *storing);
void storing_end(struct tree *tree, struct storing *storing, const struct catalog_chunk *rows, size_t count);

/* Takes shared rows out whose chunks were given up meanwhile; how many are left.  With the lock, after storing_end. */
size_t storing_keep(struct tree *tree, struct catalog_chunk *rows, size_t count);

/* The lowest pack that may hold chunks that no row names yet.  With the lock. */
uint32_t storing_floor(const struct tree *tree);

/* Stores what was changed up to now: of all nodes, or of one, and then only chunks that the file did not have before, since
 * a tail that grows is better stored once, by the next commit.  With the lock, which is released meanwhile.  What cannot be
 * stored stays dirty; the commit will say why. */
void storing_store_all(struct tree *tree);
void storing_store_fresh(struct tree *tree, struct node *node);

#endif
