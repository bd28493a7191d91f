/* A store, opened from the outside in: folder and lock, member's key, chunks, tree. */
#ifndef CYTOFS_LAB_STORE_H
#define CYTOFS_LAB_STORE_H

#include <stdbool.h>

#include "buffer.h"
#include "failure.h"
#include "recovery_key.h"
#include "tree.h"

struct store_folder;
struct mirror_set;
struct chunk_store;
struct member_key;

struct lab_store {
    struct mirror_set *mirrors;  /* the store's folders; NULL for a lab in memory */
    struct store_folder *folder; /* the one that leads; owned by the set; NULL for a lab in memory */
    struct chunk_store *chunks;
    struct buffer key_path;
    struct member_key *member; /* NULL for a lab in memory */
    struct tree *tree;
    char id[33]; /* the store's id in hexadecimal, "memory" for a lab in memory */
};

/* A store to be made. */
struct lab_store_plan {
    const char *path;
    const char *member;     /* the first member's name; NULL: the login name */
    const char *key;        /* where the key goes; NULL: the default place */
    const char *passphrase; /* NULL or "": the key is not protected */
};

/* What its maker must know. */
struct lab_store_made {
    struct buffer key_path;
    char recovery[RECOVERY_TEXT_BYTES]; /* the recovery key; wipe it when it was shown */
};

/* Makes a store with its first member and a recovery key. */
MUST_CHECK enum code lab_store_create(const struct lab_store_plan *plan, struct lab_store_made *made, struct failure *why);

/* Opens; asks for the passphrase if the key is protected.  A tree that is opened read_only changes nothing.  accept_older
 * and accept_damage as in tree.h, look_first too; what was seen last is kept beside the key file. */
struct lab_store_options {
    const char *key; /* NULL: the default place */
    bool read_only, accept_older, accept_damage, repair, look_first, keep_nameless;
};
MUST_CHECK enum code lab_store_open(const char *path, const struct lab_store_options *options, struct lab_store *out,
                                    struct failure *why);

/* Puts the place of the file that remembers a store's last commit into *out: beside the key file. */
MUST_CHECK enum code lab_store_seen_path(const char *key_path, const char *store_id, struct buffer *out,
                                         struct failure *why);

/* Forgets which commit of the store at path was seen last, because it was put back on purpose.  Best effort. */
void lab_store_forget_seen(const char *path);

/* Opens with a key at hand, which the store takes over. */
MUST_CHECK enum code lab_store_open_with(const char *path, struct member_key *key, struct lab_store *out,
                                         struct failure *why);

/* Loads a key file; asks for the passphrase if it is protected. */
MUST_CHECK enum code lab_store_load_key(const char *path, struct member_key **out, struct failure *why);

/* A lab that is gone when it is closed. */
MUST_CHECK enum code lab_store_open_memory(struct lab_store *out, struct failure *why);

/* Commits and closes whatever is open; safe on a half-opened or zeroed one. */
void lab_store_close(struct lab_store *store);

/* The login name, or "member". */
const char *lab_store_login_name(void);

#endif
