/* Who speaks at the other end: X.509 certificates (RFC 5280) with Ed25519 keys (RFC 8410), issued by the lab for its members
 * and for its server.  There is no web PKI in this: the lab's own certificate is the only root, and who joins is told its
 * fingerprint by the invitation.
 *
 * A member's certificate names the member (CN) and, in an extension of our own (2.25.…, see PROTOCOL.md), the fingerprint of
 * the X25519 key that the lab knows that member by; so a certificate stops being good the moment when the member is removed
 * or gets another key, without a list of revocations.  The lab's server has CN "server" and no such extension.
 *
 * Everything is PEM text in buffers; private keys are unencrypted PKCS#8 and must be kept like keys.
 */
#ifndef CYTOFS_CERTIFICATE_H
#define CYTOFS_CERTIFICATE_H

#include <stdint.h>

#include "buffer.h"
#include "failure.h"
#include "member_card.h"
#include "member_key.h"

#define CERTIFICATE_PEM_MAX           8192 /* bytes */
#define CERTIFICATE_FINGERPRINT_BYTES 32   /* SHA-256 of the certificate's DER */
#define CERTIFICATE_SERVER_NAME       "server"

/* Who a certificate says its holder is. */
struct certificate_holder {
    char name[MEMBER_NAME_MAX + 1];                        /* CERTIFICATE_SERVER_NAME for the server */
    char member_fingerprint[MEMBER_KEY_FINGERPRINT_BYTES]; /* as member_key_fingerprint writes it; "" for the server */
};

/* A new private key. */
MUST_CHECK enum code certificate_make_key(struct buffer *key_pem, struct failure *why);

/* The public half of a private key, as SubjectPublicKeyInfo: what travels to whoever issues a certificate for it. */
MUST_CHECK enum code certificate_public_key(const struct buffer *key_pem, struct buffer *public_pem, struct failure *why);

/* The lab's own certificate, self-signed, good for 30 years. */
MUST_CHECK enum code certificate_make_lab(const struct buffer *lab_key_pem, const char *lab_name,
                                          struct buffer *certificate_pem, struct failure *why);

/* A certificate for the holder of a public key, good for ten years.  CODE_INVALID where public_pem (which comes from
 * outside) is not an Ed25519 key. */
MUST_CHECK enum code certificate_issue(const struct buffer *lab_key_pem, const struct buffer *lab_certificate_pem,
                                       const struct certificate_holder *holder, const void *public_pem, size_t count,
                                       struct buffer *certificate_pem, struct failure *why);

/* SHA-256 over the certificate's DER form. */
MUST_CHECK enum code certificate_fingerprint(const struct buffer *certificate_pem,
                                             uint8_t out[CERTIFICATE_FINGERPRINT_BYTES], struct failure *why);

#endif
