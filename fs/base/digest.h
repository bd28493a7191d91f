/* SHA-256 (FIPS 180-4), for identities that must not collide even by intent: dataset and model digests.
 *
 * It stands here, and not behind OpenSSL, because kernels/ may use nothing of fs/ but this folder, and a
 * detector that runs on a bare laptop needs no cryptography otherwise.  It is for identities alone: keys and
 * encryption are the crypto module's.  About 250 MB/s a core, which is enough for names and numbers; do not
 * hash large files with it.
 */
#ifndef CYTOFS_DIGEST_H
#define CYTOFS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES      32
#define DIGEST_TEXT_BYTES (2 * DIGEST_BYTES + 1)

/* A digest being computed.  A plain value: may be copied to fork a computation. */
struct digest {
    uint32_t state[8];
    uint64_t length;   /* bytes taken so far */
    uint8_t block[64]; /* the last length % 64 bytes */
};

void digest_begin(struct digest *digest);
void digest_add(struct digest *digest, const void *bytes, size_t count);

/* Adds a text with its terminator, so that "ab" "c" and "a" "bc" differ. */
void digest_add_text(struct digest *digest, const char *text);

/* Adds a number as 8 bytes, little-endian. */
void digest_add_number(struct digest *digest, uint64_t number);

/* Writes the result; the digest must be begun anew before it is used again. */
void digest_end(struct digest *digest, uint8_t result[DIGEST_BYTES]);

/* The result in lower-case hexadecimal. */
void digest_to_text(const uint8_t result[DIGEST_BYTES], char text[DIGEST_TEXT_BYTES]);

#endif
