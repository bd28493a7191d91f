/* A client's view of the tree through the FUSE protocol: one session implementation over several channels.
 *
 * Mounted: the channel is /dev/fuse.  In tests: one end of a SOCK_SEQPACKET socketpair, on which the test speaks
 * the protocol itself, without a mount or root.  Each session has threads of its own; many sessions may serve one tree.
 * They use the signal SIGURG to wake their own threads.
 */
#ifndef CYTOFS_SESSION_H
#define CYTOFS_SESSION_H

#include <stdbool.h>

#include "failure.h"

struct session;
struct tree;

struct session_options {
    const char *mountpoint; /* an empty folder; for a socket channel NULL */
    int socket;  /* the session's end of a socketpair, owned by the session; used when mountpoint is NULL */
    int threads; /* workers, 1 .. 64; 0 for a default by the cores */
    bool allow_other;  /* let other local users in (needs user_allow_other or root) */
    bool keep_owners;  /* show the owners that files have, give new ones to whoever asks, let chown(2) change them: for
                          root with allow_other.  Else everything is shown as belonging to this process's user */
    const char *label; /* shown by df and mount, e.g. "cytofs" */
};

/* Mounts (or takes the socket) and answers the protocol's INIT from the first thread; returns when the mount is usable. */
MUST_CHECK enum code session_start(struct tree *tree, const struct session_options *options,
                                   struct session **out, struct failure *why);

/* Blocks until the session ends: unmounted by someone, the socket closed, or session_stop. */
void session_wait(struct session *session);

/* Ends the session and, if mounted, unmounts (lazily where files are still open).  Callable from any thread, twice. */
void session_stop(struct session *session);

/* Waits for its threads and frees it. */
void session_destroy(struct session *session);

#endif
