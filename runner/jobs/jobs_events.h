/* Inside runner/jobs: the stream jobs/events. */
#ifndef CYTOFS_JOBS_EVENTS_H
#define CYTOFS_JOBS_EVENTS_H

#include "jobs_state.h"

struct jobs_events *jobs_events_create(void); /* NULL without memory */
void jobs_events_destroy(struct jobs_events *events);

MUST_CHECK enum code jobs_events_add_rules(struct jobs *jobs, struct failure *why);

/* A job_table_changed: gives a line to every open stream. */
void jobs_events_publish(void *events, const struct job_run *run, const char *explanation);

#endif
