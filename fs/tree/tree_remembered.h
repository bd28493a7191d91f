/* Nodes that clients hold references on, and that are not in memory: 16 bytes each, where a node takes some hundred.  A
 * kernel keeps references on every file that it has seen, for as long as it has memory.  All calls with the tree's lock
 * held.
 */
#ifndef CYTOFS_TREE_REMEMBERED_H
#define CYTOFS_TREE_REMEMBERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct remembered_node {
    uint64_t inode; /* 0: the slot is free */
    uint64_t lookups;
};

struct remembered {
    struct remembered_node *slots; /* open addressing, linear probing */
    size_t slot_count;             /* 0 or a power of two; at most three quarters are in use */
    size_t used;
};

/* Notes the references of a node that is not in the table.  False without memory. */
bool remembered_put(struct remembered *table, uint64_t inode, uint64_t lookups);

/* Takes a node out; how many references were noted, 0 for none. */
uint64_t remembered_take(struct remembered *table, uint64_t inode);

void remembered_free(struct remembered *table);

#endif
