/* Inside the server's end of links: the links that a server has, each with or without a connection.  Of the server's thread,
 * or before there is one; the list and what wire_server_state.h says is under the server's lock, which these take.
 */
#ifndef CYTOFS_WIRE_SERVED_H
#define CYTOFS_WIRE_SERVED_H

#include "wire_server_state.h"

struct wire_served *wire_served_of(struct wire_link *link);

/* The peer's link of that id; NULL: he has none that goes on. */
struct wire_served *wire_served_find(struct wire_server *server, const uint8_t session[WIRE_SESSION_BYTES],
                                     const struct wire_peer *peer);

/* Whether whoever has that many of the link's messages can be sent the next one. */
bool wire_served_reaches(struct wire_served *link, uint64_t received);

/* A new link for the peer, whose id is drawn, with an owner (the event `begin`).  CODE_AGAIN where the peer, or all
 * together, have too many; of his own the one that was cut longest ago makes room. */
MUST_CHECK enum code wire_served_make(struct wire_server *server, struct wire_peer *peer, struct wire_served **out,
                                      struct failure *why);

/* WIRE_ENDED, once. */
void wire_served_finish(struct wire_served *link, const struct failure *why);

/* Frees it; the first takes it out of the server's list. */
void wire_served_remove(struct wire_server *server, struct wire_served *gone);
void wire_served_free(struct wire_served *link);

/* All links with what was not acknowledged, appended to *out; and from it, each with an owner unless `begin` refuses.
 * CODE_CORRUPT. */
void wire_served_save(const struct wire_server *server, struct buffer *out);
MUST_CHECK enum code wire_served_restore(struct wire_server *server, const uint8_t *bytes, size_t count,
                                         struct failure *why);

#endif
