/* Inside fs/relay: when a request of the kernel's is waited for no longer: its caller was interrupted, or it has waited too
 * long for a connection. */
#ifndef CYTOFS_RELAY_INTERRUPT_H
#define CYTOFS_RELAY_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

struct relay;
struct relay_call;
struct relay_output;
struct relay_request;

/* The kernel says that the request with this number was interrupted. */
void relay_interrupt_take(struct relay *relay, uint64_t kernel_unique, struct relay_output *out);

/* Looks whether the interrupt of a request that comes now was here before it, and takes note of that in it; whether so. */
bool relay_interrupt_was_early(struct relay *relay, struct relay_request *request);

/* Tells the server, which has just been sent the call, if the call was interrupted. */
void relay_interrupt_tell(struct relay *relay, struct relay_output *out, const struct relay_call *call);

/* The server's answer to such a word about the call with this number: it does not know that call, and has to be told again.
 */
void relay_interrupt_again(struct relay *relay, uint64_t unique, struct relay_output *out);

/* Answers all that wait no longer. */
void relay_interrupt_give_up(struct relay *relay, struct relay_output *out);

#endif
