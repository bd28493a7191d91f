/* Inside fs/relay: what a server that dies may take along.  It makes everything durable soon, and at once for fsync; what it
 * had answered and not made durable is gone after a crash, and nobody but us knows that it was answered. */
#ifndef CYTOFS_RELAY_DURABLE_H
#define CYTOFS_RELAY_DURABLE_H

#include "relay_call.h"

struct relay_handle;
struct relay_node;

/* The server has carried the call out. */
void relay_durable_answered(struct relay *relay, const struct relay_call *call);

/* The server was restarted hard: what it had answered last may be gone.  Who has written to such a file is told by his next
 * FLUSH or FSYNC, whoever syncs such a file or folder next by that. */
void relay_durable_renewed(struct relay *relay);

/* Whether fsync of the node has to fail, for what came before the crash; and says so only once. */
bool relay_durable_is_doubtful(const struct relay_node *node);
bool relay_durable_tells(struct relay *relay, struct relay_node *node, struct relay_request *request,
                         struct relay_output *out);
/* The error of a handle is being told: its file begins anew. */
void relay_durable_told(struct relay_handle *handle);

#endif
