/* HMAC-SHA256 (RFC 2104): content ids, which must not let somebody without the key test whether a space holds
 * a known file.  Digests of what is public are fs/base/digest.h. */
#ifndef CYTOFS_KEYED_DIGEST_H
#define CYTOFS_KEYED_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define KEYED_DIGEST_BYTES     32
#define KEYED_DIGEST_KEY_BYTES 32

struct keyed_digest_key;

MUST_CHECK enum code keyed_digest_key_create(const uint8_t bytes[KEYED_DIGEST_KEY_BYTES],
                                             struct keyed_digest_key **out, struct failure *why);
void keyed_digest_key_destroy(struct keyed_digest_key *key);

/* HMAC-SHA256 of the bytes.  Any number of threads may use one key at the same time. */
MUST_CHECK enum code keyed_digest_compute(const struct keyed_digest_key *key, const void *bytes, size_t count,
                                          uint8_t digest[KEYED_DIGEST_BYTES], struct failure *why);

#endif
