/* What others change, told to a fed session's client as notifications of the FUSE protocol, so that it drops what it has
 * cached: FUSE_NOTIFY_INVAL_INODE for attributes (offset -1) and for contents (from an offset on, attributes included),
 * FUSE_NOTIFY_INVAL_ENTRY and FUSE_NOTIFY_DELETE for a name and, with it, the folder's listing and attributes,
 * EXTRA_NOTIFY_EVERYTHING (extra.h).
 *
 * Changes are noted as they happen and sent by a thread of the session's own, coalesced while they wait: many writes into
 * one file are one notification.  Only nodes and folders that the client knows, and may read, are spoken of.
 */
#ifndef CYTOFS_SESSION_PUSH_H
#define CYTOFS_SESSION_PUSH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define PUSH_WAITING_MAX 65536 /* beyond these, the client is told that everything has changed */

struct push_entry;

struct push_table {
    struct push_entry *entries; /* in the order of their first change */
    size_t count, capacity;
    uint32_t *buckets; /* first entry of each chain, plus 1; NULL while there are none */
    bool everything;
};

struct session_push {
    struct session *session;
    bool running;
    pthread_t thread;

    pthread_mutex_t lock; /* taken under the tree's lock; guards the fields below; nothing is taken or waited for under it */
    pthread_cond_t changed;
    struct push_table waiting;
    bool sending; /* what was taken from it is on its way; its end is told by `changed` */
    bool stop;
};

void session_push_init(struct session_push *push, struct session *session);
MUST_CHECK enum code session_push_start(struct session_push *push, struct failure *why);

/* Returns when all that others have changed until now was sent.  For answers after which the client counts on having heard
 * of it: an open, a lock.  Without any lock. */
void session_push_flush(struct session_push *push);

/* Nothing is sent afterwards. */
void session_push_stop(struct session_push *push);
void session_push_destroy(struct session_push *push);

#endif
