/* An executor without processes, whose programs do what the test says: to see what the node makes of faults. */
#ifndef CYTOFS_EXEC_FAKE_H
#define CYTOFS_EXEC_FAKE_H

#include "exec.h"

/* What every program that it starts does. */
struct exec_fake_plan {
    const char *refusal;   /* not NULL: it cannot be started, for this reason */
    const char *output;    /* what it writes */
    enum exec_state state; /* how it is, at once */
    int value;
};

/* *plan outlives the executor. */
struct executor exec_fake(struct exec_fake_plan *plan);

#endif
