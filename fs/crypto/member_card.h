/* A member's card: the file with which one becomes a member, version 1.  It holds nothing secret; but whoever adds a member
 * must know that it is that person's, so the two compare the fingerprint by voice.
 *
 *     cytofs member card 1
 *     name bob
 *     member 5a1f...            32 hexadecimal digits: the member's id
 *     public 77b0...            64: X25519 public key
 *     fingerprint 1f3a 9c00 2b71 ...    of id and key (member_key.h)
 */
#ifndef CYTOFS_MEMBER_CARD_H
#define CYTOFS_MEMBER_CARD_H

#include <stddef.h>

#include "failure.h"
#include "member_key.h"

#define MEMBER_CARD_BYTES_MAX 512
#define MEMBER_NAME_MAX       64 /* bytes, without the terminator */

struct member_card {
    struct member_public public;
    char name[MEMBER_NAME_MAX + 1];
};

/* Whether a member may be called that: 1 to MEMBER_NAME_MAX bytes, no blanks, control characters or '/', not beginning with
 * '.' or '-', and not "everyone".  Else CODE_INVALID. */
MUST_CHECK enum code member_card_check_name(const char *name, struct failure *why);

/* Pure: takes any bytes.  CODE_CORRUPT with the line's number, also where the fingerprint is not that of the key;
 * CODE_INVALID for the name; CODE_NEWER_FORMAT. */
MUST_CHECK enum code member_card_parse(const void *text, size_t count, struct member_card *out, struct failure *why);

/* Writes the five lines and a terminator; returns their length. */
size_t member_card_write(const struct member_card *card, char text[MEMBER_CARD_BYTES_MAX]);

#endif
