/* Chunks in memory: see chunk_store_memory.h.
 *
 * Each pack is one growing run of bytes, laid out as on disk.  One lock guards everything: this store is for
 * tests and throw-away labs, where simplicity counts more than parallel reads.
 */
#include "chunk_store_memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "pack_format.h"
#include "pack_walk.h"
#include "scope.h"

#define ROLL_BYTES_DEFAULT ((uint64_t)64 << 20)
#define PACKS_MAX          100000

struct memory_pack {
    uint32_t number;
    uint8_t *data;
    size_t bytes, capacity;
};

struct memory_store {
    struct chunk_store store;
    uint64_t roll_bytes;
    pthread_mutex_t lock;
    /* under lock */
    struct memory_pack *packs; /* by number; the last one grows unless sealed */
    size_t pack_count;
    uint32_t next_number;
    bool growing;
    struct chunk_store_statistics statistics;
};

static struct memory_store *self_of(struct chunk_store *store)
{
    return (struct memory_store *)store;
}

static struct memory_pack *find_pack(struct memory_store *self, uint32_t number)
{
    for (size_t i = 0; i < self->pack_count; i++)
        if (self->packs[i].number == number)
            return &self->packs[i];
    return NULL;
}

static bool make_room(struct memory_pack *pack, size_t count)
{
    if (pack->capacity - pack->bytes >= count)
        return true;
    size_t capacity = 2 * pack->capacity + count;
    uint8_t *grown = realloc(pack->data, capacity);
    if (!grown)
        return false;
    pack->data = grown;
    pack->capacity = capacity;
    return true;
}

/* The pack that takes `count` more bytes; NULL without memory. */
static struct memory_pack *growing_pack(struct memory_store *self, size_t count)
{
    struct memory_pack *last = self->pack_count ? &self->packs[self->pack_count - 1] : NULL;
    if (self->growing && last->bytes + count <= self->roll_bytes)
        return make_room(last, count) ? last : NULL;
    struct memory_pack *grown = realloc(self->packs, (self->pack_count + 1) * sizeof *grown);
    if (!grown || self->pack_count == PACKS_MAX)
        return NULL;
    self->packs = grown;
    struct memory_pack pack = {.number = self->next_number};
    if (!make_room(&pack, PACK_HEADER_BYTES + count))
        return NULL;
    pack_format_write_header(&(struct pack_header){.number = pack.number}, pack.data);
    pack.bytes = PACK_HEADER_BYTES;
    self->next_number++;
    self->growing = true;
    self->packs[self->pack_count] = pack;
    return &self->packs[self->pack_count++];
}

static enum code memory_put(struct chunk_store *store, const void *bytes, size_t count, struct chunk_address *address,
                            struct failure *why)
{
    struct memory_store *self = self_of(store);
    if (count < 1 || count > CHUNK_STORE_BYTES_MAX)
        return failure_set(why, CODE_TOO_LARGE, "storing a chunk: %zu bytes, between 1 and %zu are possible", count,
                           CHUNK_STORE_BYTES_MAX);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->lock);
    struct memory_pack *pack = growing_pack(self, PACK_RECORD_BYTES + count);
    if (!pack)
        return failure_set(why, CODE_NO_SPACE, "storing a chunk in memory: out of memory");
    *address = (struct chunk_address){pack->number, (uint32_t)count, pack->bytes};
    const struct pack_place place = {pack->number, pack->bytes};
    pack_format_write_record(&place, bytes, (uint32_t)count, pack->data + pack->bytes);
    memcpy(pack->data + pack->bytes + PACK_RECORD_BYTES, bytes, count);
    pack->bytes += PACK_RECORD_BYTES + count;
    self->statistics.puts++;
    self->statistics.bytes_put += count;
    return CODE_OK;
}

static enum code memory_get(struct chunk_store *store, const struct chunk_address *address, void *out, struct failure *why)
{
    struct memory_store *self = self_of(store);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->lock);
    const struct memory_pack *pack = find_pack(self, address->pack);
    if (!pack)
        return failure_set(why, CODE_NOT_FOUND, "reading a chunk: pack %u is not there", address->pack);
    const struct pack_place place = {address->pack, address->offset};
    if (address->offset > pack->bytes || pack->bytes - address->offset < PACK_RECORD_BYTES + (size_t)address->bytes)
        return failure_set(why, CODE_CORRUPT, "reading a chunk: pack %u has no record at %llu", address->pack,
                           (unsigned long long)address->offset);
    const uint8_t *record = pack->data + address->offset, *chunk = record + PACK_RECORD_BYTES;
    if (!pack_format_check_record(&place, record, chunk, address->bytes))
        return failure_set(why, CODE_CORRUPT, "reading a chunk: pack %u is damaged at %llu", address->pack,
                           (unsigned long long)address->offset);
    memcpy(out, chunk, address->bytes);
    self->statistics.gets++;
    self->statistics.bytes_got += address->bytes;
    return CODE_OK;
}

