/* The node's sign of life: lab/nodes/<node>, held open as long as it lives. */
#ifndef CYTOFS_NODE_LEASE_H
#define CYTOFS_NODE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"

struct node_resources {
    int cpus;
    uint64_t memory_bytes;
    int gpus;
};

struct node_description {
    const char *name, *devices;
    struct node_resources has, used;
};

/* Makes the file, in place of one that an earlier life left, and writes the description.  *fd is the caller's to close; the
 * server calls the node lost when the last copy of it is closed.  CODE_BUSY: another process of this machine holds a lease
 * of this name. */
MUST_CHECK enum code node_lease_take(const char *lab, const struct node_description *description, int *fd,
                                     struct failure *why);

/* Whether the file still has its name: the server removes it from a node that it has given up. */
bool node_lease_is_held(int fd);

/* Writes the description anew.  A failure means that the lab is gone. */
MUST_CHECK enum code node_lease_refresh(int fd, const struct node_description *description, struct failure *why);

#endif
