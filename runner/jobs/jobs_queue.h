/* Inside runner/jobs: jobs/queue. */
#ifndef CYTOFS_JOBS_QUEUE_H
#define CYTOFS_JOBS_QUEUE_H

#include "jobs_state.h"

MUST_CHECK enum code jobs_queue_add_rules(struct jobs *jobs, struct failure *why);

#endif
