/* The runs that are not over and the nodes that are present, in memory.  A cache of what the events and
 * lab/nodes/ say: it is thrown away with the process and rebuilt at the next start.
 *
 * Every change of a run is told to `changed`, in the order in which the changes happen.
 */
#ifndef CYTOFS_JOB_TABLE_H
#define CYTOFS_JOB_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "failure.h"
#include "plan.h"
#include "run_state.h"

#define JOB_PATH_MAX      256 /* bytes of "experiments/<experiment>/<run>" with its terminator */
#define JOB_NODE_NAME_MAX 255
#define JOB_NODE_TEXT_MAX 256

struct job_needs {
    int gpus, cpus; /* as in struct spec */
    uint64_t memory_bytes;
};

struct job_run {
    char path[JOB_PATH_MAX];
    struct run_summary summary;
    struct job_needs needs;
    size_t events_bytes; /* how much of the events file the summary holds */
};

struct job_node {
    char name[JOB_NODE_NAME_MAX + 1];
    char host[JOB_NODE_TEXT_MAX];
    char devices[JOB_NODE_TEXT_MAX]; /* in words */
    int cpus, gpus;
    uint64_t memory_bytes;
    double load;
};

/* What happened to a run, and why it is so ("waits for ...", or the reason of its end).  Called with the
 * table's lock held: it must not use the table or the tree. */
typedef void job_table_changed(void *context, const struct job_run *run, const char *explanation);

struct job_table;

struct job_table *job_table_create(job_table_changed *changed, void *context); /* NULL without memory */
void job_table_destroy(struct job_table *table);

/* Takes in the events of a run that is new to the table.  CODE_TOO_LARGE where too many runs wait already. */
MUST_CHECK enum code job_table_add(struct job_table *table, const char *path, const struct job_needs *needs,
                                   const char *events, size_t count, struct failure *why);

/* Takes in the whole events file of a run, unless the table has seen more of it already; a run that is over
 * leaves the table.  An unknown run is passed over. */
void job_table_update(struct job_table *table, const char *path, const char *events, size_t count);

/* The run's folder is gone. */
void job_table_drop(struct job_table *table, const char *path, const char *reason);

/* How many runs of the member are not over. */
size_t job_table_count(struct job_table *table, const char *member);

/* What the member's runs may have at once, those that are in the table now. */
void job_table_set_quota(struct job_table *table, const char *member, const struct plan_quota *quota);

/* Whose runs are in the table. */
#define JOB_MEMBERS_MAX 64
struct job_members {
    char names[JOB_MEMBERS_MAX][128];
    size_t count;
};
void job_table_members(struct job_table *table, struct job_members *out);

bool job_table_is_full(struct job_table *table);

/* Copies the run; false where it is not in the table. */
bool job_table_find(struct job_table *table, const char *path, struct job_run *out);

/* Replaces the nodes by a copy of these. */
void job_table_set_nodes(struct job_table *table, const struct job_node *nodes, size_t count);

/* Keeps a queued run for this node, if the plan gives it that now: until the claim is in its events, or
 * RUN_GRANT_MS passed.  CODE_AGAIN: not now; CODE_EXISTS: a node has it; CODE_NOT_FOUND: it does not wait. */
#define RUN_GRANT_MS 10000
MUST_CHECK enum code job_table_grant(struct job_table *table, const char *path, const char *node, struct failure *why);

/* Whether it is kept for this node. */
bool job_table_is_granted(struct job_table *table, const char *path, const char *node);

/* A copy of everything at one moment, with what is to be said of each run. */
struct job_picture {
    struct job_run *runs; /* (run_count), in order of submission */
    size_t run_count;
    struct job_node *nodes; /* (node_count), in order of name */
    size_t node_count;
    char **explanations; /* (run_count); why it waits, "" for a run that a node has */
    int *blockers;       /* (run_count); index of the run that is in its way and ends the explanation; -1: none */
};

MUST_CHECK enum code job_table_copy(struct job_table *table, struct job_picture *out, struct failure *why);
void job_picture_free(struct job_picture *picture);

/* The paths of the runs that a node has; paths is the caller's to free (NULL without memory, or where there
 * are none). */
struct job_paths {
    char (*paths)[JOB_PATH_MAX]; /* (count) */
    size_t count;
};
void job_table_held(struct job_table *table, struct job_paths *out);

/* Calls `each` for every run with its explanation, under the lock, like `changed`. */
void job_table_visit(struct job_table *table, job_table_changed *each, void *context);

/* When anything here changed last, in ns since 1970; later changes have later times. */
int64_t job_table_changed_ns(struct job_table *table);

#endif
