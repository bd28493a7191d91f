/* A member's key pair: X25519 (RFC 7748).  The private half opens the space keys that were wrapped for the
 * member (keywrap.h); the public half lies in the store for others to wrap to. */
#ifndef CYTOFS_MEMBER_KEY_H
#define CYTOFS_MEMBER_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "identity.h"

#define MEMBER_KEY_BYTES             32
#define MEMBER_KEY_FINGERPRINT_BYTES 40 /* with terminator */

/* What others may know of a member. */
struct member_public {
    struct member_id id;
    uint8_t key[MEMBER_KEY_BYTES];
};

struct member_key; /* lives in secret memory whole */

/* A new pair with a new id. */
MUST_CHECK enum code member_key_generate(struct member_key **out, struct failure *why);

/* The pair of a private key; CODE_CORRUPT where it does not belong to `public`. */
MUST_CHECK enum code member_key_restore(const struct member_public *public, const uint8_t private_key[MEMBER_KEY_BYTES],
                                        struct member_key **out, struct failure *why);

/* The pair of a private key whose public half is not written down anywhere. */
MUST_CHECK enum code member_key_derive(const struct member_id *id, const uint8_t private_key[MEMBER_KEY_BYTES],
                                       struct member_key **out, struct failure *why);
void member_key_destroy(struct member_key *key);

const struct member_public *member_key_public(const struct member_key *key);

/* The private half, in the key's own secret memory: for the key file and the wrap alone. */
const uint8_t *member_key_private(const struct member_key *key);

/* X25519 with another's public key.  CODE_CORRUPT where the result is all zero (a public key of small order).
 */
MUST_CHECK enum code member_key_agree(const struct member_key *key, const uint8_t public_key[MEMBER_KEY_BYTES],
                                      uint8_t shared[MEMBER_KEY_BYTES], struct failure *why);

/* Whether two are the same person's: id and key. */
bool member_key_same(const struct member_public *a, const struct member_public *b);

/* What two people compare by voice before one shares with the other: eight groups of four hexadecimal digits
 * of SHA-256 over id and key. */
void member_key_fingerprint(const struct member_public *public, char text[MEMBER_KEY_FINGERPRINT_BYTES]);

#endif
