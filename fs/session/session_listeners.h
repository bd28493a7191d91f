/* Which of a session's workers listen for messages.
 *
 * The kernel wakes another listener for each message that comes, also where one that is awake would have it next; a wake-up
 * costs more than most messages do.  So only a few workers listen, fewer than there are cores: the others are parked, and
 * called where those are busy for long.  (With 2 listeners in the place of 8 on 2 cores, 8 writers that append and sync cost
 * 34 us of CPU an append in the place of 60.) */
#ifndef CYTOFS_SESSION_LISTENERS_H
#define CYTOFS_SESSION_LISTENERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "failure.h"

#define SESSION_THREADS_MAX 64

struct session_listeners {
    int most; /* that listen while nothing takes long; constant */

    atomic_int listening;
    atomic_bool watching;                   /* the watch looks at the workers every now and then; else it sleeps */
    atomic_uint turns[SESSION_THREADS_MAX]; /* of each worker: odd while it carries out a message */

    pthread_mutex_t lock;  /* guards the fields below; no other lock is taken under it */
    pthread_cond_t called; /* the parked ones wait here */
    pthread_cond_t wanted; /* the watch waits here */
    int active;            /* workers that listen or work, or were called to */
    int parked, calls;     /* not called; called and not awake yet */
    bool released;         /* nobody is parked any more */
    bool running;          /* the watch has a thread */
    pthread_t watch;
};

/* most: 0 for a default by the cores. */
void session_listeners_init(struct session_listeners *listeners, int most);

/* Begins to watch the workers, of which there are so many. */
MUST_CHECK enum code session_listeners_start(struct session_listeners *listeners, int workers, struct failure *why);

/* Everybody may listen from now on: the session ends.  Callable from any thread, twice. */
void session_listeners_release(struct session_listeners *listeners);

/* Ends the watch. */
void session_listeners_stop(struct session_listeners *listeners);
void session_listeners_destroy(struct session_listeners *listeners);

/* A worker, 0 .. SESSION_THREADS_MAX - 1, has begun, or will do no more. */
void session_listeners_enter(struct session_listeners *listeners);
void session_listeners_leave(struct session_listeners *listeners);

/* Before a worker receives a message: waits for its turn.  `was_long`: what it did last was a message that takes long. */
void session_listeners_listen(struct session_listeners *listeners, int worker, bool was_long);

/* The worker has received a message.  `is_long`: carrying it out will take long, for the disk or the processor. */
void session_listeners_work(struct session_listeners *listeners, int worker, bool is_long);

/* The worker will receive no more. */
void session_listeners_deafen(struct session_listeners *listeners);

#endif
