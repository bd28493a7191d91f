/* What the files of this module share: the session itself, its tables, and how an operation finds them. */
#ifndef CYTOFS_SESSION_STATE_H
#define CYTOFS_SESSION_STATE_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "block_pool.h"
#include "session.h"
#include "session_channel.h"
#include "session_handles.h"
#include "session_listeners.h"
#include "session_locks.h"
#include "session_nodes.h"
#include "session_grants.h"
#include "session_push.h"
#include "session_reserved.h"
#include "session_streams.h"
#include "tree.h"
#include "tree_observe.h"

#define SESSION_GREETING_MAX 256        /* bytes of an INIT request, its header included */
#define SESSION_WRITE_MAX    (1u << 20) /* bytes in one WRITE or READ */
/* What the kernel is asked to send at once: whole chunks, in fewer pages than its messages may have, so that they fit also
 * where the writer's buffer does not begin with a page. */
#define SESSION_WRITE_WANTED (7u << 17)

struct session_worker {
    struct session *session;
    pthread_t thread;
    struct fuse_buf message; /* its memory is libfuse's, kept from one message to the next */
    bool done;               /* it answers no more; guarded by the session's `life` */
};

struct session {
    /* Constant after session_start. */
    struct tree *tree;
    struct fuse_session *fuse;
    struct session_channel channel;
    uid_t owner; /* shown as the owner of all that has none of its own */
    gid_t group;
    /* What is made belongs to whoever asked, and chown changes it; else no file has an owner of its own. */
    bool keeps_owners;
    bool for_programs;
    int worker_count;

    uint8_t greeting[SESSION_GREETING_MAX]; /* of a fed session: the INIT request; set while nothing else is under way */
    size_t greeting_bytes;

    struct block_pool blocks; /* of SESSION_WRITE_MAX bytes: answers on their way */

    atomic_int interrupts; /* of a fed session: at least as many as the library keeps (session.c) */

    struct session_nodes nodes;
    struct session_handles handles;
    struct session_streams streams;
    struct session_locks locks;
    struct tree_observer observer;    /* also says which changes are this client's own (tree_observe_as) */
    struct session_push push;         /* of a fed session */
    struct session_grants grants;     /* of any other */
    struct session_reserved reserved; /* of a fed session */
    struct session_listeners listeners;

    pthread_mutex_t life; /* guards the fields below; no other lock is taken under it */
    pthread_cond_t life_changed;
    bool answering; /* the protocol's INIT was answered */
    bool stopping;  /* session_stop was called */
    bool ended;     /* stopped, or the channel is gone */
    int started;    /* workers that have a thread */
    int working;    /* of them, those that still answer */
    struct session_worker workers[SESSION_THREADS_MAX];
};

/* The session and the tree that a request belongs to. */
static inline struct session *session_of(fuse_req_t request)
{
    return fuse_req_userdata(request);
}

static inline struct tree *session_tree_of(fuse_req_t request)
{
    return session_of(request)->tree;
}

static inline struct node_id session_node(fuse_ino_t number)
{
    return (struct node_id){number};
}

/* Whether the client may keep the folder's listing, and that a name is missing in it: it is told of all that comes and goes
 * there. */
static inline bool session_may_keep_names(const struct session *session, struct node_id folder)
{
    return session->channel.peer.send && !tree_makes_names(session->tree, folder);
}

/* What a request makes: of that kind, with the permission bits of `mode`. */
static inline struct tree_new session_new(fuse_req_t request, enum node_kind kind, mode_t mode)
{
    const struct fuse_ctx *caller = fuse_req_ctx(request);
    bool owned = session_of(request)->keeps_owners;
    return (struct tree_new){
        .kind = kind,
        .mode = mode & 07777,
        .owner = owned ? (int64_t)caller->uid : TREE_MOUNTER,
        .group = owned ? (int64_t)caller->gid : TREE_MOUNTER,
        .for_folder = session_of(request)->for_programs,
    };
}

#endif
