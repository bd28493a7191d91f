/* Chunks in pack files: see chunk_store_packs.h, pack_table.h for the files, FORMAT.md for the bytes.
 *
 * Appending.  One pack grows at a time.  put writes a record at its end; when the next record would not fit,
 * or after seal, a new pack begins.  A record is never overwritten and a file never truncated below an
 * address that was given out.
 *
 * After a crash the last pack may end in a torn record, or in several whose blocks reached the disk in
 * another order.  Nothing refers to them: the catalog names a chunk only after a sync.  So opening changes
 * nothing; it goes on at the end of the last pack only where that pack is small and whole, and begins a new
 * one otherwise.  (Cutting a torn end off would be wrong: bit rot in a chunk that somebody needs looks just
 * like it.)
 *
 * Syncing.  Every put has a sequence number.  sync remembers the newest, and is done when everything up to it
 * is durable.  One of the threads that wait does the fsyncs for all: those that come meanwhile wait for the
 * next round.
 *
 * Invariants
 *  1. Every pack with records that are not durable is in the list of unsynced packs, leased by it,
 *     or with the round of fsyncs that runs.
 *  2. durable <= sequence; both only grow.
 *  3. After a write or fsync failed for another reason than a full disk, `broken` is set and stays.
 *  4. The folder holds, at any moment, a pack with the highest number ever used (but in a folder that
 *     never held one).
 *
 * Locks, outermost first: sync_lock, append_lock, the table's.  append_lock is held for one write to the page
 * cache, never for fsync; sync_lock is given up before any fsync.
 */
#include "chunk_store_packs.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chunk_store.h"
#include "logging.h"
#include "pack_format.h"
#include "pack_io.h"
#include "pack_table.h"
#include "pack_walk.h"
#include "scope.h"

/* A last pack above this size is not gone on with: it would have to be read whole at each opening. */
#define CONTINUE_BYTES_MAX ((uint64_t)64 << 20)

struct packs_store {
    struct chunk_store store;
    struct pack_table *table;
    uint64_t roll_bytes;
    bool read_only;
    _Atomic uint64_t gets, bytes_got, puts, bytes_put, syncs;

    pthread_mutex_t append_lock;
    /* under append_lock */
    struct pack_file *growing;                        /* leased; NULL: the next put begins one */
    uint64_t end;                                     /* where its next record goes */
    uint64_t sequence;                                /* of the newest put */
    struct pack_file *unsynced_first, *unsynced_last; /* in the order of unsynced_from */
    bool folder_unsynced;                             /* packs were made since the folder's last fsync */
    bool broken;

    pthread_mutex_t sync_lock;
    pthread_cond_t round_ended;
    /* under sync_lock */
    bool round_runs;
    uint64_t durable; /* every put up to this sequence number survives a power cut */
};

static struct packs_store *self_of(struct chunk_store *store)
{
    return (struct packs_store *)store;
}

static enum code refuse_broken(struct failure *why)
{
    return failure_set(why, CODE_IO,
                       "storing chunks: an earlier write to the store's disk failed, so nothing more is written: check "
                       "the disk, then mount again");
}

/* Putting -------------------------------------------------------------------------------------- */

/* Leaves the growing pack.  Where it is unsynced that list has a lease of its own. */
static void end_pack(struct packs_store *self)
{
    if (self->growing)
        pack_table_return(self->table, self->growing);
    self->growing = NULL;
}

static enum code begin_pack(struct packs_store *self, struct failure *why)
{
    end_pack(self);
    enum code code = pack_table_create(self->table, &self->growing, why);
    if (code != CODE_OK)
        return code;
    self->end = PACK_HEADER_BYTES;
    self->folder_unsynced = true;
    logging_trace(TRACE_STORE, "pack %u begins", self->growing->number);
    return CODE_OK;
}

