/* Mirrored chunks: see chunk_store_mirror.h.
 *
 * The first current side, the leader, says where a chunk goes; the others place it there.  put_lock makes that one step, so
 * all sides see the same puts in the same order, and any of them can lead on when the leader is lost.
 *
 * A full disk of the leader is told as it is; that of another side makes it lost.
 *
 * Locks, outermost first: drops (read side: a chunk is being read or placed; write side: a pack goes away, so that nothing
 * is mended back into it), put_lock, those of the stores below and of the set.
 *
 * below[i] changes only while side i is neither current nor being filled; a store that was replaced is kept to the end,
 * since a reader may still be in it.
 */
#include "chunk_store_mirror.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "chunk_store_packs.h"
#include "mirror_set.h"
#include "scope.h"
#include "store_folder.h"

#define REPLACED_MAX 64

struct mirror_store {
    struct chunk_store store;
    struct mirror_set *set;
    struct chunk_store *_Atomic below[MIRROR_SIDES_MAX];
    pthread_rwlock_t drops;
    pthread_mutex_t put_lock;
    struct chunk_store *replaced[REPLACED_MAX]; /* under put_lock */
    size_t replaced_count;
};

static struct mirror_store *self_of(struct chunk_store *store)
{
    return (struct mirror_store *)store;
}

static struct chunk_store *current(const struct mirror_store *self, size_t side)
{
    return side < mirror_set_count(self->set) && mirror_set_is_current(self->set, side) ? self->below[side] : NULL;
}

static struct chunk_store *leader(const struct mirror_store *self)
{
    return self->below[mirror_set_leader(self->set)];
}

static bool takes_puts(const struct mirror_store *self, size_t side)
{
    enum mirror_state state = mirror_set_state(self->set, side);
    return self->below[side] && (state == MIRROR_CURRENT || state == MIRROR_FILLING);
}

/* Failures that are the caller's, or that leave the side as it was. */
static bool is_harmless(enum code code)
{
    return code == CODE_OK || code == CODE_NO_SPACE || code == CODE_TOO_LARGE || code == CODE_NO_MEMORY;
}

static enum code mirror_put(struct chunk_store *store, const void *bytes, size_t count, struct chunk_address *address,
                            struct failure *why)
{
    struct mirror_store *self = self_of(store);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->put_lock);
    struct failure here;
    size_t first;
    enum code code;
    do {
        first = mirror_set_leader(self->set);
        code = chunk_store_put(self->below[first], bytes, count, address, &here);
    } while (!is_harmless(code) && mirror_set_lose(self->set, first, here.text));
    if (code != CODE_OK) {
        if (why)
            *why = here;
        return code;
    }
    for (size_t side = 0; side < mirror_set_count(self->set); side++)
        if (side != first && takes_puts(self, side) &&
            chunk_store_place(self->below[side], address, bytes, &here) != CODE_OK)
            mirror_set_lose(self->set, side, here.text);
    return CODE_OK;
}

static enum code place_on(struct mirror_store *self, size_t side, const struct chunk_address *address, const void *bytes)
{
    struct failure why;
    enum code code = chunk_store_place(self->below[side], address, bytes, &why);
    if (code != CODE_OK)
        mirror_set_lose(self->set, side, why.text);
    return code;
}

static enum code mirror_place(struct chunk_store *store, const struct chunk_address *address, const void *bytes,
                              struct failure *why)
{
    struct mirror_store *self = self_of(store);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->put_lock);
    bool placed = false;
    for (size_t side = 0; side < mirror_set_count(self->set); side++)
        if (takes_puts(self, side))
            placed |= place_on(self, side, address, bytes) == CODE_OK;
    return placed ? CODE_OK : failure_set(why, CODE_IO, "placing a chunk: no folder takes it");
}

/* The good bytes over those of the sides before `good`. */
static void mend(struct mirror_store *self, size_t good, const struct chunk_address *address, const void *bytes)
{
    char what[96];
    snprintf(what, sizeof what, "the chunk in pack %u at %llu", address->pack, (unsigned long long)address->offset);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->put_lock);
    for (size_t side = 0; side < good; side++)
        if (current(self, side) && place_on(self, side, address, bytes) == CODE_OK)
            mirror_set_note_repair(self->set, side, what);
}

/* From the first side that has it whole.  A place that no side has anything at is an address that was never given out. */
static enum code get_any(struct mirror_store *self, const struct chunk_address *address, void *out, struct failure *why)
{
    enum code first = CODE_NOT_FOUND;
    bool tried = false;
    for (size_t side = 0; side < mirror_set_count(self->set); side++) {
        struct failure here;
        struct chunk_store *below = current(self, side);
        if (!below)
            continue;
        enum code code = chunk_store_get(below, address, out, &here);
        if (code == CODE_OK) {
            if (tried)
                mend(self, side, address, out);
            return CODE_OK;
        }
        if (!tried) {
            first = code;
            if (why)
                *why = here;
        }
        tried = true;
    }
    return tried ? first : failure_set(why, CODE_IO, "reading a chunk: no folder of the store is left");
}

static enum code mirror_get(struct chunk_store *store, const struct chunk_address *address, void *out, struct failure *why)
{
    struct mirror_store *self = self_of(store);
    pthread_rwlock_rdlock(&self->drops);
    enum code code = get_any(self, address, out, why);
    pthread_rwlock_unlock(&self->drops);
    return code;
}

static enum code mirror_sync(struct chunk_store *store, struct failure *why)
{
    struct mirror_store *self = self_of(store);
    mirror_set_look(self->set);
    for (size_t side = 0; side < mirror_set_count(self->set); side++) {
        struct failure here;
        struct chunk_store *below = current(self, side);
        if (!below || chunk_store_sync(below, &here) == CODE_OK || mirror_set_lose(self->set, side, here.text))
            continue;
        if (why)
            *why = here;
        return here.code;
    }
    return mirror_set_settle(self->set, why);
}

