/* An invitation: one word to hand over to somebody who is to join the lab, by a way that nobody else reads.
 *
 *     1.1795996800.<32 digits: secret>.<64: fingerprint of the lab's certificate>.<8: check>.bob
 *
 * It is good once, until it expires.  The lab keeps a digest of it only.  The fingerprint makes sure that it is this lab's
 * server that the secret is told to.  FORMAT.md.
 */
#ifndef CYTOFS_INVITE_H
#define CYTOFS_INVITE_H

#include <stddef.h>
#include <stdint.h>

#include "certificate.h"
#include "member_card.h"

#define INVITE_SECRET_BYTES 16
#define INVITE_DIGEST_BYTES 32
#define INVITE_TEXT_MAX     (MEMBER_NAME_MAX + 160) /* with terminator */

struct invite {
    char name[MEMBER_NAME_MAX + 1];
    int64_t expires_s; /* since 1970 */
    uint8_t secret[INVITE_SECRET_BYTES];
    uint8_t lab_fingerprint[CERTIFICATE_FINGERPRINT_BYTES];
};

/* Pure: takes any text.  CODE_INVALID where it is none, or was mistyped or cut. */
MUST_CHECK enum code invite_parse(const char *text, struct invite *out, struct failure *why);
void invite_write(const struct invite *invite, char text[INVITE_TEXT_MAX]);

/* What is kept of an invitation: SHA-256 over a label, the name and the secret. */
void invite_digest(const char *name, const uint8_t secret[INVITE_SECRET_BYTES], uint8_t digest[INVITE_DIGEST_BYTES]);

#endif