/* Puts a pack behind those to fsync, with a lease of its own. */
static enum code mark_unsynced(struct packs_store *self, struct pack_file *file, struct failure *why)
{
    struct pack_file *leased;
    if (file->unsynced_from)
        return CODE_OK;
    enum code code = pack_table_lease(self->table, file->number, &leased, why);
    if (code != CODE_OK)
        return code;
    file->unsynced_from = self->sequence + 1;
    file->next_unsynced = NULL;
    if (self->unsynced_first)
        self->unsynced_last->next_unsynced = file;
    else
        self->unsynced_first = file;
    self->unsynced_last = file;
    return CODE_OK;
}

/* What a failed write means.  A full disk is no reason to stop: the half-written record is cut off again, as
 * no address of it was given out. */
static enum code write_failed(struct packs_store *self, int error, struct failure *why)
{
    bool full = error == ENOSPC || error == EDQUOT;
    if (!full || ftruncate(self->growing->fd, (off_t)self->end) != 0)
        self->broken = true;
    return failure_set_errno(why, error, "storing a chunk: pack %u cannot be written", self->growing->number);
}

static enum code append(struct packs_store *self, const void *bytes, size_t count, struct chunk_address *address,
                        struct failure *why)
{
    enum code code = CODE_OK;
    if (self->broken)
        return refuse_broken(why);
    if (!self->growing || self->end + PACK_RECORD_BYTES + count > self->roll_bytes)
        code = begin_pack(self, why);
    if (code == CODE_OK)
        code = mark_unsynced(self, self->growing, why);
    if (code != CODE_OK)
        return code;
    const struct pack_place place = {self->growing->number, self->end};
    uint8_t record[PACK_RECORD_BYTES];
    pack_format_write_record(&place, bytes, (uint32_t)count, record);
    int error = pack_io_write_record(self->growing->fd, self->end, record, bytes, count);
    if (error)
        return write_failed(self, error, why);
    *address = (struct chunk_address){place.pack, (uint32_t)count, place.offset};
    self->end += PACK_RECORD_BYTES + count;
    self->sequence++;
    pack_table_set_bytes(self->table, self->growing, self->end);
    return CODE_OK;
}

static enum code packs_put(struct chunk_store *store, const void *bytes, size_t count, struct chunk_address *address,
                           struct failure *why)
{
    struct packs_store *self = self_of(store);
    if (count < 1 || count > CHUNK_STORE_BYTES_MAX)
        return failure_set(why, CODE_TOO_LARGE, "storing a chunk: %zu bytes, between 1 and %zu are possible", count,
                           CHUNK_STORE_BYTES_MAX);
    if (self->read_only)
        return failure_set(why, CODE_READ_ONLY, "storing a chunk: the store was opened read-only");
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->append_lock);
    enum code code = append(self, bytes, count, address, why);
    if (code == CODE_OK) {
        atomic_fetch_add_explicit(&self->puts, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&self->bytes_put, count, memory_order_relaxed);
    }
    return code;
}

/* Placing: what another store of the same packs put, or a record that is damaged here.  A pack above all others becomes the
 * growing one, so that this store can go on where the other left off. */

/* The pack of a place, leased. */
static enum code find_place(struct packs_store *self, uint32_t number, struct pack_file **out, struct failure *why)
{
    bool made, above = number > pack_table_highest(self->table);
    enum code code = pack_table_ensure(self->table, number, out, &made, why);
    if (code != CODE_OK)
        return code;
    self->folder_unsynced |= made;
    if (!above)
        return CODE_OK;
    end_pack(self);
    self->end = PACK_HEADER_BYTES;
    return pack_table_lease(self->table, number, &self->growing, why);
}

static enum code write_place(struct packs_store *self, struct pack_file *file, const struct chunk_address *address,
                             const void *bytes, struct failure *why)
{
    const struct pack_place place = {address->pack, address->offset};
    uint64_t end = address->offset + PACK_RECORD_BYTES + address->bytes;
    uint8_t record[PACK_RECORD_BYTES];
    enum code code = mark_unsynced(self, file, why);
    if (code != CODE_OK)
        return code;
    self->sequence++;
    if (address->bytes == 0)
        return CODE_OK;
    pack_format_write_record(&place, bytes, address->bytes, record);
    int error = pack_io_write_record(file->fd, address->offset, record, bytes, address->bytes);
    if (error)
        return failure_set_errno(why, error, "placing a chunk: pack %u cannot be written", address->pack);
    if (file == self->growing && end > self->end)
        self->end = end;
    if (end > pack_table_bytes(self->table, file))
        pack_table_set_bytes(self->table, file, end);
    return CODE_OK;
}

