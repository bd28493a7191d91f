/* The lab's frame: the root, its fixed folders, the first spaces, each member's home. */
#ifndef CYTOFS_TREE_FRAME_H
#define CYTOFS_TREE_FRAME_H

#include "tree_internal.h"

/* Fills a new catalog: the first member (and the recovery key, where there is one), spaces, folders, home.  With the lock,
 * inside an operation. */
MUST_CHECK enum code frame_make(struct tree *tree, const struct tree_open_options *options, struct failure *why);

/* home/<name>, a space of its own for these readers; inside an operation. */
struct roster;
MUST_CHECK enum code frame_make_home(struct tree *tree, const char *name, const struct roster *readers, struct failure *why);

/* Where a folder of the frame belongs; false for any other inode, and for the root. */
bool frame_place(uint64_t inode, uint64_t *parent, const char **name);

/* Adds what a lab lacks: folders that came with later versions, lists of readers, the home of a member who opens it for the
 * first time.  With the lock. */
MUST_CHECK enum code frame_complete(struct tree *tree, struct failure *why);

#endif
