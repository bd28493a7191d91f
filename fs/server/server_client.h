/* Inside fs/server: one client: its link, its session, what waits to be carried out, and what waits to be answered. */
#ifndef CYTOFS_SERVER_CLIENT_H
#define CYTOFS_SERVER_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "server_order.h"
#include "session.h"
#include "viewer.h"
#include "wire_server.h"

#define CLIENT_QUEUE_MAX (8u << 20) /* bytes that wait; beyond that the client is not read from */
#define CLIENT_BACKLOG_MAX                                                                                                  \
    (WIRE_WINDOW_MAX / 2) /* bytes of answers that it has not acknowledged; beyond that nothing is done for it */
#define CLIENT_NOTICES_MAX (WIRE_WINDOW_MAX / 4 * 3) /* the same; beyond that it is not told of changes one by one */
#define CLIENT_PARKED_MAX  4096                      /* requests that wait to be answered by something that happens */
#define CLIENT_POLLS_MAX   1024
#define CLIENT_RUNNING_MAX 64

struct server;

/* A request, in the queue and then among the open ones. */
struct client_message {
    struct client_message *previous, *next;
    struct request_order order;
    uint64_t unique;
    int slot;      /* of client.running */
    bool answered; /* under the client's lock */
    bool parked;   /* the session has returned without an answer; under the client's lock */
    size_t length;
    _Alignas(8) uint8_t bytes[];
};

struct client_messages {
    struct client_message *first, *last;
    size_t count;
};

struct client {
    struct server *server;
    struct wire_link *link; /* used under `lock` or by the server, until it is mute */
    struct wire_peer peer;
    struct viewer viewer;
    struct session *session;
    int64_t since_ms; /* wall clock */
    atomic_ullong bytes_in, bytes_out, requests;
    atomic_bool greeted; /* INIT was carried out */
    atomic_int offences; /* messages that no kernel would have sent */
    atomic_bool away;    /* its connection is lost */

    /* Under the server's lock. */
    struct client *next, *next_ready;
    struct client_messages queue;
    struct request_order running[CLIENT_RUNNING_MAX]; /* workers are busy with them */
    uint64_t running_slots;                           /* a bit for each that is in use */
    size_t queued_bytes;                              /* with what keeping them costs */
    bool ready;                                       /* in the line of those with work */
    bool paused;                                      /* its link is */
    bool ended;                                       /* no more messages, no more answers */

    pthread_mutex_t lock;             /* a leaf but for the link's; guards what follows */
    struct client_messages open;      /* running or parked: not answered yet */
    uint64_t polls[CLIENT_POLLS_MAX]; /* keys (kh) of those who are to be told when something is there */
    size_t poll_count;
    bool mute;   /* answers are dropped: the requests will be asked again */
    bool untold; /* a notice was left out */
};

/* A session of the tree for the link; the viewer is copied.  NULL with *why. */
struct client *client_create(struct server *server, struct tree *tree, struct wire_link *link, const struct wire_peer *peer,
                             const struct viewer *viewer, struct failure *why);

/* Nobody may be busy for it. */
void client_destroy(struct client *client);

/* Queues a copy; false where there is no memory, or it is no message. */
bool client_push(struct client *client, const void *bytes, size_t length);

/* Moves the next message that may be carried out now from the queue to the running ones; NULL: none. */
struct client_message *client_begin(struct client *client);

/* Checks it and carries it out, or answers why not; frees it, or leaves it parked.  Without the server's lock. */
void client_process(struct client *client, struct client_message *message);

/* The request that had this slot was carried out: those that waited for it may be. */
void client_end(struct client *client, int slot);

int client_running(const struct client *client);

/* There is room for notices again. */
void client_tell_what_was_left_out(struct client *client);

/* Drops all answers from now on. */
void client_mute(struct client *client);

/* Appends all of it to *out, with nobody busy for it and muted; takes it up.  Layout: server_client_saved.c.  CODE_CORRUPT:
 * the client is to be destroyed. */
void client_save(struct client *client, struct buffer *out);
MUST_CHECK enum code client_restore(struct client *client, const void *bytes, size_t count, struct failure *why);

#endif
