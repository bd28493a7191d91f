/* The gate of a fed session: what comes from another machine passes it before session_process. */
#ifndef CYTOFS_SESSION_GATE_H
#define CYTOFS_SESSION_GATE_H

#include "message_check.h"

struct session;

/* Checks the message (it may be changed, and INIT gets shorter) and the viewer's rights.  CODE_OK: session_process may have
 * it.  Else it was answered, and noted for the viewer's lab/last-error; CODE_INVALID: no kernel would have sent it. greeted:
 * INIT was carried out. */
MUST_CHECK enum code session_gate_admit(struct session *session, void *bytes, size_t *length, int greeted,
                                        struct message *known, struct failure *why);

#endif
