/* Extended attributes under any name, for the tree's own files.  With the tree's lock. */
#ifndef CYTOFS_TREE_XATTR_H
#define CYTOFS_TREE_XATTR_H

#include "tree_internal.h"

/* Appends the value to *out; CODE_NO_DATA where there is none of that name. */
MUST_CHECK enum code xattr_read(struct tree *tree, struct node_id node, const char *name, struct buffer *out,
                                struct failure *why);

/* Makes or replaces it; inside an operation. */
MUST_CHECK enum code xattr_write(struct tree *tree, struct node_id node, const char *name, const struct buffer *value,
                                 struct failure *why);

#endif
