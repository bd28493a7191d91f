/* The working keys of one key space, all derived from its random key by HKDF-SHA256 with the space's id as
 * salt and one label each, so that a weakness in the use of one says nothing about another.
 *
 *     contents  "cytofs 1 contents"  AES-256-GCM  chunks of files
 *     names     "cytofs 1 names"     AES-256-SIV  names in folders, targets of symbolic links
 *     xattrs    "cytofs 1 xattrs"    AES-256-GCM  extended attributes, other records of the catalog
 *     catalog   "cytofs 2 catalog"   AES-256-CMAC proofs that the catalog's rows are the ones last written
 *     prints    "cytofs 2 prints"    AES-256-CMAC prints of chunks, by which equal ones are found
 */
#ifndef CYTOFS_SPACE_KEYS_H
#define CYTOFS_SPACE_KEYS_H

#include <stdint.h>

#include "failure.h"
#include "identity.h"

#define SPACE_KEY_BYTES 32

struct aead_key;
struct cmac_key;
struct siv_key;

/* Plain value; the keys in it are its own.  Any number of threads may use it at the same time. */
struct space_keys {
    struct aead_key *contents;
    struct siv_key *names;
    struct aead_key *xattrs;
    struct cmac_key *catalog, *prints;
};

/* Draws a space's key into secret memory (secret.h); the caller releases it with secret_free. */
MUST_CHECK enum code space_keys_draw(uint8_t **space_key, struct failure *why);

/* Derives them all.  On failure *out is empty. */
MUST_CHECK enum code space_keys_derive(const uint8_t space_key[SPACE_KEY_BYTES], const struct space_id *space,
                                       struct space_keys *out, struct failure *why);

/* Destroys what it holds and empties it; an empty one is fine. */
void space_keys_clear(struct space_keys *keys);

#endif
