/* Inside fs/relay: going on with a server that has forgotten us. */
#ifndef CYTOFS_RELAY_RENEW_H
#define CYTOFS_RELAY_RENEW_H

#include "relay_message.h"

/* The link begins anew. */
void relay_renew(struct relay *relay, struct relay_output *out);

/* The keys are lent again. */
void relay_renew_lent(struct relay *relay, struct relay_output *out);

/* One of the answers that everything else waits for has come. */
void relay_renew_step(struct relay *relay, struct relay_output *out);

#endif
