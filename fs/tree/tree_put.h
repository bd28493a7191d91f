/* Whole files in one call, for clients that are far away: what takes them several calls and handles otherwise. */
#ifndef CYTOFS_TREE_PUT_H
#define CYTOFS_TREE_PUT_H

#include "tree.h"

/* Reads up to `count` bytes at `offset` of a stored file without opening it: *got is less only at its end.  *attributes are
 * those of the moment when the bytes were read.  CODE_INVALID for anything else than a stored file. */
struct tree_part {
    uint64_t offset;
    void *bytes;
    size_t count, got;
};
MUST_CHECK enum code tree_fetch(struct tree *tree, struct node_id node, struct tree_part *part,
                                struct node_attributes *attributes, struct failure *why);

/* Sets aside `count` (at most TREE_RESERVE_MAX) inode numbers, *first and those behind it, which nobody else gets, now or
 * after a restart. */
#define TREE_RESERVE_MAX 4096
MUST_CHECK enum code tree_reserve(struct tree *tree, uint32_t count, uint64_t *first, struct failure *why);

#define TREE_PUT_MAX ((size_t)1 << 20)

struct tree_put {
    struct node_id folder;
    const char *name;
    struct tree_new what; /* kind NODE_FILE */
    uint64_t inode;       /* of a new file: one that was set aside for the caller and not used yet */
    bool exclusive;       /* CODE_EXISTS where the name is taken; else the contents of a file are replaced */
    bool made;            /* contents for the file of this very number: CODE_NOT_FOUND where the name leads elsewhere */
    bool reserved;        /* the number is the caller's; else the call only succeeds where the name has this very number */
    int64_t modify_ns, access_ns; /* since 1970 */
    const void *bytes;
    size_t count;   /* up to TREE_PUT_MAX */
    unsigned flags; /* OPEN_DROPS_SET_ID */
    uint64_t held;  /* bytes of the viewer's quota that were set aside for this (tree_quota_hold); none are any more if it
                       succeeds */
};

/* Makes a file with contents, mode and times, as creating, writing and closing it would, rules included; nobody sees less
 * than all of it.  Where the name has this inode already, this is a repetition, which changes nothing that it should not.
 * *out: the file's attributes, also where a rule refused the contents (as close(2) would: the file is there, and the code
 * says why). */
MUST_CHECK enum code tree_put(struct tree *tree, const struct tree_put *put, struct node_attributes *out,
                              struct failure *why);

#endif
