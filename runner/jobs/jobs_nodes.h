/* Inside runner/jobs: the nodes that are present. */
#ifndef CYTOFS_JOBS_NODES_H
#define CYTOFS_JOBS_NODES_H

#include "jobs_state.h"

/* The rules of lab/nodes/<node> and of jobs/nodes. */
MUST_CHECK enum code jobs_nodes_add_rules(struct jobs *jobs, struct failure *why);

/* Reads lab/nodes/ into the table where it has changed. */
void jobs_nodes_refresh(struct jobs *jobs);

/* When lab/nodes/ changed last, in ns since 1970. */
int64_t jobs_nodes_changed_ns(struct jobs *jobs);

#endif
