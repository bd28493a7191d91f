/* Inside fs/server: one client: its link, its session, and what waits to be carried out. */
#ifndef CYTOFS_SERVER_CLIENT_H
#define CYTOFS_SERVER_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "session.h"
#include "viewer.h"
#include "wire_server.h"

#define CLIENT_QUEUE_MAX   (8u << 20) /* bytes that wait; beyond that the client is not read from */
#define CLIENT_BACKLOG_MAX (WIRE_WINDOW_MAX / 2) /* bytes of answers that it has not acknowledged; beyond that nothing is done for it */

struct server;

struct client_message {
    struct client_message *next;
    size_t length;
    uint8_t bytes[];
};

struct client {
    struct server *server;
    struct wire_link *link;
    struct wire_peer peer;
    struct viewer viewer;
    struct session *session;
    atomic_bool greeted;  /* INIT was carried out: before that one worker at a time */
    atomic_int offences;  /* messages that no kernel would have sent */

    /* Under the server's lock. */
    struct client *next, *next_ready;
    struct client_message *first, *last;
    size_t queued_bytes;
    int running;   /* workers that are busy for it */
    bool ready;    /* in the line of those with work */
    bool paused;   /* its link is */
    bool ended;    /* no more messages, no more answers */
};

/* A session of the tree for the link; the viewer is copied.  NULL with *why. */
struct client *client_create(struct server *server, struct tree *tree, struct wire_link *link, const struct wire_peer *peer,
                             const struct viewer *viewer, struct failure *why);

/* Nobody may be busy for it. */
void client_destroy(struct client *client);

/* Queues a copy; false where there is no memory. */
bool client_push(struct client *client, const void *bytes, size_t length);

/* The next message, the caller's to free; NULL: none. */
struct client_message *client_pop(struct client *client);

/* Checks it and carries it out, or answers why not.  The message may be changed. */
void client_process(struct client *client, struct client_message *message);

#endif