static enum code mirror_seal(struct chunk_store *store, struct failure *why)
{
    struct mirror_store *self = self_of(store);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->put_lock);
    return chunk_store_seal(leader(self), why);
}

/* The others' growing pack is the leader's, or one that the leader has left already. */
static void drop_on_others(struct mirror_store *self, size_t first, uint32_t pack)
{
    for (size_t side = 0; side < mirror_set_count(self->set); side++) {
        struct failure here;
        if (side == first || !takes_puts(self, side))
            continue;
        enum code code = chunk_store_seal(self->below[side], &here);
        if (code == CODE_OK)
            code = chunk_store_drop_pack(self->below[side], pack, &here);
        if (code != CODE_OK && code != CODE_NOT_FOUND)
            mirror_set_lose(self->set, side, here.text);
    }
}

static enum code mirror_drop_pack(struct chunk_store *store, uint32_t pack, struct failure *why)
{
    struct mirror_store *self = self_of(store);
    pthread_rwlock_wrlock(&self->drops);
    pthread_mutex_lock(&self->put_lock);
    size_t first = mirror_set_leader(self->set);
    enum code code = chunk_store_drop_pack(self->below[first], pack, why);
    if (code == CODE_OK || code == CODE_NOT_FOUND)
        drop_on_others(self, first, pack);
    pthread_mutex_unlock(&self->put_lock);
    pthread_rwlock_unlock(&self->drops);
    return code;
}

static enum code mirror_list_packs(struct chunk_store *store, struct chunk_pack_list *out, struct failure *why)
{
    return chunk_store_list_packs(leader(self_of(store)), out, why);
}

static enum code mirror_verify(struct chunk_store *store, uint32_t pack, chunk_store_visit *visit, void *context,
                               struct failure *why)
{
    return chunk_store_verify(leader(self_of(store)), pack, visit, context, why);
}

static void mirror_statistics(struct chunk_store *store, struct chunk_store_statistics *out)
{
    chunk_store_statistics(leader(self_of(store)), out);
}

static void mirror_destroy(struct chunk_store *store)
{
    struct mirror_store *self = self_of(store);
    for (size_t side = 0; side < MIRROR_SIDES_MAX; side++)
        chunk_store_destroy(self->below[side]);
    for (size_t i = 0; i < self->replaced_count; i++)
        chunk_store_destroy(self->replaced[i]);
    pthread_rwlock_destroy(&self->drops);
    pthread_mutex_destroy(&self->put_lock);
    free(self);
}

static const struct chunk_store mirror_calls = {
    .put = mirror_put,
    .get = mirror_get,
    .place = mirror_place,
    .sync = mirror_sync,
    .seal = mirror_seal,
    .drop_pack = mirror_drop_pack,
    .list_packs = mirror_list_packs,
    .verify = mirror_verify,
    .statistics = mirror_statistics,
    .destroy = mirror_destroy,
};

enum code chunk_store_mirror_create(struct mirror_set *set, struct chunk_store *const *below, struct chunk_store **out,
                                    struct failure *why)
{
    struct mirror_store *self = calloc(1, sizeof *self);
    if (!self)
        return failure_set(why, CODE_NO_MEMORY, "opening the mirrors: out of memory");
    self->store = mirror_calls;
    self->set = set;
    for (size_t side = 0; side < MIRROR_SIDES_MAX; side++)
        self->below[side] = below[side];
    pthread_rwlock_init(&self->drops, NULL);
    pthread_mutex_init(&self->put_lock, NULL);
    *out = &self->store;
    return CODE_OK;
}

static enum code open_packs(struct mirror_set *set, size_t side, bool read_only, struct chunk_store **out,
                            struct failure *why)
{
    const struct chunk_store_packs_options options = {.store = *mirror_set_id(set), .read_only = read_only};
    return chunk_store_packs_open(store_folder_packs_path(mirror_set_folder(set, side)), &options, out, why);
}

enum code chunk_store_mirror_open_side(struct mirror_set *set, size_t side, struct chunk_store **out, struct failure *why)
{
    return open_packs(set, side, false, out, why);
}

enum code chunk_store_mirror_open(struct mirror_set *set, bool read_only, struct chunk_store **out, struct failure *why)
{
    struct chunk_store *below[MIRROR_SIDES_MAX] = {NULL};
    enum code code = CODE_OK;
    for (size_t side = 0; code == CODE_OK && side < mirror_set_count(set); side++) {
        struct failure here;
        if (!mirror_set_is_current(set, side) || open_packs(set, side, read_only, &below[side], &here) == CODE_OK ||
            (!read_only && mirror_set_lose(set, side, here.text)))
            continue;
        code = here.code;
        if (why)
            *why = here;
    }
    if (code == CODE_OK)
        code = chunk_store_mirror_create(set, below, out, why);
    for (size_t side = 0; code != CODE_OK && side < MIRROR_SIDES_MAX; side++)
        chunk_store_destroy(below[side]);
    return code;
}

void chunk_store_mirror_attach(struct chunk_store *store, size_t side, struct chunk_store *below)
{
    struct mirror_store *self = self_of(store);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->put_lock);
    if (self->below[side] && self->replaced_count < REPLACED_MAX)
        self->replaced[self->replaced_count++] = self->below[side];
    self->below[side] = below;
}

struct chunk_store *chunk_store_mirror_side(struct chunk_store *store, size_t side)
{
    struct mirror_store *self = self_of(store);
    return side < MIRROR_SIDES_MAX ? self->below[side] : NULL;
}
