/* Following what a mounted lab does for a file of its lab/ (fs/session/lab_task.h). */
#ifndef CYTOFS_CONTROL_FOLLOW_H
#define CYTOFS_CONTROL_FOLLOW_H

#include "command.h"

/* Writes `line` to the file `name` ("lab/backup") of the lab mounted at `lab`, shows progress until the work is over, and
 * prints what it said.  Returns the exit status: 0 done, 1 refused or incomplete, 3 where it failed. */
int control_follow(const struct command *command, const char *lab, const char *name, const char *line);

/* Whether `path` is where a lab is mounted that has this file. */
bool control_follow_is_lab(const char *path, const char *name);

#endif
