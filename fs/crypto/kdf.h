/* HKDF-SHA256 (RFC 5869): many independent keys from one. */
#ifndef CYTOFS_KDF_H
#define CYTOFS_KDF_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define KDF_OUTPUT_MAX 255 /* bytes; more than any key here needs */

struct kdf_input {
    const void *secret; /* at least 16 bytes of entropy; not a passphrase */
    size_t secret_count;
    const void *salt; /* may be NULL where salt_count is 0 */
    size_t salt_count;
    const void *info; /* what the key is for */
    size_t info_count;
};

/* Extract, then expand, to count bytes (1 .. KDF_OUTPUT_MAX). */
MUST_CHECK enum code kdf_hkdf(const struct kdf_input *input, void *out, size_t count, struct failure *why);

#endif
