/* Inside fs/crypto and fs/wire: what OpenSSL says went wrong, as a failure. */
#ifndef CYTOFS_OPENSSL_FAILURE_H
#define CYTOFS_OPENSSL_FAILURE_H

#include "failure.h"

/* CODE_IO with "`doing`: " and OpenSSL's newest reason; empties this thread's error queue. */
enum code openssl_failure_set(struct failure *why, const char *doing);

/* Empties the queue, after a refusal that was expected. */
void openssl_failure_forget(void);

#endif
