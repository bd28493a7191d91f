/* A layer over the chunk stores of a store's folders, which hold the same packs: what is put goes to all of them, a sync is
 * done when all have done it, and what one has damaged or lost is read from another and mended.  A folder that fails is lost
 * (mirror_set.h) and the others go on. */
#ifndef CYTOFS_CHUNK_STORE_MIRROR_H
#define CYTOFS_CHUNK_STORE_MIRROR_H

#include <stddef.h>

#include "chunk_store.h"

struct mirror_set;

/* below[i] is the chunk store of side i of the set, NULL where that is not current; they are taken over, but stay the
 * caller's where this fails.  The set is borrowed. */
MUST_CHECK enum code chunk_store_mirror_create(struct mirror_set *set, struct chunk_store *const *below,
                                               struct chunk_store **out, struct failure *why);

/* The packs of all current sides of a set, behind such a layer (of one side too: others may come).  A side whose packs
 * cannot be opened is lost, if another one is left. */
MUST_CHECK enum code chunk_store_mirror_open(struct mirror_set *set, bool read_only, struct chunk_store **out,
                                             struct failure *why);

/* Opens the packs of one side that is there. */
MUST_CHECK enum code chunk_store_mirror_open_side(struct mirror_set *set, size_t side, struct chunk_store **out,
                                                  struct failure *why);

/* Gives a side that is about to be filled its chunk store, which is taken over: from FILLING on it gets what is put.
 * `store` is what create made. */
void chunk_store_mirror_attach(struct chunk_store *store, size_t side, struct chunk_store *below);

/* The chunk store of one side; NULL where it has none.  Valid until the layer is destroyed. */
struct chunk_store *chunk_store_mirror_side(struct chunk_store *store, size_t side);

#endif
