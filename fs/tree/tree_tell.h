/* Telling observers (tree_observe.h) what changed.  With the tree's lock.  Inside an operation events wait until it is sure
 * that it succeeds. */
#ifndef CYTOFS_TREE_TELL_H
#define CYTOFS_TREE_TELL_H

#include "tree_node.h"

void tell_attributes(struct tree *tree, const struct node *node);

/* Bytes before `from` are as they were. */
void tell_contents(struct tree *tree, const struct node *node, uint64_t from);

void tell_name(struct tree *tree, const struct node *folder, const char *name);
void tell_removed(struct tree *tree, const struct node *folder, const char *name, const struct node *child);
void tell_everything(struct tree *tree);

/* The operation under way has ended. */
void tell_operation_end(struct tree *tree, bool kept);

#endif
