/* Where the mounted lab is, for commands that work on one. */
#ifndef CYTOFS_LAB_PLACE_H
#define CYTOFS_LAB_PLACE_H

#include "failure.h"

/* The lab's folder: `given` if not NULL, else $CYTOFS_LAB, else the nearest folder at or above the working directory that
 * holds jobs/queue.  The result is the caller's to free.  CODE_NOT_FOUND says what to do. */
MUST_CHECK enum code lab_place_find(const char *given, char **folder, struct failure *why);

#endif
