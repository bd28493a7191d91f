/* What the lab tells about itself, as files: README, lab/health, lab/last-error, lab/trace. */
#ifndef CYTOFS_LAB_VIEW_H
#define CYTOFS_LAB_VIEW_H

#include "failure.h"

struct tree;

/* Adds the rules.  Call it once per tree, before the tree is served. */
MUST_CHECK enum code lab_view_add(struct tree *tree, struct failure *why);

#endif
