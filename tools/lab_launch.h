/* Opens a store and serves it, in the background or not: what `cytofs mount` and `cytofs serve` have in common. */
#ifndef CYTOFS_LAB_LAUNCH_H
#define CYTOFS_LAB_LAUNCH_H

#include "command.h"
#include "lab_server.h"

struct lab_launch {
    const char *store; /* absolute; NULL: a lab in memory */
    const char *key;   /* NULL: the default place */
    bool foreground, accept_older;
    const char *ready;                /* what the user reads when it is usable */
    struct lab_server_options server; /* program and ready are filled in */
};

/* Returns the exit status. */
int lab_launch_run(const struct command *command, struct lab_launch *launch);

#endif
