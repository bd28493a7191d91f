/* The embedded file server: one process that shows a lab in a folder, and a node beside it. */
#ifndef CYTOFS_LAB_SERVER_H
#define CYTOFS_LAB_SERVER_H

#include <stdbool.h>

#include "failure.h"

struct lab_store;

struct lab_server_options {
    const char *mountpoint; /* absolute */
    const char *program;    /* absolute path of this program, to start the node with */
    int cpus;               /* for jobs; 0: all */
    bool node;              /* run jobs here */
    bool allow_other;
    void (*ready)(void *context, const struct failure *why); /* called once: NULL when usable, else why not */
    void *ready_context;
};

/* Blocks SIGTERM and SIGINT, which the server waits for in a thread of its own.  Call it before the store is opened: every
 * thread inherits it. */
void lab_server_block_signals(void);

/* Serves the opened lab until it is unmounted or SIGTERM or SIGINT comes; then everything is committed
 * and the store closed, in any case. */
MUST_CHECK enum code lab_server_run(struct lab_store *store, const struct lab_server_options *options,
                                    struct failure *why);

#endif
