/* Inside the server's end of links: connections, from being accepted until a link has them, and after.  Of the server's
 * thread.
 */
#ifndef CYTOFS_WIRE_GUEST_H
#define CYTOFS_WIRE_GUEST_H

#include "wire_server_state.h"

/* Takes a connection from the listener; without a free place for one that is to be greeted it is closed.  local: a UNIX
 * socket. */
void wire_guest_welcome(struct wire_server *server, int listener, bool local);

/* Does what can be done for one that has no link yet. */
void wire_guest_serve(struct wire_server *server, struct wire_guest *guest);

/* Says why and closes, once that is sent. */
void wire_guest_refuse(struct wire_guest *guest, const struct failure *why);

/* Closes it; its link, if any, goes on without.  The place is free. */
void wire_guest_dismiss(struct wire_guest *guest);

/* Dismisses the guest that has the link, if any. */
void wire_guest_detach(struct wire_server *server, const struct wire_served *link);

bool wire_guest_is_free(const struct wire_guest *guest);

/* It took too long, or all that it is to hear is sent. */
bool wire_guest_is_gone(const struct wire_guest *guest);

/* What to poll(2) for, where, and until when (monotonic ms). */
int wire_guest_fd(const struct wire_guest *guest);
short wire_guest_events(const struct wire_guest *guest, int64_t *deadline_ms);

#endif
