/* An operation that changes names or the catalog: all of it happens or nothing.
 *
 *     code = operation_begin(tree, why);            waits at the gate; the lock is held before and after
 *     if (code == CODE_OK)
 *         code = operation_end(tree, change_this_and_that(tree, why), why);
 *
 * Between the two, catalog rows are changed by the catalog's calls and nodes after node_change.  A failing code makes
 * operation_end take back both.  What cannot be taken back (dropping contents in memory, stamps) is done afterwards.
 */
#ifndef CYTOFS_TREE_OPERATION_H
#define CYTOFS_TREE_OPERATION_H

#include "tree_internal.h"

/* CODE_READ_ONLY, or the reason why nothing may be changed any more. */
MUST_CHECK enum code operation_begin(struct tree *tree, struct failure *why);

/* Returns `code`, or why keeping the changes failed. */
MUST_CHECK enum code operation_end(struct tree *tree, enum code code, struct failure *why);

/* Whether changes are possible at all, for calls that only touch memory. */
MUST_CHECK enum code operation_allowed(struct tree *tree, struct failure *why);

#endif
