/* A space's key, wrapped for one member: only that member can take it out, and the member knows who put it
 * in.
 *
 * Built like HPKE's authenticated mode (RFC 9180, 5.1.3) from X25519, HKDF-SHA256 and AES-256-GCM.  The
 * secret comes from two agreements, ephemeral with recipient and sender with recipient: a store that swaps in
 * a space key of its own making, to read what is written next, is found out because it is no member.
 *
 * Wrapped form, 81 bytes:  version (1) = 1 | ephemeral public key (32) | ciphertext (32) | tag (16)
 */
#ifndef CYTOFS_KEYWRAP_H
#define CYTOFS_KEYWRAP_H

#include <stdint.h>

#include "failure.h"
#include "identity.h"
#include "member_key.h"
#include "space_keys.h"

#define KEYWRAP_BYTES 81

/* What a wrapped key is bound to.  generation counts up each time that the space's key is rotated, from 1. */
struct keywrap_place {
    struct store_id store;
    struct space_id space;
    uint32_t generation;
};

/* Wraps for `recipient`; `sender` is whoever shares (at the space's beginning, the recipient itself). */
MUST_CHECK enum code keywrap_seal(const struct keywrap_place *place, const struct member_key *sender,
                                  const struct member_public *recipient, const uint8_t space_key[SPACE_KEY_BYTES],
                                  uint8_t wrapped[KEYWRAP_BYTES], struct failure *why);

/* Takes it out into space_key, which should be secret memory.  CODE_CORRUPT where the wrap was not made by
 * `sender` for this recipient and place; CODE_NEWER_FORMAT where its version is unknown. */
MUST_CHECK enum code keywrap_open(const struct keywrap_place *place, const struct member_key *recipient,
                                  const struct member_public *sender, const uint8_t wrapped[KEYWRAP_BYTES],
                                  uint8_t space_key[SPACE_KEY_BYTES], struct failure *why);

#endif
