/* Where a member's key file for a store lies.  Keys never live in the store: a copy of its folder opens
 * nothing. */
#ifndef CYTOFS_KEY_LOCATION_H
#define CYTOFS_KEY_LOCATION_H

#include "failure.h"
#include "identity.h"

struct buffer;

/* Puts the path into *out (replacing what it holds): `option` where it is not NULL or empty, else
 * $CYTOFS_KEY, else <store id>.key in the folder of keys if there is such a file, else member.key if there is that, else
 * <store id>.key.  The folder of keys is $XDG_CONFIG_HOME/cytofs/keys, else ~/.config/cytofs/keys.  Nothing is read or made.
 * CODE_NOT_FOUND where no home folder is known. */
MUST_CHECK enum code key_location_find(const struct store_id *store, const char *option, struct buffer *out,
                                       struct failure *why);

/* Where a key is made whose store is not known yet: `option`, else $CYTOFS_KEY, else member.key in the folder of keys. */
MUST_CHECK enum code key_location_of_member(const char *option, struct buffer *out, struct failure *why);

#endif
