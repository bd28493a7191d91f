/* A client's view of the tree through the FUSE protocol: one session implementation over several channels.
 *
 * Mounted: the channel is /dev/fuse.  In tests: one end of a SOCK_SEQPACKET socketpair, on which the test speaks
 * the protocol itself, without a mount or root.  These have threads of their own, which use the signal SIGURG to wake each
 * other. Fed: whoever made the session gives it one message after another, from any threads, and takes its answers: a client
 * on another machine.  Many sessions may serve one tree.
 */
#ifndef CYTOFS_SESSION_H
#define CYTOFS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "failure.h"

struct session;
struct tree;
struct viewer; /* viewer.h */

/* The other side of a fed session. */
struct session_peer {
    /* Takes one whole answer or notification (struct fuse_out_header and what follows), from any thread; copies it, never
     * waits. */
    void (*send)(void *context, const struct iovec *parts, int count);
    void *context;
    const struct viewer *viewer; /* who it is; borrowed */
};

struct session_options {
    const char *mountpoint;          /* an empty folder; for a socket channel NULL */
    const struct session_peer *peer; /* copied; a fed session: mountpoint is NULL, socket and threads are not used */
    int socket;        /* the session's end of a socketpair, owned by the session; used when mountpoint and peer are NULL */
    int threads;       /* workers, 1 .. 64; 0 for a default by the cores */
    bool allow_other;  /* let other local users in (needs user_allow_other or root) */
    bool keep_owners;  /* show the owners that files have, give new ones to whoever asks, let chown(2) change them: for
                          root with allow_other.  Else everything is shown as belonging to this process's user */
    bool for_programs; /* what works here works for all members: it gets no further by a member's link than that member
                        could, and what it makes in a member's folder is that member's */
    const char *label; /* shown by df and mount, e.g. "cytofs" */
};

/* Mounts (or takes the socket) and answers the protocol's INIT from the first thread; returns when the mount is usable. */
MUST_CHECK enum code session_start(struct tree *tree, const struct session_options *options, struct session **out,
                                   struct failure *why);

/* A fed session's next request: one whole message (struct fuse_in_header and what follows) that was checked, INIT before all
 * others.  Several threads may do so at once.  It returns when the request was carried out, or parked to be answered later.
 */
void session_process(struct session *session, const void *message, size_t length);

/* Blocks until the session ends: unmounted by someone, the socket closed, or session_stop. */
void session_wait(struct session *session);

/* Ends the session and, if mounted, unmounts (lazily where files are still open).  Callable from any thread, twice. */
void session_stop(struct session *session);

/* Waits for its threads and frees it.  No session_process may be under way. */
void session_destroy(struct session *session);

#endif
