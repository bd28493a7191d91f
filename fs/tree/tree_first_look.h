/* The first look into each folder, taken for everybody when the lab is opened to be served. */
#ifndef CYTOFS_TREE_FIRST_LOOK_H
#define CYTOFS_TREE_FIRST_LOOK_H

#include "tree_internal.h"

/* Holds the names in each folder against the folder's proof, so that looking a name up costs the same from
 * then on however many names its folder has.  A folder whose names are not as they were written last is told
 * of in the log, and whoever looks into it gets CODE_CORRUPT; it keeps nobody from opening the lab.  About 1
 * us a name. Before anybody else uses the tree. */
MUST_CHECK enum code first_look_take(struct tree *tree, struct failure *why);

#endif
