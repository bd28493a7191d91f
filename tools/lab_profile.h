/* What a workstation keeps of a lab that its user has joined, so that `cytofs mount NAME@HOST DIR` finds it:
 *
 *     ~/.config/cytofs/labs/NAME@HOST:PORT/     ($XDG_CONFIG_HOME/cytofs/labs/...)
 *         profile          where the server is and which key is used (fs/people/FORMAT.md)
 *         link.key         the key of the certificate, sealed with the member's key
 *         certificate      PEM, issued by the lab for NAME
 *         lab.certificate  PEM
 *         member.key       the member's key, unless it lies elsewhere
 */
#ifndef CYTOFS_LAB_PROFILE_H
#define CYTOFS_LAB_PROFILE_H

#include <stdbool.h>

#include "member_card.h"
#include "wire_link.h"

#define LAB_PROFILE_HOST_MAX 255

struct member_key;

/* NAME@HOST[:PORT], taken apart. */
struct lab_address {
    char name[MEMBER_NAME_MAX + 1];
    char host[LAB_PROFILE_HOST_MAX + 1]; /* a name or an address, without the brackets of IPv6 */
    uint16_t port;
};

struct lab_profile {
    struct lab_address address;
    struct member_key *member;           /* opens wrapped keys (EXTRA_KEYS) */
    struct wire_credentials credentials; /* for wire_connect */
    struct buffer folder;                /* where it lies; a place for caches, too */
};

/* Whether the text is NAME@HOST[:PORT] rather than a folder: it holds an '@' before any '/', and there is no such folder. */
bool lab_profile_is_address(const char *text);

/* CODE_INVALID says what is wrong with it.  HOST[:PORT] alone gives name "". */
MUST_CHECK enum code lab_profile_parse_address(const char *text, struct lab_address *out, struct failure *why);

/* Finds the profile of NAME@HOST[:PORT], reads it and opens the keys; asks for the passphrase where the member's key has
 * one. CODE_NOT_FOUND where that lab was never joined.  Release with lab_profile_free, also after a failure. */
MUST_CHECK enum code lab_profile_open(const char *address, struct lab_profile *out, struct failure *why);
void lab_profile_free(struct lab_profile *profile);

/* Of one that is being made: the folder's path; the keys that a join has made or taken up before it asks the server. */
MUST_CHECK enum code lab_profile_folder(const struct lab_address *address, struct buffer *out, struct failure *why);

/* Writes it, private parts with mode 0600.  key_path: where the member's key lies, absolute. */
MUST_CHECK enum code lab_profile_save(const struct lab_profile *profile, const char *key_path, struct failure *why);

#endif
