/* Removing what nobody sees: things that were being put together (TREE_STAGING_PREFIX) and are in the way of rmdir(2). */
#ifndef CYTOFS_TREE_LEFTOVERS_H
#define CYTOFS_TREE_LEFTOVERS_H

#include "tree.h"

/* Removes what is unfinished in the folder `name` of `parent`, with all that is below it, if there is nothing else in the
 * way: CODE_NOT_EMPTY otherwise.  Without the tree's lock.  Whoever is still putting it together is told that it is not
 * there any more when he gives it its name. */
MUST_CHECK enum code leftovers_remove(struct tree *tree, struct node_id parent, const char *name, struct failure *why);

#endif
