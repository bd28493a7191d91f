/* Where ciphertext lies: an append-only store of chunks, addressed by where they were put.
 *
 * The store knows nothing of keys, names or files.  Chunks live in packs; a pack only grows until it is full
 * or sealed, and goes away whole (drop_pack), when the catalog says that nothing in it is needed any more.
 *
 * One interface, several stores: chunk_store_packs.h (files), chunk_store_memory.h, chunk_store_fault.h (a
 * layer that makes another one fail), chunk_store_mirror.h (a layer over several that hold the same).  Every call may be
 * made from any thread at the same time as any other, except destroy.
 *
 * Invariants that every implementation keeps
 *  1. An address is never given out twice, not even after its pack was dropped (after a crash, one that was
 *     never synced may be).
 *  2. Bytes at an address never change.  get gives exactly what was put, or fails.
 *  3. After sync returns CODE_OK, everything put before sync was called survives a power cut.
 *  4. After a failed write or sync nobody can say what the disk holds: a store that had one refuses every put
 *     and sync from then on (CODE_IO), and keeps serving gets.  A full disk is not such a failure: puts may
 *     succeed again later.
 */
#ifndef CYTOFS_CHUNK_STORE_H
#define CYTOFS_CHUNK_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define CHUNK_STORE_BYTES_MAX ((size_t)8 << 20) /* one chunk, sealed */
#define CHUNK_STORE_PACK_MAX  99999999u         /* the highest pack number; the lowest is 1 */

/* 16 bytes when kept in the catalog; pack 0 means no address. */
struct chunk_address {
    uint32_t pack;
    uint32_t bytes;  /* the chunk's, as given to put: 1 .. CHUNK_STORE_BYTES_MAX */
    uint64_t offset; /* of its record in the pack: < 2^32 */
};

struct chunk_pack {
    uint32_t number;
    bool growing;   /* new chunks may still be put into it */
    uint64_t bytes; /* its whole size */
};

/* A list of packs in the order of their numbers; free with chunk_store_list_free. */
struct chunk_pack_list {
    struct chunk_pack *packs;
    size_t count;
};

struct chunk_store_statistics {
    uint64_t packs, bytes_stored; /* what lies there now */
    uint64_t puts, gets, syncs;   /* successful calls since it was opened */
    uint64_t bytes_put, bytes_got;
};

/* Told about every record of a pack in the order of their offsets.  CODE_OK: whole.  CODE_CORRUPT:
 * `address->bytes` bytes from `address->offset` on hold no valid record (bit rot, or what a crash left at the
 * end of a pack).  A false return stops the walk. */
typedef bool chunk_store_visit(void *context, const struct chunk_address *address, enum code code);

struct chunk_store {
    /* Appends a copy of the bytes (1 .. CHUNK_STORE_BYTES_MAX).  Not durable before the next sync.
     * CODE_NO_SPACE: the disk is full, nothing was stored. */
    enum code (*put)(struct chunk_store *store, const void *bytes, size_t count, struct chunk_address *address,
                     struct failure *why);

    /* Copies address->bytes bytes to out.  CODE_NOT_FOUND: no such pack.  CODE_CORRUPT: the bytes there are
     * not what was put (bit rot, a lost end), or the address is not one that put gave out. */
    enum code (*get)(struct chunk_store *store, const struct chunk_address *address, void *out, struct failure *why);

    /* As get, but the bytes may be others than were put, and only their reader can tell: for callers that authenticate what
     * they get, and ask `get` for it where that fails.  NULL where get is no slower. */
    enum code (*fetch)(struct chunk_store *store, const struct chunk_address *address, void *out, struct failure *why);

    /* Writes a chunk to where another store of the same packs put it: so two stores come to hold the same, and a damaged
     * record is mended.  The pack is made where it is missing, and its header mended; with address->bytes 0 no more than
     * that.  A store that does not grow by places of others (CODE_UNSUPPORTED) has no mirrors. */
    enum code (*place)(struct chunk_store *store, const struct chunk_address *address, const void *bytes,
                       struct failure *why);

    /* Makes everything put so far durable.  Calls that overlap share the work. */
    enum code (*sync)(struct chunk_store *store, struct failure *why);

    /* Ends the growing pack: what is put from now on goes to a new one.  Nothing happens where that pack is
     * empty. */
    enum code (*seal)(struct chunk_store *store, struct failure *why);

    /* Forgets a pack and all in it.  The growing pack is CODE_BUSY, an unknown one CODE_NOT_FOUND. */
    enum code (*drop_pack)(struct chunk_store *store, uint32_t pack, struct failure *why);

    enum code (*list_packs)(struct chunk_store *store, struct chunk_pack_list *out, struct failure *why);

    /* Reads a whole pack and checks every record, without any key.  Damage is told to `visit`, and is no
     * failure of the call; CODE_CORRUPT is one whose very header is wrong. */
    enum code (*verify)(struct chunk_store *store, uint32_t pack, chunk_store_visit *visit, void *context,
                        struct failure *why);

    void (*statistics)(struct chunk_store *store, struct chunk_store_statistics *out);

    /* Releases it; what was not synced may be lost.  Use chunk_store_destroy. */
    void (*destroy)(struct chunk_store *store);
};

/* The calls above, spelled as calls. ----------------------------------------------------------- */

MUST_CHECK static inline enum code chunk_store_put(struct chunk_store *store, const void *bytes, size_t count,
                                                   struct chunk_address *address, struct failure *why)
{
    return store->put(store, bytes, count, address, why);
}

MUST_CHECK static inline enum code chunk_store_get(struct chunk_store *store, const struct chunk_address *address, void *out,
                                                   struct failure *why)
{
    return store->get(store, address, out, why);
}

MUST_CHECK static inline enum code chunk_store_fetch(struct chunk_store *store, const struct chunk_address *address,
                                                     void *out, struct failure *why)
{
    return store->fetch ? store->fetch(store, address, out, why) : store->get(store, address, out, why);
}

MUST_CHECK static inline enum code chunk_store_place(struct chunk_store *store, const struct chunk_address *address,
                                                     const void *bytes, struct failure *why)
{
    return store->place(store, address, bytes, why);
}

MUST_CHECK static inline enum code chunk_store_sync(struct chunk_store *store, struct failure *why)
{
    return store->sync(store, why);
}

MUST_CHECK static inline enum code chunk_store_seal(struct chunk_store *store, struct failure *why)
{
    return store->seal(store, why);
}

MUST_CHECK static inline enum code chunk_store_drop_pack(struct chunk_store *store, uint32_t pack, struct failure *why)
{
    return store->drop_pack(store, pack, why);
}

MUST_CHECK static inline enum code chunk_store_list_packs(struct chunk_store *store, struct chunk_pack_list *out,
                                                          struct failure *why)
{
    return store->list_packs(store, out, why);
}

MUST_CHECK static inline enum code chunk_store_verify(struct chunk_store *store, uint32_t pack, chunk_store_visit *visit,
                                                      void *context, struct failure *why)
{
    return store->verify(store, pack, visit, context, why);
}

static inline void chunk_store_statistics(struct chunk_store *store, struct chunk_store_statistics *out)
{
    store->statistics(store, out);
}

/* NULL is fine. */
static inline void chunk_store_destroy(struct chunk_store *store)
{
    if (store)
        store->destroy(store);
}

void chunk_store_list_free(struct chunk_pack_list *list);

#endif