static bool is_possible(const struct chunk_address *address)
{
    return address->bytes >= 1 && address->bytes <= CHUNK_STORE_BYTES_MAX && address->offset >= PACK_HEADER_BYTES &&
           address->offset < PACK_BYTES_MAX;
}

static enum code packs_place(struct chunk_store *store, const struct chunk_address *address, const void *bytes,
                             struct failure *why)
{
    struct packs_store *self = self_of(store);
    struct pack_file *file;
    if (address->bytes != 0 && !is_possible(address))
        return failure_set(why, CODE_INVALID, "placing a chunk: none can lie in pack %u at %llu", address->pack,
                           (unsigned long long)address->offset);
    if (self->read_only)
        return failure_set(why, CODE_READ_ONLY, "placing a chunk: the store was opened read-only");
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->append_lock);
    if (self->broken)
        return refuse_broken(why);
    enum code code = find_place(self, address->pack, &file, why);
    if (code != CODE_OK)
        return code;
    code = write_place(self, file, address, bytes, why);
    pack_table_return(self->table, file);
    return code;
}

/* Getting -------------------------------------------------------------------------------------- */

static enum code read_chunk(struct packs_store *self, const struct chunk_address *address, bool check, void *out,
                            struct failure *why)
{
    if (!is_possible(address))
        return failure_set(why, CODE_CORRUPT, "reading a chunk: none can lie in pack %u at %llu", address->pack,
                           (unsigned long long)address->offset);
    struct pack_file *file;
    enum code code = pack_table_lease(self->table, address->pack, &file, why);
    if (code != CODE_OK)
        return code;
    code = check ? pack_io_read_record(file->fd, address, out, why) : pack_io_read_unchecked(file->fd, address, out, why);
    pack_table_return(self->table, file);
    if (code == CODE_OK) {
        atomic_fetch_add_explicit(&self->gets, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&self->bytes_got, address->bytes, memory_order_relaxed);
    }
    return code;
}

static enum code packs_get(struct chunk_store *store, const struct chunk_address *address, void *out, struct failure *why)
{
    return read_chunk(self_of(store), address, true, out, why);
}

static enum code packs_fetch(struct chunk_store *store, const struct chunk_address *address, void *out, struct failure *why)
{
    return read_chunk(self_of(store), address, false, out, why);
}

/* Syncing -------------------------------------------------------------------------------------- */

/* The next pack with records up to `sequence` that are not durable, its lease now the caller's; NULL: none is
 * left. */
static struct pack_file *take_unsynced(struct packs_store *self, uint64_t sequence)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->append_lock);
    struct pack_file *file = self->unsynced_first;
    if (!file || file->unsynced_from > sequence)
        return NULL;
    self->unsynced_first = file->next_unsynced;
    file->unsynced_from = 0; /* the next put lists it anew */
    return file;
}

/* Makes every put up to *sequence durable, which it sets first.  Holds no lock over an fsync. */
static enum code run_round(struct packs_store *self, uint64_t *sequence, struct failure *why)
{
    bool folder;
    {
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->append_lock);
        if (self->broken)
            return refuse_broken(why);
        *sequence = self->sequence;
        folder = self->folder_unsynced;
        self->folder_unsynced = false;
    }
    enum code code = CODE_OK;
    struct pack_file *file;
    while (code == CODE_OK && (file = take_unsynced(self, *sequence))) {
        if (fdatasync(file->fd) != 0)
            code = failure_set_errno(why, errno, "syncing chunks: pack %u", file->number);
        pack_table_return(self->table, file);
    }
    if (code == CODE_OK && folder)
        code = pack_table_sync_folder(self->table, why);
    if (code != CODE_OK) {
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->append_lock);
        self->broken = true;
    }
    return code;
}

