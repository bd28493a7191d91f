/* One line of a run's events: {"ms": .., "event": "..", ...}.  The members of each event: runner/README.md.
 */
#ifndef CYTOFS_RUN_EVENT_H
#define CYTOFS_RUN_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"

#define RUN_EVENT_LINE_MAX 16384 /* bytes; longer lines are not read */

enum run_event_kind {
    RUN_EVENT_SUBMITTED,
    RUN_EVENT_CLAIMED,
    RUN_EVENT_STARTED,
    RUN_EVENT_LOST,
    RUN_EVENT_CANCEL_REQUESTED,
    RUN_EVENT_CANCELLED,
    RUN_EVENT_FINISHED,
    RUN_EVENT_FAILED,
    RUN_EVENT_COUNT
};

struct run_event {
    enum run_event_kind kind;
    int64_t ms;  /* since 1970 */
    int attempt; /* from 1; 0: not given.  An event of an earlier attempt is ignored by the fold */
    int64_t pid;
    int64_t spec_bytes;
    bool orderly; /* of lost: nobody's fault (a restart, an unmount); does not count against the run */
    const char *job, *member, *node, *reason, *model, *dataset; /* NULL: not given (after run_event_parse: "") */
    void *parsed;                                               /* what run_event_parse keeps; else NULL */
};

/* "submitted" ... "failed". */
const char *run_event_name(enum run_event_kind kind);

/* Appends the line with its line break.  Members that are 0 or NULL are left out. */
void run_event_format(const struct run_event *event, struct buffer *out);

/* Reads one line (without its line break).  False where it is none of ours: broken, unknown, too long.  On
 * true the texts are borrowed until run_event_free(event). */
bool run_event_parse(const char *line, size_t count, struct run_event *event);
void run_event_free(struct run_event *event);

#endif
