/* The ways in which FUSE messages reach a session: a mounted /dev/fuse, one end of a SOCK_SEQPACKET socketpair, or whoever
 * feeds it. Each keeps the borders of messages; libfuse reads and writes through the functions of this file. */
#ifndef CYTOFS_SESSION_CHANNEL_H
#define CYTOFS_SESSION_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "failure.h"
#include "session.h"

struct fuse_session;

struct session_channel {
    int fd;                   /* owned by libfuse once session_channel_attach was called */
    char *mountpoint;         /* absolute; NULL for a socket and a peer */
    struct session_peer peer; /* send NULL: not a fed session */
    atomic_bool silent;       /* a fed session repeats its greeting: the peer has the answer */
    atomic_bool greeted;      /* the first message, INIT, was answered */
    atomic_bool drops_pages;  /* the kernel drops the cached pages of what is written past its cache */
};

/* Makes libfuse use the channel, whose address must not change from now on.  fuse's user data is its struct session. */
MUST_CHECK enum code session_channel_attach(struct session_channel *channel, struct fuse_session *fuse, struct failure *why);

/* Lets whoever is at the other end of a socket see the end.  A mounted channel ends by unmounting, a fed one by not being
 * fed. */
void session_channel_shut(struct session_channel *channel);

#endif
