/* The workstation's part of lending keys (extra.h): opens with the member's private key, which stays here, what the server
 * could not open.
 *
 * After each connection, also a renewed one, and before anything else: send EXTRA_KEYS, give the answer's body to this, and
 * send what it makes as the body of EXTRA_LEND.  Again where a new space may have come (an unexpected EACCES), some seconds
 * apart.
 */
#ifndef CYTOFS_KEY_LENDING_H
#define CYTOFS_KEY_LENDING_H

#include <stddef.h>

#include "buffer.h"
#include "failure.h"

struct member_key;

/* keys: zero or more struct extra_wrapped_key.  Appends a struct extra_lent_key for each that the key opens to *lent, which
 * must be wiped (key_lending_wipe) when it was sent.  A wrap that does not open is left out and told in the log.
 * CODE_INVALID where the length is wrong. */
MUST_CHECK enum code key_lending_open(const struct member_key *member, const void *keys, size_t count, struct buffer *lent,
                                      struct failure *why);
void key_lending_wipe(struct buffer *lent);

#endif
