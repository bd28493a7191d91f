/* Snapshots: datasets/<name>/.snap/<label>. */
#ifndef CYTOFS_TREE_SNAPSHOT_H
#define CYTOFS_TREE_SNAPSHOT_H

#include "tree_node.h"

/* Gives a new dataset its .snap folder; with the lock, inside the operation that makes the dataset. */
MUST_CHECK enum code snapshot_prepare(struct tree *tree, struct node *dataset, struct failure *why);

/* The rest WITHOUT the lock. */

/* Whether the node is a dataset's .snap folder. */
bool snapshot_is_folder(struct tree *tree, struct node_id id);

/* mkdir and rmdir in it. */
MUST_CHECK enum code snapshot_make(struct tree *tree, struct node_id snapshots, const char *label,
                                   struct node_attributes *out, struct failure *why);
MUST_CHECK enum code snapshot_drop(struct tree *tree, struct node_id snapshots, const char *label, struct failure *why);

#endif
