/* An executor runs programs for the node: as processes of this machine (exec_local.h), or as whatever a test makes of it.
 *
 * The contract of every executor: a program that was started ends when it ends, when it is signalled, when its execution
 * is destroyed, or when the process that started it dies, however that happens; and with it every process that it
 * started.  No call blocks for long.  One thread.
 */
#ifndef CYTOFS_EXEC_H
#define CYTOFS_EXEC_H

#include <stddef.h>

#include "failure.h"

struct execution; /* one started program; the executor's own */

struct exec_command {
    const char *const *arguments;   /* NULL behind the last; arguments[0] is a path */
    const char *const *environment; /* "NAME=value", NULL behind the last; nothing else is inherited */
    const char *folder;             /* working directory, absolute */
    int hold; /* a descriptor of which a copy stays open as long as any process of the program may live; -1: none */
};

enum exec_state {
    EXEC_RUNS,
    EXEC_EXITED,   /* value: exit status, 0 .. 255; 127 with a last line of output where it could not be started */
    EXEC_KILLED,   /* value: the signal's number */
    EXEC_VANISHED, /* how it ended cannot be known */
};

struct executor {
    void *context;

    /* Everything in *command is copied. */
    enum code (*start)(void *context, const struct exec_command *command, struct execution **out, struct failure *why);

    /* Both can be polled for POLLIN and stay open until destroy.  What the program writes to its output and its errors, in
     * one stream, non-blocking, at its end when every process of the program is gone; and a descriptor that is readable when
     * `look` has news. */
    int (*output)(struct execution *execution);
    int (*news)(struct execution *execution);

    /* How it is now; never blocks. */
    enum exec_state (*look)(struct execution *execution, int *value);

    /* Sends a signal to all its processes; after the end does nothing. */
    void (*send)(struct execution *execution, int signal);

    /* The process id for records, 0 where there is none. */
    long (*id)(const struct execution *execution);

    /* Kills what still runs.  NULL is fine. */
    void (*destroy)(struct execution *execution);
};

#endif
