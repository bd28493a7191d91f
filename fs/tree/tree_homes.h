/* Members' homes: one folder a member in home/, a space of its own.  Without the tree's lock; every change is one operation,
 * and durable when it returns. */
#ifndef CYTOFS_TREE_HOMES_H
#define CYTOFS_TREE_HOMES_H

#include "failure.h"

struct tree;

/* Makes home/<name> for a member who has none yet, with a key that is that member's alone: not even the tree's own member
 * opens it afterwards. */
MUST_CHECK enum code homes_make(struct tree *tree, const char *name, struct failure *why);

/* Deletes the home of somebody who is no member any more, with all that lies in it and its snapshots, whether or not the one
 * who asks can read it: the space's key is forgotten, so nothing of it can be opened again from this store, and packs lose
 * what it held (tree_collect.h).  The space is named as in lab/spaces: `home-bob` or `home/bob`.  An admin's: CODE_DENIED.
 * CODE_INVALID for a member's home, or no home; CODE_BUSY while a file in it is open; CODE_NOT_FOUND. */
MUST_CHECK enum code homes_delete(struct tree *tree, const char *space, struct failure *why);

#endif
