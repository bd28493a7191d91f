/* What users and programs do to a lab, as workloads whose disk is recorded. */
#ifndef CYTOFS_CRASH_WORKLOADS_H
#define CYTOFS_CRASH_WORKLOADS_H

#include <stdbool.h>

struct buffer;
struct crash_run;
struct crash_window;

struct crash_workload {
    const char *name;
    /* Before recording, on an open lab (but for `bare`); may be NULL.  What it does is durable. */
    void (*prepare)(struct crash_run *run);
    /* On an open lab (but for `itself`: on nothing), recorded from its opening to its closing. */
    void (*run)(struct crash_run *run);
    bool itself;    /* makes or opens the lab itself */
    bool left_open; /* what prepare did is taken as a kill leaves it, not closed */
    bool bare;      /* prepare makes the lab, closed */
    /* Looks at a state, where it lies, after the lab was found legal and was closed again (where `books`: instead of that);
     * says what is wrong. */
    void (*look)(const struct crash_run *run, const struct crash_window *window, struct buffer *wrong);
    bool books; /* its states are for `look` alone to judge; the check with all contents is made in any case */
};

/* With files (crash_workloads.c), and with the lab as a whole (crash_lab_workloads.c). */
extern const struct crash_workload crash_workloads[], crash_lab_workloads[];
extern const unsigned crash_workload_count, crash_lab_workload_count;

#endif