static uint64_t newest_put(struct packs_store *self)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->append_lock);
    return self->sequence;
}

static enum code packs_sync(struct chunk_store *store, struct failure *why)
{
    struct packs_store *self = self_of(store);
    uint64_t wanted = newest_put(self);
    enum code code = CODE_OK;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->sync_lock);
    while (code == CODE_OK && self->durable < wanted) {
        if (self->round_runs) {
            pthread_cond_wait(&self->round_ended, &self->sync_lock);
            continue;
        }
        uint64_t sequence = 0;
        self->round_runs = true;
        pthread_mutex_unlock(&self->sync_lock);
        code = run_round(self, &sequence, why);
        pthread_mutex_lock(&self->sync_lock);
        self->round_runs = false;
        if (code == CODE_OK)
            self->durable = sequence;
        pthread_cond_broadcast(&self->round_ended);
    }
    if (code == CODE_OK)
        atomic_fetch_add_explicit(&self->syncs, 1, memory_order_relaxed);
    return code;
}

/* Packs ---------------------------------------------------------------------------------------- */

static enum code packs_seal(struct chunk_store *store, struct failure *why)
{
    struct packs_store *self = self_of(store);
    if (self->read_only)
        return failure_set(why, CODE_READ_ONLY, "sealing a pack: the store was opened read-only");
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->append_lock);
    if (self->growing && self->end > PACK_HEADER_BYTES)
        end_pack(self);
    return CODE_OK;
}

/* Keeps invariant 4 before a pack goes: where it is the highest, the next one is made, and durable, first. */
static enum code prepare_drop(struct packs_store *self, uint32_t pack, struct failure *why)
{
    {
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->append_lock);
        if (self->growing && self->growing->number == pack)
            return failure_set(why, CODE_BUSY, "dropping pack %u: it is still growing: seal it first", pack);
        if (pack != pack_table_highest(self->table))
            return CODE_OK;
        enum code code = self->broken ? refuse_broken(why) : begin_pack(self, why);
        if (code != CODE_OK)
            return code;
    }
    return pack_table_sync_folder(self->table, why);
}

static enum code packs_drop_pack(struct chunk_store *store, uint32_t pack, struct failure *why)
{
    struct packs_store *self = self_of(store);
    if (self->read_only)
        return failure_set(why, CODE_READ_ONLY, "dropping pack %u: the store was opened read-only", pack);
    enum code code = prepare_drop(self, pack, why);
    if (code == CODE_OK)
        code = pack_table_drop(self->table, pack, why);
    if (code == CODE_OK)
        code = pack_table_sync_folder(self->table, why);
    if (code == CODE_OK)
        logging_trace(TRACE_STORE, "pack %u is dropped", pack);
    return code;
}

static enum code packs_list(struct chunk_store *store, struct chunk_pack_list *out, struct failure *why)
{
    struct packs_store *self = self_of(store);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->append_lock);
    enum code code = pack_table_list(self->table, out, why);
    for (size_t i = 0; code == CODE_OK && i < out->count; i++)
        out->packs[i].growing = self->growing && self->growing->number == out->packs[i].number;
    return code;
}

static enum code read_pack(void *context, uint64_t offset, void *bytes, size_t count, struct failure *why)
{
    const struct pack_file *file = context;
    enum code code = pack_io_read(file->fd, offset, bytes, count, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "checking pack %u", file->number);
}

static enum code walk_pack(struct packs_store *self, struct pack_file *file, chunk_store_visit *visit, void *context,
                           struct failure *why)
{
    struct stat status;
    if (fstat(file->fd, &status) != 0)
        return failure_set_errno(why, errno, "checking pack %u", file->number);
    uint64_t known = pack_table_bytes(self->table, file), real = (uint64_t)status.st_size;
    const struct pack_source source = {
        .number = file->number, .bytes = real < known ? real : known, .context = file, .read = read_pack};
    return pack_walk(&source, visit, context, why);
}

