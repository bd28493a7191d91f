/* What a member has made, and how far the lab follows it on the lab's own behalf.
 *
 * The server reads things for its members: a spec, what a symbolic link leads to, the dataset of a run.  It may hold more
 * keys than the member who made the link or the spec; so it asks here first, or it could be made to show one member's things
 * to another. */
#ifndef CYTOFS_TREE_MAKER_H
#define CYTOFS_TREE_MAKER_H

#include "tree.h"

struct viewer;

/* The member who made a thing, by its owner (struct node_attributes): name, id, and role as it is now.  CODE_NOT_FOUND where
 * it is no member's of another machine, so that whoever opened the store is meant; CODE_DENIED where that member has left.
 */
MUST_CHECK enum code maker_find(struct tree *tree, int64_t owner, struct viewer *out, struct failure *why);

/* Whether the owner of a link or a spec may read what it names: CODE_OK, or CODE_DENIED.  What rules make of the lab's own
 * is no one's to link to. */
MUST_CHECK enum code maker_may_read(struct tree *tree, int64_t owner, struct node_id node, struct failure *why);

#endif
