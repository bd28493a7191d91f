/* Names in folders, and what being named means for a node.  With the lock; changes inside an operation. */
#ifndef CYTOFS_TREE_ENTRY_H
#define CYTOFS_TREE_ENTRY_H

#include "tree_node.h"

/* The node of that name; CODE_NOT_FOUND. */
MUST_CHECK enum code entry_find(struct tree *tree, struct node *folder, const char *name, struct node **out,
                                struct failure *why);

/* Names the node, counts the link.  CODE_EXISTS, CODE_LINK_LIMIT. */
MUST_CHECK enum code entry_insert(struct tree *tree, struct node *folder, const char *name, struct node *node,
                                  struct failure *why);

/* Takes the name away and counts the link; a node that nobody names or uses any more is deleted. */
MUST_CHECK enum code entry_delete(struct tree *tree, struct node *folder, const char *name, struct node *node,
                                  struct failure *why);

/* Only takes the name out of the catalog. */
MUST_CHECK enum code entry_delete_name(struct tree *tree, struct node *folder, const char *name, struct failure *why);

/* Moves a name without counting. */
MUST_CHECK enum code entry_move(struct tree *tree, struct node *from, const char *from_name, struct node *to,
                                const char *to_name, struct node *node, struct failure *why);

/* Deletes a node without names and users, with all that is below it in the catalog. */
MUST_CHECK enum code entry_collect(struct tree *tree, struct node *node, struct failure *why);

/* Whether a folder has entries; a dataset's empty .snap does not count. */
MUST_CHECK enum code entry_check_empty(struct tree *tree, struct node *folder, struct failure *why);

/* Deletes an empty folder: its name, a dataset's .snap, the keys of a space that ends with it. */
MUST_CHECK enum code entry_delete_folder(struct tree *tree, struct node *parent, const char *name, struct node *folder,
                                         struct failure *why);

/* Whether entries of the folder may be made, removed, renamed: CODE_NOT_DIRECTORY, CODE_READ_ONLY,
 * CODE_NOT_PERMITTED.  server: the file server itself does it, and may in the root folder too. */
MUST_CHECK enum code entry_check_folder(const struct node *folder, bool server, struct failure *why);

/* Whether the folder lies directly in datasets/ and has snapshots. */
bool entry_is_dataset(const struct node *folder);

/* Names that exist but are not shown by a listing. */
bool entry_is_hidden(const struct node *folder, const char *name);

/* Sets the folder's times. */
void entry_touch(struct tree *tree, struct node *folder, int64_t now_ns);

#endif
