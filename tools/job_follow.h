/* Following one job's latest run until it is over: what `watch JOB` and `submit --watch` do. */
#ifndef CYTOFS_JOB_FOLLOW_H
#define CYTOFS_JOB_FOLLOW_H

#include "command.h"

/* Draws progress on a terminal, prints one line a state change, and the run's status at its end.  Returns the exit
 * status: 0 finished, 1 failed, cancelled, or no such job. */
int job_follow(const struct command *command, const char *lab, const char *job);

#endif
