/* Clients that outlive the process: a server that stops and starts again keeps for them what they had open.
 *
 * Before: tree_begin_parting, tree_finish, then their files are released and the tree is closed.  After: opened with
 * keep_nameless, what they had is opened again (OPEN_NAMELESS, OPEN_CHANGED), then tree_drop_nameless.
 */
#ifndef CYTOFS_TREE_PARTING_H
#define CYTOFS_TREE_PARTING_H

#include "tree.h"

/* From now on rules do not hear of files that are released, and those without a name stay where they are. */
void tree_begin_parting(struct tree *tree);

/* Makes everything durable, and no more commits: returns the number of the last.  Afterwards files may be released,
 * references given back, and the tree closed; nothing else. */
uint64_t tree_finish(struct tree *tree);

/* The number of the last commit when the tree was opened: as tree_finish told if nobody has had the store meanwhile. */
uint64_t tree_opened_at(const struct tree *tree);

/* Files without a name that nobody uses are given up, as at each opening without keep_nameless. */
MUST_CHECK enum code tree_drop_nameless(struct tree *tree, struct failure *why);

/* How a file was opened: flags to open it again with, as things are now. */
unsigned tree_file_flags(const struct tree_file *file);

/* Where a derived node lies: its id is the same whenever it is looked up.  CODE_NOT_FOUND. */
MUST_CHECK enum code tree_derived_place(struct tree *tree, struct node_id node, struct node_id *folder,
                                        char name[TREE_NAME_MAX + 1], struct failure *why);

#endif
