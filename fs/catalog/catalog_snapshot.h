/* Subtrees as a whole: copied so that contents' chunks are shared, and dropped. */
#ifndef CYTOFS_CATALOG_SNAPSHOT_H
#define CYTOFS_CATALOG_SNAPSHOT_H

#include "catalog.h"

struct catalog_copy {
    uint64_t folder;      /* what to copy, with everything below it */
    uint64_t except;      /* a child of it to leave out with everything below; 0: none */
    uint64_t first_inode; /* the copy's inodes are numbered from here, the folder's own first */
    uint32_t flags;       /* CATALOG_INODE_*, added to every row of the copy */
};

/* Makes the rows of the copy; nothing names its topmost folder yet.  *count: how many inodes it took.  Its time grows
 * with the number of files and chunks, not with bytes.  Inside one operation of the catalog. */
MUST_CHECK enum code catalog_snapshot_copy(struct catalog *catalog, const struct catalog_copy *copy, uint64_t *count,
                                           struct failure *why);

/* The inode above `after` that was copied or selected last, in ascending order, and the number of its copy; CODE_NO_DATA
 * behind the last. */
MUST_CHECK enum code catalog_snapshot_next(struct catalog *catalog, uint64_t after, uint64_t *old, uint64_t *copy,
                                           struct failure *why);

/* Dropping a whole subtree, in one operation: _select remembers which inodes it has, _contains asks whether one is among
 * them (also after _delete, until the next copy or selection), _delete removes their rows with everything that hangs on
 * them.  The name of `folder` itself is the caller's. */
MUST_CHECK enum code catalog_snapshot_select(struct catalog *catalog, uint64_t folder, struct failure *why);
MUST_CHECK enum code catalog_snapshot_select_space(struct catalog *catalog, uint64_t space,
                                                   struct failure *why); /* all inodes of the space */
bool catalog_snapshot_contains(struct catalog *catalog, uint64_t inode);
MUST_CHECK enum code catalog_snapshot_delete(struct catalog *catalog, struct failure *why);

#endif
