/* Inside runner/jobs: jobs/<job>.error. */
#ifndef CYTOFS_JOBS_ERROR_H
#define CYTOFS_JOBS_ERROR_H

#include "jobs_state.h"

MUST_CHECK enum code jobs_error_add_rules(struct jobs *jobs, struct failure *why);

#endif
