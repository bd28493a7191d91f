/* The state of a run: a pure fold over the text of its events.  Server, node and views use this and nothing
 * else to know what a run is doing. */
#ifndef CYTOFS_RUN_STATE_H
#define CYTOFS_RUN_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "run_event.h"

#define RUN_LOSSES_MAX       3         /* that were not orderly: then a lost run fails */
#define RUN_ATTEMPTS_MAX     20        /* however it was lost */
#define RUN_EVENTS_BYTES_MAX (1 << 20) /* of one run's events file */

enum run_state {
    RUN_NONE, /* no `submitted` yet */
    RUN_QUEUED,
    RUN_CLAIMED,
    RUN_RUNNING,
    RUN_CANCELLING,
    RUN_FINISHED,
    RUN_FAILED,
    RUN_CANCELLED,
    RUN_STATE_COUNT
};

/* "none", "queued", ... as in jobs/events. */
const char *run_state_name(enum run_state state);

/* Finished, failed or cancelled: nothing will change any more. */
bool run_state_is_over(enum run_state state);

/* Claimed, running or cancelling: a node has it. */
bool run_state_is_held(enum run_state state);

/* Whether the event may happen in this state, and where it leads.  gives_up: a loss now is the last. */
bool run_state_allows(enum run_state state, enum run_event_kind kind);
enum run_state run_state_move(enum run_state state, enum run_event_kind kind, bool gives_up);

/* What the events say.  Texts are cut to fit. */
struct run_summary {
    enum run_state state;
    char job[256];
    char member[128];
    char node[256];                             /* who has it, or had it last; "" before the first claim */
    int losses;                                 /* that count: not orderly */
    int attempt;                                /* claims so far */
    char reason[512];                           /* why it failed, was lost or was cancelled; "" */
    char model[512];                            /* path of the version that it made, or "" */
    char dataset[768];                          /* path of the snapshot, or "" */
    int64_t submitted_ms, started_ms, ended_ms; /* since 1970; 0: not yet.  started_ms: of the latest attempt */
    int64_t changed_ms;                         /* when it came into its state */
    uint64_t ignored;                           /* lines that were broken, unknown or not allowed where they stand */
};

/* Applies one event.  An event that is not allowed, or of an earlier attempt, changes nothing but `ignored`.
 */
void run_summary_apply(struct run_summary *summary, const struct run_event *event);

/* The fold of a whole events file from RUN_NONE.  A line that was cut off by a crash is ignored. */
void run_summary_fold(const char *text, size_t count, struct run_summary *out);

#endif