static enum code memory_place(struct chunk_store *store, const struct chunk_address *address, const void *bytes,
                              struct failure *why)
{
    (void)store;
    (void)address;
    (void)bytes;
    return failure_set(why, CODE_UNSUPPORTED, "chunks in memory have no mirrors");
}

static enum code memory_sync(struct chunk_store *store, struct failure *why)
{
    (void)why;
    struct memory_store *self = self_of(store);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->lock);
    self->statistics.syncs++;
    return CODE_OK;
}

static enum code memory_seal(struct chunk_store *store, struct failure *why)
{
    (void)why;
    struct memory_store *self = self_of(store);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->lock);
    if (self->growing && self->packs[self->pack_count - 1].bytes > PACK_HEADER_BYTES)
        self->growing = false;
    return CODE_OK;
}

static enum code memory_drop_pack(struct chunk_store *store, uint32_t number, struct failure *why)
{
    struct memory_store *self = self_of(store);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->lock);
    struct memory_pack *pack = find_pack(self, number);
    if (!pack)
        return failure_set(why, CODE_NOT_FOUND, "dropping pack %u: it is not there", number);
    struct memory_pack *last = &self->packs[self->pack_count - 1];
    if (self->growing && pack == last)
        return failure_set(why, CODE_BUSY, "dropping pack %u: it is still growing: seal it first", number);
    free(pack->data);
    memmove(pack, pack + 1, (size_t)(last - pack) * sizeof *pack);
    self->pack_count--;
    return CODE_OK;
}

static enum code memory_list_packs(struct chunk_store *store, struct chunk_pack_list *out, struct failure *why)
{
    struct memory_store *self = self_of(store);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->lock);
    *out = (struct chunk_pack_list){calloc(self->pack_count + 1, sizeof *out->packs), self->pack_count};
    if (!out->packs)
        return failure_set(why, CODE_NO_MEMORY, "listing packs: out of memory");
    for (size_t i = 0; i < self->pack_count; i++)
        out->packs[i] = (struct chunk_pack){.number = self->packs[i].number,
                                            .growing = self->growing && i + 1 == self->pack_count,
                                            .bytes = self->packs[i].bytes};
    return CODE_OK;
}

static enum code read_pack(void *context, uint64_t offset, void *bytes, size_t count, struct failure *why)
{
    (void)why;
    const struct memory_pack *pack = context;
    memcpy(bytes, pack->data + offset, count);
    return CODE_OK;
}

/* A copy is walked, so that the visitor may call the store. */
static enum code memory_verify(struct chunk_store *store, uint32_t number, chunk_store_visit *visit, void *context,
                               struct failure *why)
{
    struct memory_store *self = self_of(store);
    struct memory_pack copy = {.number = number};
    {
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->lock);
        const struct memory_pack *pack = find_pack(self, number);
        if (!pack)
            return failure_set(why, CODE_NOT_FOUND, "checking pack %u: it is not there", number);
        if (!make_room(&copy, pack->bytes))
            return failure_set(why, CODE_NO_MEMORY, "checking pack %u: out of memory", number);
        memcpy(copy.data, pack->data, pack->bytes);
        copy.bytes = pack->bytes;
    }
    struct pack_header header;
    enum code code = pack_format_read_header(copy.data, &header, why);
    const struct pack_source source = {.number = number, .bytes = copy.bytes, .context = &copy, .read = read_pack};
    if (code == CODE_OK)
        code = pack_walk(&source, visit, context, why);
    free(copy.data);
    return code;
}

static void memory_statistics(struct chunk_store *store, struct chunk_store_statistics *out)
{
    struct memory_store *self = self_of(store);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->lock);
    *out = self->statistics;
    out->packs = self->pack_count;
    for (size_t i = 0; i < self->pack_count; i++)
        out->bytes_stored += self->packs[i].bytes;
}

static void memory_destroy(struct chunk_store *store)
{
    struct memory_store *self = self_of(store);
    for (size_t i = 0; i < self->pack_count; i++)
        free(self->packs[i].data);
    free(self->packs);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

enum code chunk_store_memory_create(uint64_t roll_bytes, struct chunk_store **out, struct failure *why)
{
    struct memory_store *self = calloc(1, sizeof *self);
    if (!self)
        return failure_set(why, CODE_NO_MEMORY, "making a store in memory: out of memory");
    self->store = (struct chunk_store){
        .put = memory_put,
        .get = memory_get,
        .place = memory_place,
        .sync = memory_sync,
        .seal = memory_seal,
        .drop_pack = memory_drop_pack,
        .list_packs = memory_list_packs,
        .verify = memory_verify,
        .statistics = memory_statistics,
        .destroy = memory_destroy,
    };
    self->roll_bytes = roll_bytes ? roll_bytes : ROLL_BYTES_DEFAULT;
    self->next_number = 1;
    pthread_mutex_init(&self->lock, NULL);
    *out = &self->store;
    return CODE_OK;
}
