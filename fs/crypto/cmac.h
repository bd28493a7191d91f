/* AES-256-CMAC (NIST SP 800-38B, RFC 4493 with a longer key): a keyed function from byte strings to 16 bytes that nobody
 * without the key can tell from a random one.
 *
 * Any thread may use a key; they take turns, as the key keeps the cipher's state between messages.  That is what makes a
 * message of a hundred bytes cost a fifth of a microsecond.
 */
#ifndef CYTOFS_CMAC_H
#define CYTOFS_CMAC_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define CMAC_KEY_BYTES 32
#define CMAC_BYTES     16

struct cmac_key;

/* The caller wipes `bytes` afterwards. */
MUST_CHECK enum code cmac_key_create(const uint8_t bytes[CMAC_KEY_BYTES], struct cmac_key **out, struct failure *why);

/* Wipes it; NULL is fine. */
void cmac_key_destroy(struct cmac_key *key);

/* A message is its parts, one behind the other. */
struct cmac_part {
    const void *bytes;
    size_t count;
};

/* The message's code.  Messages that differ only in where their parts meet have the same one: whoever makes them puts
 * lengths in.  Fails only where OpenSSL does. */
MUST_CHECK enum code cmac_compute(struct cmac_key *key, const struct cmac_part *parts, size_t count,
                                  uint8_t code[CMAC_BYTES], struct failure *why);

/* Twice the block in GF(2^128), as CMAC and SIV (RFC 5297, 2.3) count; out may be the block. */
void cmac_twice(const uint8_t block[CMAC_BYTES], uint8_t out[CMAC_BYTES]);

#endif
