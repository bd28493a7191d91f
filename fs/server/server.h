/* The clients of a lab on other machines: each link (wire_server.h) gets a session of the tree (session.h), and a pool of
 * workers carries out what comes, in turn, so that no client keeps the others waiting.
 */
#ifndef CYTOFS_SERVER_H
#define CYTOFS_SERVER_H

#include "buffer.h"
#include "failure.h"
#include "viewer.h"
#include "wire_server.h"

struct server;
struct tree;

/* Who may come in: asked without any lock. */
struct server_door {
    /* Whether the peer may come in, at each connection; name, role and id of *viewer are filled. */
    enum code (*admit)(void *context, const struct wire_peer *peer, struct viewer *viewer, struct failure *why);
    /* A question of somebody without a certificate. */
    enum code (*answer)(void *context, const void *question, size_t count, const char *address, struct buffer *answer,
                        struct failure *why);
    /* The last session of this member has ended. */
    void (*gone)(void *context, const char *member);
    void *context;
};

struct server_options {
    const char *address; /* as wire_server_options */
    uint16_t port;
    const char *socket_path;
    mode_t socket_mode;
    const struct wire_credentials *credentials;
    struct server_door door;
    int workers;       /* 0: by the cores */
    const void *saved; /* what server_part wrote; NULL: none.  Where it makes no sense, its clients begin anew */
    size_t saved_count;
};

/* Serves until server_stop. */
MUST_CHECK enum code server_start(struct tree *tree, const struct server_options *options, struct server **out,
                                  struct failure *why);

uint16_t server_port(const struct server *server);

/* Ends the member's sessions now.  Any thread. */
void server_expel(struct server *server, const char *member);

/* Stops for a server that goes on where this one ends: finishes what is at hand, and appends to *saved what the clients know
 * and have open, what was not carried out or answered, and their links.  It holds plaintext of all kinds: it is to be
 * sealed.  Only server_stop may follow, after tree_begin_parting. */
MUST_CHECK enum code server_part(struct server *server, struct buffer *saved, struct failure *why);

/* Appends a line a client (of that member alone; NULL: of all): who, from where, since when, what waits.  Any thread, until
 * server_part. */
void server_describe(struct server *server, const char *member, struct buffer *out);

/* Whether the member has a session.  Any thread. */
bool server_has(struct server *server, const char *member);

/* The member's sessions have this role from their next request on.  Any thread. */
void server_set_role(struct server *server, const char *member, enum member_role role);

/* Carries out what has come, then ends all sessions and frees it. */
void server_stop(struct server *server);

#endif
