/* Inside fs/relay: the member's keys, lent to the server for as long as we are connected (extra.h: KEYS, LEND). */
#ifndef CYTOFS_RELAY_LEND_H
#define CYTOFS_RELAY_LEND_H

#include "relay_message.h"

struct relay_call;

/* Asks for wrapped keys and lends what opens.  False: there is nothing to lend with, and nothing will follow. */
bool relay_lend_begin(struct relay *relay, struct relay_output *out);

/* After the kernel's first request was answered: that answer is kept back until the keys are lent, so that nothing is
 * refused that needs them. */
void relay_lend_greet(struct relay *relay, uint64_t kernel_unique, struct relay_bytes *answer, struct relay_output *out);

/* A call was answered with EACCES.  Whether it is kept to be sent once more, after what may have been missing is lent. */
bool relay_lend_keep(struct relay *relay, struct relay_call *call, struct relay_output *out);

#endif
