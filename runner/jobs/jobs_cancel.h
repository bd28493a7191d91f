/* Inside runner/jobs: rm jobs/<job>.yaml cancels. */
#ifndef CYTOFS_JOBS_CANCEL_H
#define CYTOFS_JOBS_CANCEL_H

#include "jobs_state.h"

/* The `removed` callback of jobs/<job>.yaml. */
void jobs_cancel_removed(void *context, const char *path);

#endif
