/* Rows of `inodes`. */
#ifndef CYTOFS_CATALOG_INODE_H
#define CYTOFS_CATALOG_INODE_H

#include <stddef.h>

#include "catalog.h"

enum {
    CATALOG_INODE_FIXED = 1,     /* part of the lab's frame: cannot be removed, renamed or moved */
    CATALOG_INODE_FROZEN = 2,    /* in a snapshot: never changes */
    CATALOG_INODE_SNAPSHOTS = 4, /* a dataset's .snap folder */
    CATALOG_INODE_SPACE_ROOT = 8 /* the topmost folder of its space: made with it, goes with it */
};

enum catalog_inode_kind {
    CATALOG_INODE_FILE,
    CATALOG_INODE_FOLDER,
    CATALOG_INODE_LINK,
    CATALOG_INODE_FIFO,
    CATALOG_INODE_SOCKET,
    CATALOG_INODE_CHARACTER,
    CATALOG_INODE_BLOCK
};

#define CATALOG_SUM_BYTES   16
#define CATALOG_PROOF_BYTES 16

#define CATALOG_MEMBER_OWNER_BIT 56 /* the highest bit set in a uid that stands for a member, not for a machine's user */

struct catalog_inode {
    uint64_t inode;
    enum catalog_inode_kind kind;
    uint32_t flags; /* CATALOG_INODE_* */
    uint64_t space;
    uint32_t mode;
    uint64_t size;
    uint32_t links;
    int64_t access_ns, modify_ns, change_ns;
    uint64_t version;
    uint64_t origin;
    uint64_t stamp;
    int64_t stamp_ns;
    int64_t uid, gid;    /* -1: whoever mounts; uid may be a member's number: CATALOG_MEMBER_OWNER_BIT */
    uint64_t rdev;       /* of a device, as dev_t; of a snapshot its number; of .snap the one given out last */
    uint32_t generation; /* the oldest key of its space that seals something of it, from 1 */
    /* What the tree proves the row with; opaque here.  `sealed` is false in rows of format 1. */
    bool sealed;
    uint8_t sum[CATALOG_SUM_BYTES], proof[CATALOG_PROOF_BYTES];
};

/* CODE_NOT_FOUND where there is none; CODE_CORRUPT where a column is out of range. */
MUST_CHECK enum code catalog_inode_get(struct catalog *catalog, uint64_t inode, struct catalog_inode *out,
                                       struct failure *why);

/* Makes or replaces the row. */
MUST_CHECK enum code catalog_inode_put(struct catalog *catalog, const struct catalog_inode *row, struct failure *why);

/* Removes the row with its chunks and attributes. */
MUST_CHECK enum code catalog_inode_delete(struct catalog *catalog, uint64_t inode, struct failure *why);

/* Up to max inodes without a name and with numbers above `after`, in order. */
MUST_CHECK enum code catalog_inode_orphans(struct catalog *catalog, uint64_t after, uint64_t *inodes, size_t max,
                                           size_t *count, struct failure *why);

/* Up to max rows with numbers above `after`, in order; for checking. */
MUST_CHECK enum code catalog_inode_walk(struct catalog *catalog, uint64_t after, struct catalog_inode *rows, size_t max,
                                        size_t *count, struct failure *why);

/* Up to max inodes of a space that an older generation of its key still seals, with numbers in (after, until]. */
struct catalog_older {
    uint64_t space;
    uint32_t generation; /* rows of lower ones are wanted */
    uint64_t after, until;
};
MUST_CHECK enum code catalog_inode_older(struct catalog *catalog, const struct catalog_older *older, uint64_t *inodes,
                                         size_t max, size_t *count, struct failure *why);

struct catalog_totals {
    uint64_t files, folders, links;
    uint64_t bytes; /* sum of the sizes of files */
};
/* Reads every row: for statistics that are seldom asked for. */
MUST_CHECK enum code catalog_inode_totals(struct catalog *catalog, struct catalog_totals *out, struct failure *why);

#endif
