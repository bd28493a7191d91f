/* The server's end of links (wire_link.h): listens, does TLS 1.3, checks certificates, keeps links that were cut for their
 * owners to come back.
 *
 * One thread moves the bytes of all connections, a bounded share of each in turn.  Events are called from it.
 */
#ifndef CYTOFS_WIRE_SERVER_H
#define CYTOFS_WIRE_SERVER_H

#include <sys/types.h>

#include "wire_link.h"

#define WIRE_ADDRESS_BYTES 64
#define WIRE_LINKS_MAX     256
#define WIRE_LINKS_MEMBER_MAX                                                                                               \
    32 /* of one member (or user of this machine); one more takes the place of his link that was cut longest ago */
#define WIRE_HANDSHAKES_MAX 64 /* connections that are not links yet */

struct wire_server;

/* Who is at the other end. */
struct wire_peer {
    struct certificate_holder holder;    /* of a certificate that the lab issued; name "" for a UNIX socket */
    uint8_t session[WIRE_SESSION_BYTES]; /* names the link, also after a restart */
    uid_t uid;                           /* of a UNIX socket; else (uid_t)-1 */
    char address[WIRE_ADDRESS_BYTES];    /* for texts */
};

struct wire_server_events {
    /* Whether this peer may speak to us at all; asked at each connection, not only the first.  The text goes to the peer. */
    enum code (*admit)(void *context, const struct wire_peer *peer, struct failure *why);

    /* A new link, or one of options.saved.  Whoever takes it calls wire_link_destroy after its WIRE_ENDED.  *link_context is
     * given to its events. */
    enum code (*begin)(void *context, struct wire_link *link, const struct wire_peer *peer, void **link_context,
                       struct failure *why);
    struct wire_events link;

    /* The question of somebody without a certificate; up to 16 KiB. */
    enum code (*ask)(void *context, const void *question, size_t count, const char *address, struct buffer *answer,
                     struct failure *why);
};

struct wire_server_options {
    const char *address;     /* to listen at, e.g. "0.0.0.0", "::", "10.7.0.1"; NULL: no network */
    uint16_t port;           /* 0: WIRE_PORT; ((uint16_t)-1): any, see wire_server_port */
    const char *socket_path; /* a UNIX socket beside it; NULL: none */
    mode_t socket_mode;
    const struct wire_credentials *credentials; /* the server's; copied */
    int keep_ms;                                /* how long a link that was cut is kept; 0: an hour */
    const void *saved;                          /* what wire_server_save wrote, to be taken up; NULL: none */
    size_t saved_count;
};

/* Listens and serves from a thread of its own; `begin` was called for all saved links when it returns.  CODE_CORRUPT where
 * `saved` makes no sense.  Where it fails, links that had begun get WIRE_ENDED and are gone when it returns. */
MUST_CHECK enum code wire_server_start(const struct wire_server_options *options, const struct wire_server_events *events,
                                       void *context, struct wire_server **out, struct failure *why);

uint16_t wire_server_port(const struct wire_server *server);

/* Where a link's connection comes from, or came from last. */
void wire_server_address(struct wire_link *link, char address[WIRE_ADDRESS_BYTES]);

/* Moves no more bytes in either direction (connections are cut), so that what follows is a still picture. */
void wire_server_freeze(struct wire_server *server);

/* All links with their numbers and unacknowledged messages, after wire_server_freeze.  Holds plaintext of what was under
 * way: seal it. */
MUST_CHECK enum code wire_server_save(struct wire_server *server, struct buffer *out, struct failure *why);

/* Cuts every connection of a member and ends the links (WIRE_ENDED follows), whatever the other side does.  Users of this
 * machine are known by their numbers alone: their links are expelled one by one. */
void wire_server_expel(struct wire_server *server, const char *member_name);
void wire_server_expel_link(struct wire_link *link);

/* Ends all; no event afterwards. */
void wire_server_destroy(struct wire_server *server);

#endif
