/* Inside runner/jobs: from a saved spec to a queued run. */
#ifndef CYTOFS_JOBS_SUBMISSION_H
#define CYTOFS_JOBS_SUBMISSION_H

#include "jobs_state.h"

MUST_CHECK enum code jobs_submission_add_rules(struct jobs *jobs, struct failure *why);

/* Submits the spec at jobs/<job>.yaml unless its latest run was made of the same text.  What fails is noted
 * where the user looks (lab/last-error). */
void jobs_submission_run(struct jobs *jobs, const char *path);

#endif
