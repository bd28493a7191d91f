/* Walks the records of a pack, wherever its bytes lie, and checks each one without any key. */
#ifndef CYTOFS_PACK_WALK_H
#define CYTOFS_PACK_WALK_H

#include "chunk_store.h"

/* A pack's bytes. */
struct pack_source {
    uint32_t number;
    uint64_t from;  /* where a record begins, to go on from there; 0: the first one */
    uint64_t bytes; /* the pack's size when the walk begins; what is appended meanwhile is not looked at */
    void *context;
    /* Reads exactly count bytes at offset; both lie inside the pack. */
    enum code (*read)(void *context, uint64_t offset, void *bytes, size_t count, struct failure *why);
};

/* Tells `visit` about every whole record and every damaged range between them, as chunk_store's verify does.
 * The header is not looked at.  Damage is no failure; a read that fails is. */
MUST_CHECK enum code pack_walk(const struct pack_source *source, chunk_store_visit *visit, void *context,
                               struct failure *why);

#endif
