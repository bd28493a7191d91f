/* Random bytes that nobody can guess: OpenSSL's generator, seeded by the kernel, safe across fork(). */
#ifndef CYTOFS_ENTROPY_H
#define CYTOFS_ENTROPY_H

#include <stddef.h>

#include "failure.h"

/* Fills bytes for keys and ids.  About 1 us a call.  CODE_IO where the system has no randomness to give. */
MUST_CHECK enum code entropy_fill(void *bytes, size_t count, struct failure *why);

#endif
