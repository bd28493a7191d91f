/* Spaces by the names that people use: see tree_readers.h.  With the lock. */
#ifndef CYTOFS_TREE_SPACE_NAME_H
#define CYTOFS_TREE_SPACE_NAME_H

#include "buffer.h"
#include "tree_internal.h"

#define SPACE_NAME_PATH_BYTES (TREE_NAME_MAX + 16)

/* The topmost folder of the space, and the space's path: "datasets/cells", "home/ada", "lab", "models".  CODE_NOT_FOUND. */
MUST_CHECK enum code space_name_find(struct tree *tree, const char *name, struct node **root,
                                     char path[SPACE_NAME_PATH_BYTES], struct failure *why);

/* Appends the names of datasets and homes, as in lab/spaces, each ended by a NUL. */
void space_name_list(struct tree *tree, struct buffer *out);

#endif
