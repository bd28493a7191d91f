/* Inodes without a name or a user: what was unlinked while open when the program ended.  With the tree's lock held.
 */
#ifndef CYTOFS_TREE_ORPHANS_H
#define CYTOFS_TREE_ORPHANS_H

#include "tree_internal.h"

#define ORPHANS_OF_ALL UINT64_C(0) /* of all spaces whose keys are at hand */

/* Deletes their rows, in operations of its own.  Those of a space whose key is not at hand stay until it is: without it
 * nothing in that space can be vouched for anew. */
MUST_CHECK enum code orphans_collect(struct tree *tree, uint64_t space, struct failure *why);

#endif
