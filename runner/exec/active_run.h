/* One run that this node has claimed: from the claim to the last line of its events. */
#ifndef CYTOFS_ACTIVE_RUN_H
#define CYTOFS_ACTIVE_RUN_H

#include <poll.h>
#include <stdbool.h>

#include "exec.h"
#include "node_lease.h"

struct active_run;
struct spec;

#define ACTIVE_RUN_GRACE_MS 10000 /* between SIGTERM and SIGKILL */
#define ACTIVE_RUN_FDS      2

struct active_run_options {
    const struct executor *executor; /* borrowed, outlives the run */
    const char *lab;                 /* the mounted lab's folder */
    const char *program;             /* of `train:` specs */
    const char *node;                /* the name under which it was claimed */
    const char *run;                 /* "experiments/e/001" */
    struct node_resources resources; /* what it may use */
    const char *visible_gpus;        /* CUDA_VISIBLE_DEVICES of its program; NULL: as it is here */
    int lease;                       /* the node's, borrowed while this begins: held as long as the program lives */
};

/* Why a program is being stopped. */
enum stop_reason {
    STOP_NOT,
    STOP_OUT_OF_TIME,
    STOP_NODE_ENDS, /* the run is given back */
    STOP_CANCELLED,
    STOP_TAKEN_AWAY, /* the server has given the run up: killed at once, and nothing more is said about it */
};

/* Starts the program, or, where that cannot be, has that as the run's end.  NULL only without memory. */
struct active_run *active_run_begin(const struct active_run_options *options);

const char *active_run_path(const struct active_run *run);
struct node_resources active_run_resources(const struct active_run *run);

/* What to poll for; unused entries have fd -1. */
void active_run_fill_poll(const struct active_run *run, struct pollfd fds[ACTIVE_RUN_FDS]);

/* Milliseconds until active_run_step has something to do without news; -1: none. */
int active_run_due_ms(const struct active_run *run);

/* Moves on what can be moved without waiting.  True when the run is over and all is written: destroy it then. */
bool active_run_step(struct active_run *run);

/* Stops the program; a stronger reason (further down in enum stop_reason) replaces a weaker one. */
void active_run_stop(struct active_run *run, enum stop_reason reason);

/* Kills what still runs.  NULL is fine. */
void active_run_destroy(struct active_run *run);

/* Reads <lab>/<run>/spec.yaml. *out is the caller's. */
MUST_CHECK enum code active_run_read_spec(const char *lab, const char *run, struct spec **out, struct failure *why);

#endif
