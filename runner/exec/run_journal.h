/* What the node reads and writes in a run's events. */
#ifndef CYTOFS_RUN_JOURNAL_H
#define CYTOFS_RUN_JOURNAL_H

#include "failure.h"

struct run_event;
struct run_summary;

/* Appends the event, with the present time, to <folder>/events by one write, and returns when it is on disk.  folder: the
 * run's, absolute. */
MUST_CHECK enum code run_journal_append(const char *folder, struct run_event event, struct failure *why);

/* What the events say now. */
MUST_CHECK enum code run_journal_read(const char *folder, struct run_summary *out, struct failure *why);

#endif
