/* Keys that a member on another machine lends for as long as he is connected (extra.h: KEYS, LEND). */
#ifndef CYTOFS_SESSION_LENDING_H
#define CYTOFS_SESSION_LENDING_H

#include <stdbool.h>
#include <stddef.h>

struct session;

/* Carries out a request of a fed session if it is one of the two; false: it is another. */
bool session_lending_process(struct session *session, const void *message, size_t length);

#endif
