/* Inside runner/jobs: what members' quotas (fs/tree/tree_quota.h) let their runs have. */
#ifndef CYTOFS_JOBS_QUOTA_H
#define CYTOFS_JOBS_QUOTA_H

#include "jobs_state.h"

/* Tells the table what the runs in it may have at once; before a plan is looked at. */
void jobs_quota_refresh(struct jobs *jobs);

/* Whether the member may have one more run: CODE_QUOTA. */
MUST_CHECK enum code jobs_quota_admit(struct jobs *jobs, const char *member, struct failure *why);

#endif
