/* Inside fs/wire: certificates as OpenSSL's objects, for TLS. */
#ifndef CYTOFS_CERTIFICATE_X509_H
#define CYTOFS_CERTIFICATE_X509_H

#include <openssl/x509.h>

#include "certificate.h"

/* NULL with *why set where the text is not one (CODE_CORRUPT).  The caller frees. */
X509 *certificate_read(const struct buffer *pem, struct failure *why);
EVP_PKEY *certificate_read_key(const struct buffer *pem, struct failure *why);

/* CODE_CORRUPT where names are missing, too long, or not ones that the lab gives out. */
MUST_CHECK enum code certificate_holder_of(const X509 *certificate, struct certificate_holder *out, struct failure *why);

/* Sets *why to what a check's reason (X509_V_ERR_...) means for a person.  CODE_IO where it is a matter of clocks, which may
 * be set right while a link waits; else CODE_DENIED.  whose: "the other side's". */
enum code certificate_refuse(long reason, const char *whose, struct failure *why);

/* Whether `issuer` (which is trusted) has issued it, directly, and it is good today. */
MUST_CHECK enum code certificate_verify(X509 *certificate, X509 *issuer, struct failure *why);

MUST_CHECK enum code certificate_digest(const X509 *certificate, uint8_t out[CERTIFICATE_FINGERPRINT_BYTES],
                                        struct failure *why);

#endif
