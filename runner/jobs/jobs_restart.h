/* Inside runner/jobs: taking up what an earlier server left. */
#ifndef CYTOFS_JOBS_RESTART_H
#define CYTOFS_JOBS_RESTART_H

#include "jobs_state.h"

/* Before the tree is served and before any rule of ours is added. */
MUST_CHECK enum code jobs_restart_run(struct jobs *jobs, struct failure *why);

#endif
