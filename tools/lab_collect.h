/* lab/gc: the space of what nothing needs any more is given back, in a lab that is in use. */
#ifndef CYTOFS_LAB_COLLECT_H
#define CYTOFS_LAB_COLLECT_H

#include "failure.h"

struct lab_task;
struct tree;

/* Adds the file.  What is written to it: "now", or how many percent of a pack must be dead for it to be emptied. */
MUST_CHECK enum code lab_collect_add(struct tree *tree, struct lab_task **out, struct failure *why);

#endif
