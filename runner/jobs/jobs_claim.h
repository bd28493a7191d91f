/* Inside runner/jobs: what nodes write into a run's folder. */
#ifndef CYTOFS_JOBS_CLAIM_H
#define CYTOFS_JOBS_CLAIM_H

#include "jobs_state.h"

/* The rules of experiments/<experiment>/<run>/claim and events. */
MUST_CHECK enum code jobs_claim_add_rules(struct jobs *jobs, struct failure *why);

#endif
