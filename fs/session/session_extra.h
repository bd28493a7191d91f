/* The operations that clients on other machines have beside the kernel's (extra.h), which libfuse does not know. */
#ifndef CYTOFS_SESSION_EXTRA_H
#define CYTOFS_SESSION_EXTRA_H

#include <stdbool.h>
#include <stddef.h>

struct session;

/* Carries the message out and answers it, if it is one of these; false where it is the kernel's.  Its lengths were checked.
 * On the way a node that the client speaks of counts as known to it: it may have learnt of it before the server was started
 * anew. */
bool session_extra_process(struct session *session, const void *message, size_t length);

/* Gives back what was set aside of the member's quota (RESERVE). */
void session_extra_give_back(struct session *session);

#endif
