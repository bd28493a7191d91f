/* What the tree's own files need of open folders. */
#ifndef CYTOFS_TREE_FOLDER_H
#define CYTOFS_TREE_FOLDER_H

#include "tree.h"

/* tree_open_folder without derived entries: rules list the very folders that they add names to. */
MUST_CHECK enum code folder_open_stored(struct tree *tree, struct node_id id, struct tree_folder **out, struct failure *why);

/* The attributes of an entry below the folder's count; false for a derived one, and one that is gone. */
bool folder_stored_attributes(struct tree_folder *folder, uint64_t cursor, struct node_attributes *attributes);

#endif
