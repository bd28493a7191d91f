/* Tells the lab's audit log (tree_audit.h) what a viewer's message does. */
#ifndef CYTOFS_SESSION_AUDIT_H
#define CYTOFS_SESSION_AUDIT_H

#include "message_check.h"

struct session;

/* The message was let through: contents that leave, and changes. */
void session_audit_admitted(struct session *session, const struct message *message);

/* It was refused, for these reasons. */
void session_audit_refused(struct session *session, const struct message *message, const struct failure *why);

#endif
