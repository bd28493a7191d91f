/* Inside fs/relay: what the server tells without being asked, and the kernel is told of it. */
#ifndef CYTOFS_RELAY_PUSH_H
#define CYTOFS_RELAY_PUSH_H

#include "relay_message.h"

/* A notice from the server: drops what we know, then tells the kernel.  With the lock. */
void relay_push_take(struct relay *relay, const void *message, size_t length, struct relay_output *out);

/* Makes the kernel look the name up again.  Any lock may be held. */
void relay_push_name(struct relay *relay, uint64_t folder, const char *name);

/* Answers a request of the kernel's with success, once it has been told of everything that came until now. */
void relay_push_answer(struct relay *relay, uint64_t kernel_unique);

/* Nothing that was known is believed any more, here or in the kernel: changes went untold. */
void relay_push_everything(struct relay *relay);

/* The notifier's thread: writes notices to the kernel until the relay stops. */
void *relay_push_run(void *relay);
void relay_push_clear(struct relay *relay);

#endif
