/* What the tree's own files ask about the whole. */
#ifndef CYTOFS_TREE_STATISTICS_H
#define CYTOFS_TREE_STATISTICS_H

#include "tree_internal.h"

/* What the catalog's device has left, which in a lab's folder is the chunks' too; in memory, what the machine has. */
uint64_t statistics_free_bytes(const struct tree *tree);

#endif
