/* The tree that mount_server serves: in memory, or kept in a folder. */
#ifndef CYTOFS_MOUNT_STORE_H
#define CYTOFS_MOUNT_STORE_H

#include "failure.h"

struct chunk_store;
struct member_key;
struct store_folder;
struct tree;

struct mount_store {
    struct store_folder *folder; /* NULL in memory */
    struct member_key *member;
    struct chunk_store *chunks;
    struct tree *tree;
};

/* Opens the store in the folder, which is made where it is missing, with its key beside it as FOLDER.key.  NULL: in
 * memory.  After a failure it can still be closed. */
MUST_CHECK enum code mount_store_open(struct mount_store *store, const char *folder, struct failure *why);
void mount_store_close(struct mount_store *store);

#endif
