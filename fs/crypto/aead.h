/* Authenticated encryption of contents: AES-256-GCM (NIST SP 800-38D).
 *
 * Sealed form:  nonce (12) | ciphertext (as long as the plaintext) | tag (16)
 *
 * The nonce is drawn afresh for every seal.  With random 96-bit nonces one key must not seal more than 2^32
 * messages (SP 800-38D 8.3), which are 512 TiB of chunks; nobody counts them.
 *
 * Any number of threads may use one key at the same time.  Each thread keeps one context for sealing and one
 * for opening and keys it anew only when the key changes, so that the hot path allocates nothing.
 */
#ifndef CYTOFS_AEAD_H
#define CYTOFS_AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define AEAD_KEY_BYTES   32
#define AEAD_NONCE_BYTES 12
#define AEAD_TAG_BYTES   16
#define AEAD_OVERHEAD    (AEAD_NONCE_BYTES + AEAD_TAG_BYTES)
#define AEAD_PLAIN_MAX   ((size_t)1 << 30) /* bytes in one message */

struct aead_key;

/* Copies the 32 key bytes into locked memory.  Destroy when no thread uses it any more; NULL is fine. */
MUST_CHECK enum code aead_key_create(const uint8_t bytes[AEAD_KEY_BYTES], struct aead_key **out, struct failure *why);
void aead_key_destroy(struct aead_key *key);

/* What a seal or open is about.  The associated data is authenticated and not stored: to open, give the same
 * again. */
struct aead_message {
    const void *associated; /* may be NULL where associated_count is 0 */
    size_t associated_count;
    const void *bytes; /* to seal: plaintext, 0 .. AEAD_PLAIN_MAX; to open: the sealed form */
    size_t count;
};

/* Writes message->count + AEAD_OVERHEAD bytes to sealed, which must not overlap the plaintext. */
MUST_CHECK enum code aead_seal(const struct aead_key *key, const struct aead_message *message, void *sealed,
                               struct failure *why);

/* Writes message->count - AEAD_OVERHEAD bytes to plain, which must not overlap the sealed form. CODE_CORRUPT,
 * with plain wiped, where the key, the associated data, or any byte is not what it was sealed with. */
MUST_CHECK enum code aead_open(const struct aead_key *key, const struct aead_message *message, void *plain,
                               struct failure *why);

/* For test vectors and for keys that seal a single message: the caller's nonce, which must never repeat under
 * a key. */
MUST_CHECK enum code aead_seal_with_nonce(const struct aead_key *key, const uint8_t nonce[AEAD_NONCE_BYTES],
                                          const struct aead_message *message, void *sealed, struct failure *why);

#endif
