/* Inside fs/relay: which locks the server has given us, for taking them again from one that forgot. */
#ifndef CYTOFS_RELAY_LOCK_H
#define CYTOFS_RELAY_LOCK_H

#include "relay_call.h"

/* SETLK, SETLKW and GETLK were answered. */
relay_on_answer relay_lock_answered;
/* FALLOCATE and others, that may have changed the file. */
relay_on_answer relay_lock_pass_changed;

bool relay_lock_is_held(const struct relay *relay, uint64_t node);

/* Locks that ended: an owner closed the file; the last descriptor of the handle was closed. */
void relay_lock_closed(struct relay *relay, const struct relay_handle *handle, uint64_t owner);
void relay_lock_released(struct relay *relay, const struct relay_handle *handle);

/* Takes them all again, in the order in which they were taken; each counts in relay->renewing. */
void relay_lock_take_again(struct relay *relay, struct relay_output *out);

void relay_lock_clear(struct relay *relay);

#endif
