/* flock(2) and fcntl(2) locks: requests for the tree's lock table, parked while another has the lock. */
#ifndef CYTOFS_SESSION_LOCKS_H
#define CYTOFS_SESSION_LOCKS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "tree.h"

struct fuse_lowlevel_ops;
struct fuse_req;
struct parked_lock;
struct session;
struct session_handle;

/* Of one session. */
#define SESSION_LOCKS_PARKED_MAX 4096

struct session_locks {
    pthread_mutex_t lock; /* guards this struct; the lock table's may be taken under it */
    pthread_cond_t changed;
    struct parked_lock *first;
    atomic_int parked; /* up to SESSION_LOCKS_PARKED_MAX of them */
};

void session_locks_init(struct session_locks *locks);
void session_locks_destroy(struct session_locks *locks);
void session_locks_fill(struct fuse_lowlevel_ops *operations);

/* The client is gone: whoever still waits is told EINTR, and its locks end.  No worker answers requests any more. */
void session_locks_abandon(struct session *session);

/* Makes the client ask for the attributes (session_reply.h), but not while somebody has a lock on the file: who got it was
 * made to ask then. */
void session_locks_forget_attributes(struct session *session, struct node_id node);

/* Answers that a lock is granted: what others wrote before has been made visible. */
void session_locks_granted(struct session *session, struct fuse_req *request);

/* A process closed the file: its fcntl(2) locks on it end. */
void session_locks_close(struct session_handle *handle, uint64_t owner);

/* The open file is gone, and with it what was locked by it. */
void session_locks_leave(struct session_handle *handle);

#endif
