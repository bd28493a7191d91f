/* The nodes that this session's client knows: how often it looked each one up, and which contents its cached pages hold.
 *
 * The tree is told once when the client learns of a node and once when it has forgotten it; so whatever a client says, a
 * session can never give back more references than it took, and gives back all of them when it ends. */
#ifndef CYTOFS_SESSION_NODES_H
#define CYTOFS_SESSION_NODES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tree.h"

struct session_node_entry {
    uint64_t id;      /* 0: the slot is free */
    uint32_t lookups; /* > 0; at UINT32_MAX it stays there until the session ends */
    uint32_t mark;    /* of the version of the pages that the client may hold; 0: it opened none yet */
    uint32_t opens;   /* open files of the node */
    uint32_t dropped; /* how often others had changed it when its pages were dropped for a lock (session_grants.h) */
};

struct session_nodes {
    pthread_mutex_t lock; /* the tree's own locks may be taken under it */
    struct tree *tree;
    struct session_node_entry *slots; /* open addressing, linear probing */
    size_t slot_count;                /* 0 or a power of two; at most three quarters are in use */
    size_t used;
};

void session_nodes_init(struct session_nodes *nodes, struct tree *tree);

/* Forgets everything that the client still held. */
void session_nodes_destroy(struct session_nodes *nodes);

/* The client is being told of a node once more.  False without memory: then it must not be told. */
bool session_nodes_remember(struct session_nodes *nodes, struct node_id node);

/* The client knew the node, with these counts, before the session was started anew.  False without memory. */
bool session_nodes_restore(struct session_nodes *nodes, struct node_id node, uint32_t lookups, uint32_t mark);

/* The client speaks of a stored node as of one that it knows, maybe from before the server was started anew: counts one
 * lookup where it has none. */
void session_nodes_touch(struct session_nodes *nodes, struct node_id node);

/* Whether the client knows the node. */
bool session_nodes_knows(struct session_nodes *nodes, struct node_id node);

/* The client gives back `count` lookups; more than it has count as all of them. */
void session_nodes_forget(struct session_nodes *nodes, struct node_id node, uint64_t count);

/* What the client may have cached of a node's contents: nothing that we know of, those of the version asked for, or others.
 */
enum session_pages { PAGES_UNKNOWN, PAGES_CURRENT, PAGES_OUTDATED };

/* What it may have cached since it last opened the node, compared with `version`, which it opens now. */
enum session_pages session_nodes_open(struct session_nodes *nodes, struct node_id node, uint64_t version);

/* One more, one fewer, open file of the node; and whether there is one. */
void session_nodes_count_open(struct session_nodes *nodes, struct node_id node);
void session_nodes_count_close(struct session_nodes *nodes, struct node_id node);
bool session_nodes_is_open(struct session_nodes *nodes, struct node_id node);

/* How often others had changed the node when its pages were dropped, as was set last; 0 at first, and for one that the
 * client does not know. */
uint32_t session_nodes_dropped_at(struct session_nodes *nodes, struct node_id node);
void session_nodes_set_dropped(struct session_nodes *nodes, struct node_id node, uint32_t changes);

/* How many nodes the client knows, for tests and figures. */
size_t session_nodes_count(struct session_nodes *nodes);

#endif
