/* A lab's recovery key: a member's key that lies on paper.  It is printed once when a lab is made, and typed in when every
 * key file is lost.
 *
 * The secret is 20 random bytes.  HKDF-SHA256 makes of it the id ("cytofs recovery id 1", 16 bytes) and the private key
 * ("cytofs recovery key 1", 32 bytes) of a member like any other, to whom spaces are shared like to any other.
 *
 * Printed form: 5 groups of 8 symbols with '-' between.  A group is 4 bytes of the secret and their check byte, 5 bits a
 * symbol, highest first, in Crockford's base 32 (0-9 and A-Z without I, L, O, U).  The check byte is the CRC-8 (x^8 + x^2 +
 * x + 1, no inversions) of the group's number, from 1, and its 4 bytes: one wrong symbol, or groups in another order, are
 * always found out, anything else in 255 of 256 cases.  When it is read, small letters, O for 0, I and L for 1, and other
 * blanks or dashes are fine.
 */
#ifndef CYTOFS_RECOVERY_KEY_H
#define CYTOFS_RECOVERY_KEY_H

#include <stdint.h>

#include "failure.h"

#define RECOVERY_SECRET_BYTES 20
#define RECOVERY_GROUPS       5
#define RECOVERY_GROUP_TEXT   8
#define RECOVERY_TEXT_BYTES   (RECOVERY_GROUPS * (RECOVERY_GROUP_TEXT + 1)) /* with dashes and terminator */

struct member_key;

/* Draws a secret into secret memory (secret.h); the caller releases it with secret_free. */
MUST_CHECK enum code recovery_key_draw(uint8_t **secret, struct failure *why);

struct member_public;

/* A new key: its printed form, which is all that is left of the secret, and the public half for the lab. */
MUST_CHECK enum code recovery_key_make(char text[RECOVERY_TEXT_BYTES], struct member_public *public, struct failure *why);

/* The printed form. */
void recovery_key_write(const uint8_t secret[RECOVERY_SECRET_BYTES], char text[RECOVERY_TEXT_BYTES]);

/* Reads what somebody typed into `secret`.  CODE_INVALID says which group is mistyped, from 1. */
MUST_CHECK enum code recovery_key_read(const char *text, uint8_t secret[RECOVERY_SECRET_BYTES], struct failure *why);

/* The member's key that a secret gives. */
MUST_CHECK enum code recovery_key_open(const uint8_t secret[RECOVERY_SECRET_BYTES], struct member_key **out,
                                       struct failure *why);

#endif
