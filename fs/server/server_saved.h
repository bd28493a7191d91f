/* Inside fs/server: what a server that is stopped and started again keeps of its clients, as bytes.
 *
 *     "cyserve1" | count (4), clients: each link's id (16), length (8), bytes (server_client_saved.c) | the links
 * (wire_server_save)
 */
#ifndef CYTOFS_SERVER_SAVED_H
#define CYTOFS_SERVER_SAVED_H

#include "buffer.h"
#include "failure.h"
#include "wire_server.h"

struct client;

struct server_saved_client {
    const uint8_t *session; /* WIRE_SESSION_BYTES */
    const uint8_t *bytes;
    size_t count;
};

/* Into the bytes that it was read from. */
struct server_saved {
    struct server_saved_client *clients;
    size_t client_count;
    const uint8_t *links;
    size_t link_bytes;
};

/* Of `clients`, a list, those that have not ended; nobody is busy for any, and all are muted. */
MUST_CHECK enum code server_saved_write(struct client *clients, struct wire_server *wire, struct buffer *out,
                                        struct failure *why);

/* CODE_CORRUPT, CODE_NEWER_FORMAT. */
MUST_CHECK enum code server_saved_read(const void *bytes, size_t count, struct server_saved *out, struct failure *why);
void server_saved_free(struct server_saved *saved);

/* NULL where there is none. */
const struct server_saved_client *server_saved_find(const struct server_saved *saved,
                                                    const uint8_t session[WIRE_SESSION_BYTES]);

#endif
