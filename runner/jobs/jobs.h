/* Jobs: the rules that turn a spec in jobs/ into a run, and follow it until it is over. */
#ifndef CYTOFS_JOBS_H
#define CYTOFS_JOBS_H

#include <stdint.h>

#include "failure.h"

struct tree;
struct jobs;

struct jobs_options {
    int64_t (*clock_ms)(void); /* wall clock since 1970; NULL for the system's */
};

/* Adds the rules to a tree that is not served yet, and takes up what an earlier server left: runs that a node
 * had are queued again, specs that were saved and not yet submitted are.  *out must outlive the tree: destroy
 * it after tree_close, also where adding failed. */
MUST_CHECK enum code jobs_add(struct tree *tree, const struct jobs_options *options, struct jobs **out, struct failure *why);
void jobs_destroy(struct jobs *jobs);

#endif
