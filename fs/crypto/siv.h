/* Deterministic authenticated encryption of names: AES-256-SIV (RFC 5297).
 *
 * The same name under the same key and associated data always gives the same bytes, so that a name can be
 * looked up by its encrypted form; nothing else is shown but that equality and the length.
 *
 * Sealed form:  synthetic IV (16) | ciphertext (as long as the plaintext)
 *
 * Any thread may use a key; they take turns.  About half a microsecond a name.
 */
#ifndef CYTOFS_SIV_H
#define CYTOFS_SIV_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define SIV_KEY_BYTES 64 /* the S2V key, then the CTR key (RFC 5297, 2.6) */
#define SIV_OVERHEAD  16
#define SIV_PLAIN_MAX 65536

struct siv_key;

MUST_CHECK enum code siv_key_create(const uint8_t bytes[SIV_KEY_BYTES], struct siv_key **out, struct failure *why);
void siv_key_destroy(struct siv_key *key);

/* One component of associated data: for a name, the parent folder's number. */
struct siv_message {
    const void *associated; /* at least one byte */
    size_t associated_count;
    const void *bytes; /* to seal: 1 .. SIV_PLAIN_MAX bytes; to open: the sealed form */
    size_t count;
};

/* Writes message->count + SIV_OVERHEAD bytes to sealed. */
MUST_CHECK enum code siv_seal(struct siv_key *key, const struct siv_message *message, void *sealed, struct failure *why);

/* Writes message->count - SIV_OVERHEAD bytes to plain.  CODE_CORRUPT, with plain wiped, where anything
 * differs from what was sealed. */
MUST_CHECK enum code siv_open(struct siv_key *key, const struct siv_message *message, void *plain, struct failure *why);

#endif
