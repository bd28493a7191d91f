/* The file server: one process that shows a lab in a folder, to other machines, or both, and a node beside it. */
#ifndef CYTOFS_LAB_SERVER_H
#define CYTOFS_LAB_SERVER_H

#include <stdbool.h>

#include "failure.h"
#include "lab_door.h"
#include "people.h"

struct lab_store;

struct lab_server_options {
    const char *mountpoint; /* absolute; NULL: it is not shown on this machine */
    struct lab_door_options door;
    bool serves;         /* opens the door */
    const char *program; /* absolute path of this program, to start the node with */
    int cpus;            /* for jobs; 0: all */
    bool node;           /* run jobs here */
    bool allow_other;
    struct people_options people;                            /* by which name workstations reach us */
    void (*ready)(void *context, const struct failure *why); /* called once: NULL when usable, else why not */
    void *ready_context;
};

/* Blocks SIGTERM and SIGINT, which the server waits for in a thread of its own.  Call it before the store is opened: every
 * thread inherits it. */
void lab_server_block_signals(void);

/* Serves the opened lab until SIGTERM or SIGINT comes, or its mount on this machine is unmounted; then everything is
 * committed and the store closed, in any case. */
MUST_CHECK enum code lab_server_run(struct lab_store *store, const struct lab_server_options *options, struct failure *why);

#endif
