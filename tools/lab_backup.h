/* lab/backup: a lab in use is saved by its server. */
#ifndef CYTOFS_LAB_BACKUP_H
#define CYTOFS_LAB_BACKUP_H

#include "failure.h"

struct lab_store;
struct lab_task;

struct lab_backup {
    struct lab_store *store; /* opened */
    const char *mountpoint;  /* absolute; NULL: not mounted here */
};

/* Adds the file.  What is written to it: "[again] [keep N] FOLDER", an absolute path outside of any lab.  *backup is
 * borrowed until the task is stopped. */
MUST_CHECK enum code lab_backup_add(const struct lab_backup *backup, struct lab_task **out, struct failure *why);

#endif
