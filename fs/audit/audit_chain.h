/* Lines of the audit log: each sealed, and bound to its place and to the line before (FORMAT.md).  Plain values; no lock. */
#ifndef CYTOFS_AUDIT_CHAIN_H
#define CYTOFS_AUDIT_CHAIN_H

#include "buffer.h"
#include "digest.h"
#include "failure.h"

#define AUDIT_KEY_BYTES 32
#define AUDIT_TEXT_MAX  8000                             /* bytes of one line's text */
#define AUDIT_LINE_MAX  (2 * (AUDIT_TEXT_MAX + 64) + 64) /* as it lies in the file */

struct aead_key;

/* Where the chain is: what the next line follows on. */
struct audit_place {
    uint64_t lines;             /* so far: the next one has this number, from 0 */
    uint8_t last[DIGEST_BYTES]; /* SHA-256 of the last line without its newline; zeros before the first */
};

/* Appends the line to *out, newline included, and moves *place on. */
MUST_CHECK enum code audit_chain_seal(const struct aead_key *key, struct audit_place *place, const char *text,
                                      struct buffer *out, struct failure *why);

/* Opens a line (without its newline) that must be the next at *place, and moves that on.  The text is appended to *out,
 * where that is not NULL. CODE_CORRUPT, where it is another line, or at another place. */
MUST_CHECK enum code audit_chain_open(const struct aead_key *key, struct audit_place *place, const char *line, size_t length,
                                      struct buffer *out, struct failure *why);

/* Moves on without opening: for whoever only appends.  False where it is no line with the next number. */
bool audit_chain_skip(struct audit_place *place, const char *line, size_t length);

#endif
