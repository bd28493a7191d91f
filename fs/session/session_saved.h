/* What a fed session's client knows and has open, as bytes, for a server that is stopped and started again: the greeting,
 * nodes with their counts, open files by their keys, locks, reserved numbers.  Layout: session_saved.c.  The bytes name
 * files: they are to be sealed.
 */
#ifndef CYTOFS_SESSION_SAVED_H
#define CYTOFS_SESSION_SAVED_H

#include <stddef.h>

#include "buffer.h"
#include "failure.h"

struct session;

/* Appends it to *out.  No session_process may be under way. */
void session_save(struct session *session, struct buffer *out);

/* Takes it up in a fed session of the same store that was just started; nothing is sent to the peer.  What is not there any
 * more is left out: whoever asks for it gets ESTALE or EBADF.  CODE_CORRUPT where the bytes make no sense: then the session
 * is to be destroyed. */
MUST_CHECK enum code session_restore(struct session *session, const void *bytes, size_t count, struct failure *why);

#endif
