/* A node: claims queued runs of a mounted lab, runs their programs and reports, through files alone (runner/README.md). */
#ifndef CYTOFS_NODE_H
#define CYTOFS_NODE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "failure.h"

struct executor;

struct node_options {
    const char *lab;       /* the folder in which the lab is mounted */
    const char *name;      /* as it is to appear in jobs/nodes; NULL: the host's name.  Letters, digits, '.', '_', '-' */
    const char *program;   /* absolute path of the cytofs program, for `train:` specs */
    int cpus;              /* cores that runs may use; 0: those that this process may use */
    uint64_t memory_bytes; /* memory that runs may use; 0: the machine's */
    bool finds_gpus;       /* the machine's, as the NVIDIA driver tells; else it has none */
    const struct executor *executor; /* NULL: processes of this machine (exec_local.h) */
    const atomic_bool *stop; /* set from anywhere, also from a signal handler: programs are stopped, their runs given back */
};

/* Lives until *stop is set (CODE_OK), or the lab goes away (CODE_IO) or refuses the node.  In each case no program of
 * its own is left.  CODE_BUSY: a node of this name lives already.  Uses the calling thread alone. */
MUST_CHECK enum code node_run(const struct node_options *options, struct failure *why);

#endif
