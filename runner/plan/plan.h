/* Who runs what next: a pure function of the nodes and the runs. */
#ifndef CYTOFS_PLAN_H
#define CYTOFS_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "failure.h"

#define PLAN_NODES_MAX 1024
#define PLAN_RUNS_MAX  10000

struct plan_node {
    const char *name;
    int cpus;
    int gpus;
    uint64_t memory_bytes; /* 0: not known, no limit */
};

/* What the runs of one member may have at once; -1: any number. */
struct plan_quota {
    int gpus, cpus;
};

struct plan_run {
    const char *path;   /* how texts name it: "experiments/cells/001" */
    const char *member; /* who submitted it */
    int gpus;           /* as in struct spec: -1 takes one where the node has one */
    int cpus;           /* 0: all of the node's */
    uint64_t memory_bytes;
    int node;                       /* index of the node that has it; -1: it waits */
    const struct plan_quota *quota; /* the member's; NULL: none */
};

enum plan_reason {
    PLAN_HELD,    /* a node has it already */
    PLAN_GO,      /* `node` should take it now */
    PLAN_NO_NODE, /* no node is present */
    PLAN_NO_GPU,  /* no node has as many GPUs as it needs */
    PLAN_NO_CPU,
    PLAN_NO_MEMORY,
    PLAN_QUOTA, /* `node` has room enough or will have, but the member's other runs have what he may have at once, or it
                   alone is more */
    PLAN_BUSY,  /* `node` is the nearest to having room; the run `blocker` is in the way (its size, or its
                   turn) */
};

struct plan_decision {
    enum plan_reason reason;
    int node;       /* PLAN_HELD, PLAN_GO, PLAN_QUOTA, PLAN_BUSY; else -1 */
    int blocker;    /* PLAN_BUSY: index of a run that `node` runs or will run before; else -1 */
    int gpus, cpus; /* PLAN_QUOTA: that the member's other runs have */
};

/* Decides for each run; runs are in order of submission, decisions is (run_count).  node_count <=
 * PLAN_NODES_MAX, run_count <= PLAN_RUNS_MAX.  Of the waiting runs the member with the fewest running ones
 * comes next, then the earlier submission.  One that its member's quota keeps waiting is in nobody's way. */
MUST_CHECK enum code plan_make(const struct plan_node *nodes, size_t node_count, const struct plan_run *runs,
                               size_t run_count, struct plan_decision *decisions, struct failure *why);

/* The decision about runs[index] in a sentence without a stop: "waits for a free node: localhost runs
 * experiments/a/001". With PLAN_BUSY and a blocker, the blocker's path is the end of it, so that its progress
 * can be put behind. */
void plan_explain(const struct plan_node *nodes, const struct plan_run *runs, const struct plan_decision *decisions,
                  size_t index, struct buffer *out);

#endif
