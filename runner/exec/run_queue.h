/* The runs that a node has heard of as queued, in the order in which it did. */
#ifndef CYTOFS_RUN_QUEUE_H
#define CYTOFS_RUN_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "node_lease.h"

#define RUN_QUEUE_MAX 10000 /* what comes on top is heard of again when the node starts anew */

struct queued_run {
    char *path;
    bool needs_known;
    struct node_resources needs;
};

struct run_queue {
    struct queued_run *runs;
    size_t count, capacity;
};

/* At the end, unless it is there already. */
void run_queue_add(struct run_queue *queue, const char *path);
void run_queue_remove(struct run_queue *queue, const char *path);
void run_queue_free(struct run_queue *queue);

#endif
