/* The states of a run and the only function that moves between them.
 *
 *                        lost
 *                 +------------------------------+
 *                 v                              |
 *   submitted   queued --- claimed ---> claimed -+- started ---> running --- finished ---> FINISHED
 *                 |                     |    |                   |  |  ^
 *                 |                     |    +----- failed ------|--+---------------> FAILED
 *                 |                     |       or lost (see below)                    ^
 *                 |             cancel_requested        cancel_requested               | failed
 *                 |                     +-----------+------------+                     |
 *           cancel_requested                        v                                  |
 *                 |                             cancelling --------------------------- +
 *                 |                                 | cancelled, lost        | finished: it was done already
 *                 +--------------> CANCELLED <------+                        +-----> FINISHED
 *
 * A lost run waits again; the third loss that is somebody's fault (killed program, dead node) fails it, and
 * so does the twentieth of any kind.  Restarts and unmounts are orderly and do not count.
 *
 * An event that the table does not allow changes nothing: two writers (server and node) append to one file,
 * and the order of the lines decides.  So `started` after `cancel_requested` leaves the run cancelling, and
 * nothing moves a run that is over.  The fold is pure: the same text gives the same summary, on any machine,
 * at any time.
 */
#include "run_state.h"

#include <stdio.h>
#include <string.h>

static const char *const names[RUN_STATE_COUNT] = {
    [RUN_NONE] = "none",       [RUN_QUEUED] = "queued",         [RUN_CLAIMED] = "claimed",
    [RUN_RUNNING] = "running", [RUN_CANCELLING] = "cancelling", [RUN_FINISHED] = "finished",
    [RUN_FAILED] = "failed",   [RUN_CANCELLED] = "cancelled",
};

/* moves[event][state]: the next state; RUN_NONE (nothing leads there): not allowed. */
static const enum run_state moves[RUN_EVENT_COUNT][RUN_STATE_COUNT] = {
    [RUN_EVENT_SUBMITTED] = {[RUN_NONE] = RUN_QUEUED},
    [RUN_EVENT_CLAIMED] = {[RUN_QUEUED] = RUN_CLAIMED},
    [RUN_EVENT_STARTED] = {[RUN_CLAIMED] = RUN_RUNNING},
    [RUN_EVENT_LOST] = {[RUN_CLAIMED] = RUN_QUEUED, [RUN_RUNNING] = RUN_QUEUED, [RUN_CANCELLING] = RUN_CANCELLED},
    [RUN_EVENT_CANCEL_REQUESTED] =
        {[RUN_QUEUED] = RUN_CANCELLED, [RUN_CLAIMED] = RUN_CANCELLING, [RUN_RUNNING] = RUN_CANCELLING},
    [RUN_EVENT_CANCELLED] = {[RUN_CANCELLING] = RUN_CANCELLED},
    [RUN_EVENT_FINISHED] = {[RUN_RUNNING] = RUN_FINISHED, [RUN_CANCELLING] = RUN_FINISHED},
    [RUN_EVENT_FAILED] = {[RUN_CLAIMED] = RUN_FAILED, [RUN_RUNNING] = RUN_FAILED, [RUN_CANCELLING] = RUN_FAILED},
};

const char *run_state_name(enum run_state state)
{
    return names[state];
}

bool run_state_is_over(enum run_state state)
{
    return state == RUN_FINISHED || state == RUN_FAILED || state == RUN_CANCELLED;
}

bool run_state_is_held(enum run_state state)
{
    return state == RUN_CLAIMED || state == RUN_RUNNING || state == RUN_CANCELLING;
}

bool run_state_allows(enum run_state state, enum run_event_kind kind)
{
    return moves[kind][state] != RUN_NONE;
}

enum run_state run_state_move(enum run_state state, enum run_event_kind kind, bool gives_up)
{
    enum run_state next = moves[kind][state];
    if (next == RUN_NONE)
        return state;
    if (kind == RUN_EVENT_LOST && next == RUN_QUEUED && gives_up)
        return RUN_FAILED;
    return next;
}

static void copy_text(char *to, size_t size, const char *from)
{
    if (!from)
        from = "";
    size_t length = strnlen(from, size - 1);
    memcpy(to, from, length);
    to[length] = 0;
}

/* Puts what the event says into the summary, whose state is the new one already. */
static void take_members(struct run_summary *summary, const struct run_event *event)
{
    switch (event->kind) {
    case RUN_EVENT_SUBMITTED:
        copy_text(summary->job, sizeof summary->job, event->job);
        copy_text(summary->member, sizeof summary->member, event->member);
        copy_text(summary->dataset, sizeof summary->dataset, event->dataset);
        summary->submitted_ms = event->ms;
        break;
    case RUN_EVENT_CLAIMED:
        copy_text(summary->node, sizeof summary->node, event->node);
        summary->attempt++;
        summary->started_ms = 0;
        break;
    case RUN_EVENT_STARTED:
        summary->started_ms = event->ms;
        break;
    case RUN_EVENT_LOST:
    case RUN_EVENT_FAILED:
        copy_text(summary->reason, sizeof summary->reason, event->reason);
        break;
    case RUN_EVENT_CANCEL_REQUESTED:
        snprintf(summary->reason, sizeof summary->reason, "cancelled by %s",
                 event->member && *event->member ? event->member : "someone");
        break;
    case RUN_EVENT_FINISHED:
        copy_text(summary->model, sizeof summary->model, event->model);
        summary->reason[0] = 0;
        break;
    case RUN_EVENT_CANCELLED:
    case RUN_EVENT_COUNT:
        break;
    }
}

void run_summary_apply(struct run_summary *summary, const struct run_event *event)
{
    bool is_claim = event->kind == RUN_EVENT_CLAIMED;
    bool of_earlier_attempt = !is_claim && event->attempt > 0 && event->attempt != summary->attempt;
    if (of_earlier_attempt || !run_state_allows(summary->state, event->kind)) {
        summary->ignored++;
        return;
    }
    bool was_cancelling = summary->state == RUN_CANCELLING;
    if (event->kind == RUN_EVENT_LOST && !event->orderly)
        summary->losses++;
    bool gives_up = summary->losses >= RUN_LOSSES_MAX || summary->attempt >= RUN_ATTEMPTS_MAX;
    summary->state = run_state_move(summary->state, event->kind, gives_up);
    summary->changed_ms = event->ms;
    if (!(was_cancelling && summary->state == RUN_CANCELLED)) /* the reason stays: who cancelled */
        take_members(summary, event);
    if (event->kind == RUN_EVENT_LOST && summary->state == RUN_FAILED) {
        char last[sizeof summary->reason - 64];
        copy_text(last, sizeof last, event->reason);
        snprintf(summary->reason, sizeof summary->reason, "lost %d times; the last time: %s", summary->attempt, last);
    }
    if (run_state_is_over(summary->state))
        summary->ended_ms = event->ms;
}

void run_summary_fold(const char *text, size_t count, struct run_summary *out)
{
    *out = (struct run_summary){.state = RUN_NONE};
    for (size_t at = 0; at < count;) {
        const char *stop = memchr(text + at, '\n', count - at);
        size_t length = stop ? (size_t)(stop - text) - at : count - at;
        struct run_event event;
        if (run_event_parse(text + at, length, &event)) {
            run_summary_apply(out, &event);
            run_event_free(&event);
        } else if (length > 0) {
            out->ignored++;
        }
        at += length + 1;
    }
}
