/* What users and programs do to a lab, as workloads whose disk is recorded. */
#ifndef CYTOFS_CRASH_WORKLOADS_H
#define CYTOFS_CRASH_WORKLOADS_H

#include <stdbool.h>

struct crash_run;

struct crash_workload {
    const char *name;
    /* Before recording, on an open lab; may be NULL.  What it does is durable. */
    void (*prepare)(struct crash_run *run);
    /* On an open lab (but for `itself`: on nothing), recorded from its opening to its closing. */
    void (*run)(struct crash_run *run);
    bool itself;    /* makes or opens the lab itself */
    bool left_open; /* what prepare did is taken as a kill leaves it, not closed */
};

extern const struct crash_workload crash_workloads[];
extern const unsigned crash_workload_count;

#endif
