/* Inside runner/jobs: one run's files. */
#ifndef CYTOFS_JOBS_RUN_H
#define CYTOFS_JOBS_RUN_H

#include "jobs_state.h"

/* Appends the event, with the time of now, to the run's events, and lets the table know. */
MUST_CHECK enum code jobs_run_append(struct jobs *jobs, const char *run, struct run_event event, struct failure *why);

/* Lets the table know what the events file says now.  A run that waits again has its old claim removed first.
 */
void jobs_run_refresh(struct jobs *jobs, const char *run);

/* Appends this loss; what fails goes to the log. */
void jobs_run_lose(struct jobs *jobs, const char *run, struct run_event lost);

/* Reads events and the needs of the spec, and adds the run to the table unless it is over. */
MUST_CHECK enum code jobs_run_take_up(struct jobs *jobs, const char *run, struct failure *why);

/* "<run>/<name>" to out; false where it does not fit. */
#define JOBS_PATH_MAX 1024
bool jobs_run_path(const char *run, const char *name, char out[JOBS_PATH_MAX]);

/* "43 %, about 2 min left" from the run's progress file; "" where it says nothing. */
void jobs_run_progress(struct jobs *jobs, const char *run, char out[64]);

#endif
