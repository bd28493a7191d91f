/* Inside runner/jobs: what the rules share.
 *
 * Locks, in the order in which they may be taken:
 *   1. acting        one submission, cancelling or loss at a time; held over calls of tree_path.h
 *   2. nodes_lock    reading lab/nodes/ into the table; held over calls of tree_path.h
 *   3. the table's   (job_table.c) never held over a call of the tree
 *   4. the streams'  (jobs_events.c) never held over a call of the tree
 * Calls of tree_path.h trigger no rules, so no callback of ours runs inside 1 or 2.
 */
#ifndef CYTOFS_JOBS_STATE_H
#define CYTOFS_JOBS_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "job_table.h"
#include "jobs.h"
#include "tree_path.h"

struct jobs_events;

struct jobs {
    struct tree *tree;
    int64_t (*clock_ms)(void);
    struct job_table *table;
    struct jobs_events *events;

    pthread_mutex_t acting;

    pthread_mutex_t nodes_lock;
    bool nodes_read;        /* guarded by nodes_lock, as is */
    uint64_t nodes_version; /* the stamp of lab/nodes at the last reading */
};

#endif
