/* Runs that are this node's by name, but that it does not run: what an earlier life of it left behind. */
#ifndef CYTOFS_STRAY_RUNS_H
#define CYTOFS_STRAY_RUNS_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define STRAY_RUNS_MAX      256
#define STRAY_RUNS_GRACE_MS 3000 /* the server, too, notices that the earlier life ended */

struct stray_run {
    char *path;
    int64_t due_ms; /* monotonic */
};

struct stray_runs {
    struct stray_run runs[STRAY_RUNS_MAX];
    size_t count;
};

/* Notes a run that was said to be claimed, running or being cancelled here. */
void stray_runs_add(struct stray_runs *strays, const char *path);

/* Something newer was said about it. */
void stray_runs_remove(struct stray_runs *strays, const char *path);

/* Settles those whose time has come: where the run's own events still say that `node` has it, `lost` is appended (or
 * `cancelled`, where that was asked for).  Returns the milliseconds until the next is due, -1 for none. */
int stray_runs_settle(struct stray_runs *strays, const char *lab, const char *node);
void stray_runs_free(struct stray_runs *strays);

#endif
