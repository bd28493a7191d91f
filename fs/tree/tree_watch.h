/* Calls the WATCH rules for a path.  All WITHOUT the tree's lock. */
#ifndef CYTOFS_TREE_WATCH_H
#define CYTOFS_TREE_WATCH_H

#include "tree_internal.h"

/* Whether a rule follows the path at all; whether one lets it only grow. */
bool watch_follows(const struct tree *tree, const char *path);
bool watch_append_only(const struct tree *tree, const char *path);

MUST_CHECK enum code watch_admit(const struct tree *tree, const char *path, const char *target, struct failure *why);
MUST_CHECK enum code watch_check(const struct tree *tree, const char *path, struct failure *why);
void watch_settled(const struct tree *tree, const char *path);
void watch_removed(const struct tree *tree, const char *path);
void watch_released(const struct tree *tree, const char *path);

/* "folder/name" for a name in a folder, to *path; false where it is unknown (the folder is gone).  Takes the lock. */
bool watch_path_in(struct tree *tree, struct node_id folder, const char *name, struct buffer *path);

#endif
