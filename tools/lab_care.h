/* lab/scrub and lab/mirrors: a lab in use looks for damage, and gets, fills and loses mirrors. */
#ifndef CYTOFS_LAB_CARE_H
#define CYTOFS_LAB_CARE_H

#include <stdint.h>

#include "failure.h"

struct lab_store;
struct lab_task;

struct lab_care {
    struct lab_store *store;
    const char *mountpoint;           /* NULL: not mounted here */
    _Atomic uint64_t scrub_rate;      /* bytes a second */
    struct lab_task *scrub, *mirrors; /* NULL for a lab in memory */
};

/* Adds the files; *care outlives the tree.  lab/scrub takes "start [MB/S]" and "rate MB/S"; lab/mirrors takes "show", "add
 * DIR", "remove DIR" and "fill".  What happens to mirrors is told in lab/last-error. */
MUST_CHECK enum code lab_care_add(struct lab_care *care, struct failure *why);

/* Begins to bring mirrors that are behind up to date; once the lab is served. */
void lab_care_begin(struct lab_care *care);

/* As lab_task_stop and lab_task_destroy.  After stop nothing is told to the tree any more. */
void lab_care_stop(struct lab_care *care);
void lab_care_destroy(struct lab_care *care);

#endif
