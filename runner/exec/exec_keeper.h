/* The process between the node and a program: sees that nothing of the program outlives either. */
#ifndef CYTOFS_EXEC_KEEPER_H
#define CYTOFS_EXEC_KEEPER_H

#include "exec.h"

/* What the keeper reports over its channel (SOCK_SEQPACKET): first started, then ended.  The other way goes one int a
 * message: a signal to pass on. */
struct exec_keeper_report {
    int kind; /* EXEC_RUNS: started, value is the process id.  EXEC_EXITED, EXEC_KILLED: ended */
    int value;
};

/* Is the keeper: to be called in a freshly forked child, whose process it takes over.  output becomes the program's
 * output and errors. */
_Noreturn void exec_keeper_run(int channel, int output, const struct exec_command *command);

#endif
