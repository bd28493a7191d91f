/* Inside fs/relay: new small files that are made here, whole, and told to the server in one message each. */
#ifndef CYTOFS_RELAY_FRESH_H
#define CYTOFS_RELAY_FRESH_H

#include "relay_call.h"

struct relay_node;

/* CREATE of a name that is not there.  True: it was answered here, or parked until there is room; false: the server makes
 * it. */
bool relay_fresh_create(struct relay *relay, struct relay_output *out, struct relay_node *folder,
                        struct relay_request *request);

/* False where the file has become too large, or is on its way: relay_fresh_send, then wait. */
bool relay_fresh_write(struct relay *relay, struct relay_output *out, struct relay_handle *handle,
                       struct relay_request *request);
bool relay_fresh_change(struct relay *relay, struct relay_output *out, struct relay_node *node,
                        const struct fuse_setattr_in *change);

void relay_fresh_read(struct relay *relay, struct relay_output *out, struct relay_node *node, struct relay_request *request);

/* A handle of it was closed: if nobody writes any more, it is sent soon. */
void relay_fresh_closed(struct relay *relay, struct relay_output *out, struct relay_node *node);

/* Sends it now, if it was not; node->waiting is woken when it is made. */
void relay_fresh_send(struct relay *relay, struct relay_output *out, struct relay_node *node);

/* Whether the node was made and closed, and is still to get its times from the server.  Then it is sent, and node->waiting
 * is woken. */
bool relay_fresh_times_wait(struct relay *relay, struct relay_output *out, struct relay_node *node);

/* Sends what is due (all: everything). */
void relay_fresh_send_due(struct relay *relay, struct relay_output *out, bool all);
/* When that will be, in monotonic ms; INT64_MAX: never. */
int64_t relay_fresh_due(const struct relay *relay);

/* Asks for inode numbers where there are few. */
void relay_fresh_reserve(struct relay *relay, struct relay_output *out);

/* The server forgot what it had set aside: what files hold that it has not got is owed. */
void relay_fresh_owe(struct relay *relay);

/* The server forgot what it had reserved: what is not certain to be made is sent again. */
void relay_fresh_renew(struct relay *relay, struct relay_output *out);

void relay_fresh_clear(struct relay *relay);

#endif
