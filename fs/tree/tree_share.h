/* Changes of who may read a space, as parts of an operation: what members.h's calls and the committer are made of.  With the
 * lock, inside an operation; spaces are loaded anew afterwards. */
#ifndef CYTOFS_TREE_SHARE_H
#define CYTOFS_TREE_SHARE_H

#include "tree_space.h"

/* One more reader, or a new list for the same readers. */
MUST_CHECK enum code share_add(struct tree *tree, uint64_t space, const struct reader *reader, struct failure *why);

/* Rotates the key for those on the list who are still members of the lab. */
MUST_CHECK enum code share_rotate(struct tree *tree, uint64_t space, const struct roster *roster, struct failure *why);

/* Whether somebody who must not read the space has its newest key: a reader left it, or the lab. */
MUST_CHECK enum code share_is_due(struct tree *tree, const struct space *space, bool *due, struct failure *why);

/* The list with which a new space of the lab's begins: every member (everyone), or the tree's own alone. */
MUST_CHECK enum code share_new_roster(struct tree *tree, bool everyone, struct roster *out, struct failure *why);

/* Lists for the spaces of a lab that was made before there were any; the tree's member is the only one there. */
MUST_CHECK enum code share_list_all(struct tree *tree, struct failure *why);

/* The tree's own member, as a reader. */
MUST_CHECK enum code share_self(struct tree *tree, struct reader *out, struct failure *why);

/* After an operation that changed spaces, or failed to: forgets all of them in memory. */
void share_changed(struct tree *tree);

#endif
