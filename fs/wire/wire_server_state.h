/* Inside the server's end of links: its links, its guests, and itself.  Who may touch what: wire_server.c. */
#ifndef CYTOFS_WIRE_SERVER_STATE_H
#define CYTOFS_WIRE_SERVER_STATE_H

#include <pthread.h>

#include "wire_end.h"
#include "wire_server.h"

#define WIRE_GUESTS_MAX (WIRE_LINKS_MAX + WIRE_HANDSHAKES_MAX)
#define WIRE_LISTENERS  2 /* network, UNIX socket */

struct wire_served {
    struct wire_link link; /* first: a link is its wire_served */
    struct wire_server *server;
    struct wire_peer peer;
    struct wire_served *next;
    int64_t cut_ms; /* since when it has no guest */
    bool expelled;  /* under the server's lock */
    bool given_up;  /* under the server's lock */
    bool finished;  /* WIRE_ENDED was told */
};

/* A connection. */
struct wire_guest {
    struct wire_channel *channel;       /* while it greets; then the connection has it */
    struct wire_connection *connection; /* until a link has it */
    struct wire_served *link;
    struct wire_peer peer;
    enum wire_want want;
    int64_t begun_ms;
    bool closing; /* goes when its output is gone */
};

struct wire_server {
    struct wire_server_events events;
    void *context;
    struct wire_context *tls;
    int listeners[WIRE_LISTENERS]; /* -1: not */
    char *socket_path;
    int wake, keep_ms;
    uint16_t port;
    pthread_t thread;
    bool runs; /* there is a thread */

    pthread_mutex_t lock;
    struct wire_served *links;
    size_t link_count;
    bool stopping;

    struct wire_guest guests[WIRE_GUESTS_MAX]; /* the thread's; an entry without channel, connection and link is free */
};

#endif
