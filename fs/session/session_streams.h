/* Blocking reads and poll on streams, without a thread that waits.
 *
 * The first read of an opening that finds nothing gives the end of the file (rule.h).  Any later one is parked: its request
 * is kept and answered when the stream wakes, when the reader is interrupted, or when the session ends.  One thread per
 * session, the waker, gives these late answers; no worker ever waits for a stream. */
#ifndef CYTOFS_SESSION_STREAMS_H
#define CYTOFS_SESSION_STREAMS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "failure.h"

struct fuse_pollhandle;
struct fuse_req;
struct session_handle;
struct parked_read;

/* Of one open stream. */
struct session_stream {
    struct parked_read *first_parked; /* oldest first */
    struct fuse_pollhandle *poll;     /* a poller to notify, or NULL */
    bool queued;                      /* is in the waker's queue */
    bool told_end;                    /* a reader came to the end of what there was */
    bool abandoned;                   /* the client closed it: nothing is parked any more */
    struct session_handle *next_queued;
};

/* Of one session. */
struct session_streams {
    pthread_mutex_t lock; /* guards this struct and every session_stream; no other lock is taken under it */
    pthread_cond_t work;
    struct session_handle *first_queued, *last_queued;
    bool stopping;
    bool running; /* the waker has a thread */
    pthread_t waker;
};

void session_streams_init(struct session_streams *streams);
MUST_CHECK enum code session_streams_start(struct session_streams *streams, struct failure *why);

/* Ends the waker.  Reads that are still parked are answered by session_streams_abandon. */
void session_streams_stop(struct session_streams *streams);
void session_streams_destroy(struct session_streams *streams);

/* Answers a READ on a stream now or later.  Without `wait` a stream with nothing to read gives EAGAIN, never its end.  Both
 * functions put the handle, which the caller borrowed, back. */
void session_streams_read(struct session_handle *handle, struct fuse_req *request, size_t count, bool wait);

/* Answers a POLL; takes over `poll`, which may be NULL. */
void session_streams_poll(struct session_handle *handle, struct fuse_req *request, struct fuse_pollhandle *poll);

/* Answers what is, or will be, parked on the handle with EINTR: the client closed it, or the session ends.  The caller
 * borrows the handle. */
void session_streams_abandon(struct session_handle *handle);

/* The handle is going away: nothing is parked on it any more. */
void session_streams_detach(struct session_handle *handle);

#endif
