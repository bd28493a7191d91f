/* Digests: SHA-256 (FIPS 180-4) for things that are public, HMAC-SHA256 (RFC 2104) for content ids, which must not let
 * somebody without the key test whether a space holds a known file. */
#ifndef CYTOFS_DIGEST_H
#define CYTOFS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define DIGEST_BYTES     32
#define DIGEST_KEY_BYTES 32

struct digest_key;

MUST_CHECK enum code digest_key_create(const uint8_t bytes[DIGEST_KEY_BYTES], struct digest_key **out,
                                       struct failure *why);
void digest_key_destroy(struct digest_key *key);

/* HMAC-SHA256 of the bytes.  Any number of threads may use one key at the same time. */
MUST_CHECK enum code digest_keyed(const struct digest_key *key, const void *bytes, size_t count,
                                  uint8_t digest[DIGEST_BYTES], struct failure *why);

MUST_CHECK enum code digest_sha256(const void *bytes, size_t count, uint8_t digest[DIGEST_BYTES], struct failure *why);

/* SHA-256 of bytes that come in pieces, e.g. a model file.  finish releases it on every path; so does destroy. */
struct digest_stream;
MUST_CHECK enum code digest_stream_create(struct digest_stream **out, struct failure *why);
MUST_CHECK enum code digest_stream_add(struct digest_stream *stream, const void *bytes, size_t count,
                                       struct failure *why);
MUST_CHECK enum code digest_stream_finish(struct digest_stream *stream, uint8_t digest[DIGEST_BYTES],
                                          struct failure *why);
void digest_stream_destroy(struct digest_stream *stream);

#endif