static enum code packs_verify(struct chunk_store *store, uint32_t pack, chunk_store_visit *visit, void *context,
                              struct failure *why)
{
    struct packs_store *self = self_of(store);
    struct pack_file *file;
    enum code code = pack_table_lease(self->table, pack, &file, why);
    if (code != CODE_OK)
        return code;
    code = pack_table_check_header(self->table, file, why);
    if (code == CODE_OK)
        code = walk_pack(self, file, visit, context, why);
    pack_table_return(self->table, file);
    return code;
}

static void packs_statistics(struct chunk_store *store, struct chunk_store_statistics *out)
{
    struct packs_store *self = self_of(store);
    *out = (struct chunk_store_statistics){
        .puts = atomic_load(&self->puts),
        .gets = atomic_load(&self->gets),
        .syncs = atomic_load(&self->syncs),
        .bytes_put = atomic_load(&self->bytes_put),
        .bytes_got = atomic_load(&self->bytes_got),
    };
    pack_table_totals(self->table, &out->packs, &out->bytes_stored);
}

/* Opening and closing -------------------------------------------------------------------------- */

static bool note_damage(void *damaged_pack, const struct chunk_address *address, enum code code)
{
    (void)address;
    if (code != CODE_OK)
        *(bool *)damaged_pack = true;
    return code == CODE_OK;
}

/* Takes the last pack up again, where it is small and whole.  What lies in it may not be durable (the process
 * before this one may have been killed): the first sync makes sure. */
static enum code continue_last(struct packs_store *self, struct failure *why)
{
    uint32_t number = pack_table_highest(self->table);
    struct pack_file *file;
    if (number == 0 || self->read_only)
        return CODE_OK;
    enum code code = pack_table_lease(self->table, number, &file, why);
    if (code != CODE_OK)
        return code == CODE_CORRUPT ? CODE_OK : code; /* a header that a crash tore: the next pack begins */
    bool unusable = pack_table_bytes(self->table, file) > CONTINUE_BYTES_MAX;
    if (!unusable)
        code = walk_pack(self, file, note_damage, &unusable, why);
    if (code != CODE_OK || unusable) {
        pack_table_return(self->table, file);
        return code;
    }
    self->growing = file;
    self->end = pack_table_bytes(self->table, file);
    self->folder_unsynced = true;
    code = mark_unsynced(self, file, why);
    self->sequence = 1;
    return code;
}

static void packs_destroy(struct chunk_store *store)
{
    struct packs_store *self = self_of(store);
    struct pack_file *file;
    end_pack(self);
    while ((file = take_unsynced(self, UINT64_MAX)))
        pack_table_return(self->table, file);
    pack_table_destroy(self->table);
    pthread_cond_destroy(&self->round_ended);
    pthread_mutex_destroy(&self->sync_lock);
    pthread_mutex_destroy(&self->append_lock);
    free(self);
}

static const struct chunk_store packs_calls = {
    .put = packs_put,
    .get = packs_get,
    .fetch = packs_fetch,
    .place = packs_place,
    .sync = packs_sync,
    .seal = packs_seal,
    .drop_pack = packs_drop_pack,
    .list_packs = packs_list,
    .verify = packs_verify,
    .statistics = packs_statistics,
    .destroy = packs_destroy,
};

enum code chunk_store_packs_open(const char *folder, const struct chunk_store_packs_options *options,
                                 struct chunk_store **out, struct failure *why)
{
    struct packs_store *self = calloc(1, sizeof *self);
    if (!self)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
    self->store = packs_calls;
    self->roll_bytes = options->roll_bytes ? options->roll_bytes : CHUNK_STORE_PACKS_ROLL_BYTES;
    self->read_only = options->read_only;
    assert(self->roll_bytes < PACK_BYTES_MAX - CHUNK_STORE_BYTES_MAX);
    pthread_mutex_init(&self->append_lock, NULL);
    pthread_mutex_init(&self->sync_lock, NULL);
    pthread_cond_init(&self->round_ended, NULL);
    enum code code = pack_table_open(folder, &options->store, &self->table, why);
    if (code == CODE_OK)
        code = continue_last(self, why);
    if (code != CODE_OK)
        packs_destroy(&self->store);
    else
        *out = &self->store;
    return code;
}
