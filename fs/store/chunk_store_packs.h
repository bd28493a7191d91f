/* Chunks in append-only files: FOLDER/00000001.pack and on.  FORMAT.md draws the bytes. */
#ifndef CYTOFS_CHUNK_STORE_PACKS_H
#define CYTOFS_CHUNK_STORE_PACKS_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "identity.h"

struct chunk_store;

#define CHUNK_STORE_PACKS_ROLL_BYTES ((uint64_t)256 << 20) /* a new pack begins before one would grow beyond this */
#define CHUNK_STORE_PACKS_MAX        ((size_t)1 << 20)     /* packs in one store: 256 TiB */

struct chunk_store_packs_options {
    struct store_id store;
    uint64_t roll_bytes; /* 0: CHUNK_STORE_PACKS_ROLL_BYTES; less than 2^32 - CHUNK_STORE_BYTES_MAX */
    bool read_only;      /* put, seal and drop_pack are CODE_READ_ONLY */
};

/* Opens the folder, which exists; the caller holds the store's lock (store_folder.h).  Nothing that lies
 * there is changed, and names that are no pack's are left alone.  A pack with a damaged header, or of another
 * store, is found when it is first used (CODE_CORRUPT).  CODE_NEWER_FORMAT: the last pack is a newer
 * version's. */
MUST_CHECK enum code chunk_store_packs_open(const char *folder, const struct chunk_store_packs_options *options,
                                            struct chunk_store **out, struct failure *why);

#endif
