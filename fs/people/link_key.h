/* The private key of a member's certificate, as it lies on the workstation: sealed with the member's own key, so that a
 * passphrase that protects that one protects both.
 *
 *     cytofs link key 1
 *     sealed <digits>          nonce | ciphertext | tag of AES-256-GCM over the PEM text
 */
#ifndef CYTOFS_LINK_KEY_H
#define CYTOFS_LINK_KEY_H

#include "buffer.h"
#include "failure.h"

struct member_key;

#define LINK_KEY_BYTES_MAX 4096 /* of the sealed text */

MUST_CHECK enum code link_key_seal(const struct member_key *member, const struct buffer *key_pem, struct buffer *text,
                                   struct failure *why);

/* CODE_CORRUPT where the text is damaged or belongs to another member's key. */
MUST_CHECK enum code link_key_open(const struct member_key *member, const void *text, size_t count, struct buffer *key_pem,
                                   struct failure *why);

#endif
