/* Compaction.  A pack whose chunks are all unnamed is dropped by the committer; files that grow line by line leave packs
 * behind in which a few chunks live among many dead ones.  Such a pack is emptied: its live chunks are copied, sealed as
 * they are, to the growing pack, and their rows are pointed there.  When the next round has made that durable, nothing
 * names the pack, and it is dropped like any other.
 *
 * A crash in between leaves rows that point to the old place or to the new one; both hold the same bytes.  All rows that
 * share a chunk (of a file and of its snapshots) are moved by one statement and keep sharing it.
 *
 * Less than one byte is moved for COMPACT_RATIO - 1 bytes given back, COMPACT_STEP_BYTES at most between two rounds.
 */
#include "tree_compact.h"

#include <stdlib.h>

#include "aead.h"
#include "catalog_chunk.h"
#include "chunk_store.h"
#include "logging.h"
#include "timing.h"
#include "tree_operation.h"
#include "tree_storing.h"

#define COMPACT_RATIO             4 /* a pack is emptied when it is this many times larger than what lives in it */
#define COMPACT_PACK_BYTES_MIN    ((uint64_t)1 << 20)
#define COMPACT_GROWING_BYTES_MIN ((uint64_t)16 << 20)
#define COMPACT_STEP_BYTES        ((uint64_t)16 << 20)
#define COMPACT_LOOK_NS           INT64_C(30000000000)
#define COMPACT_PAUSE_NS          INT64_C(300000000000) /* after a failure */

/* How much of the pack is alive, from 0 to 1; 1 where it is too small to be looked at. */
static double share_alive(struct tree *tree, const struct chunk_pack *pack)
{
    uint64_t chunks, bytes;
    uint64_t least = pack->growing ? COMPACT_GROWING_BYTES_MIN : COMPACT_PACK_BYTES_MIN;
    if (pack->bytes < least || catalog_chunk_pack_use(tree->catalog, pack->number, &chunks, &bytes, NULL) != CODE_OK)
        return 1;
    return (double)bytes / (double)pack->bytes;
}

/* The pack with the smallest part alive, 0 where none is worth it.  The growing one is ended for that.  One in which
 * nothing lives needs no more than that: the next round drops it. */
static uint32_t choose_pack(struct tree *tree)
{
    struct chunk_pack_list list;
    uint32_t best = 0;
    double best_share = 1.0 / COMPACT_RATIO;
    if (chunk_store_list_packs(tree->chunks, &list, NULL) != CODE_OK)
        return 0;
    for (size_t i = 0; i < list.count; i++) {
        double share = share_alive(tree, &list.packs[i]);
        if (share >= 1.0 / COMPACT_RATIO || (list.packs[i].growing && chunk_store_seal(tree->chunks, NULL) != CODE_OK))
            continue;
        if (share > 0 && share < best_share) {
            best = list.packs[i].number;
            best_share = share;
        }
    }
    chunk_store_list_free(&list);
    return best;
}

/* Copies the sealed bytes of a chunk to the growing pack. */
static enum code copy_chunk(struct tree *tree, const struct catalog_chunk *row, struct chunk_address *to,
                            struct failure *why)
{
    if (row->bytes > TREE_CHUNK_BYTES + AEAD_OVERHEAD)
        return failure_set(why, CODE_CORRUPT, "a chunk in it has an impossible length (run: cytofs fsck)");
    struct chunk_address from = {.pack = row->pack, .bytes = row->bytes, .offset = row->offset};
    SCOPE_FREE uint8_t *sealed = malloc(row->bytes);
    if (!sealed)
        return failure_set(why, CODE_NO_MEMORY, "moving a chunk: no memory");
    pthread_rwlock_rdlock(&tree->packs_lock);
    enum code code = chunk_store_get(tree->chunks, &from, sealed, why);
    pthread_rwlock_unlock(&tree->packs_lock);
    return code == CODE_OK ? chunk_store_put(tree->chunks, sealed, row->bytes, to, why) : code;
}

/* Points the chunk's rows to the copy; those that were written anew meanwhile point elsewhere already.  With the lock. */
static enum code move_rows(struct tree *tree, const struct catalog_chunk *row, const struct chunk_address *to,
                           struct failure *why)
{
    const struct catalog_chunk_move move = {
        .from_pack = row->pack, .from_offset = row->offset, .to_pack = to->pack, .to_offset = to->offset};
    enum code code = operation_begin(tree, why);
    return code == CODE_OK ? operation_end(tree, catalog_chunk_move(tree->catalog, &move, why), why) : code;
}

/* From before the copy is put until rows name it, no round takes its pack for dead. */
enum code compact_chunk(struct tree *tree, const struct catalog_chunk *row, struct failure *why)
{
    struct storing storing;
    struct chunk_address to = {0};
    pthread_mutex_lock(&tree->lock);
    storing_begin(tree, &storing);
    pthread_mutex_unlock(&tree->lock);
    enum code code = copy_chunk(tree, row, &to, why);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    if (code == CODE_OK)
        code = move_rows(tree, row, &to, why);
    storing_end(tree, &storing, &(struct catalog_chunk){.pack = to.pack}, to.pack ? 1 : 0);
    return code;
}

enum code compact_pack(struct tree *tree, uint32_t pack, uint64_t bytes, bool *left, uint64_t *moved, struct failure *why)
{
    struct catalog_chunk row;
    *left = true;
    for (uint64_t done = 0; done < bytes; done += row.bytes, *moved += row.bytes) {
        size_t count;
        enum code code = catalog_chunk_of_pack(tree->catalog, pack, &row, 1, &count, why);
        *left = count > 0;
        if (code != CODE_OK || count == 0)
            return code;
        code = compact_chunk(tree, &row, why);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

bool compact_try_enter(struct tree *tree)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    if (tree->compact.busy)
        return false;
    tree->compact.busy = true;
    return true;
}

void compact_enter(struct tree *tree)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    while (tree->compact.busy)
        pthread_cond_wait(&tree->commit.finished, &tree->lock);
    tree->compact.busy = true;
}

void compact_leave(struct tree *tree)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    tree->compact.busy = false;
    pthread_cond_broadcast(&tree->commit.finished);
}

static void step(struct tree *tree)
{
    int64_t now_ns = timing_monotonic_ns();
    if (!tree->compact.pack) {
        if (now_ns < tree->compact.next_look_ns)
            return;
        tree->compact.next_look_ns = now_ns + COMPACT_LOOK_NS;
        tree->compact.pack = choose_pack(tree);
    }
    if (!tree->compact.pack)
        return;
    struct failure why;
    bool left = false;
    enum code code = compact_pack(tree, tree->compact.pack, COMPACT_STEP_BYTES, &left, &tree->compact.bytes_moved, &why);
    if (code != CODE_OK) {
        logging_warning("pack %u cannot be emptied and stays: %s", tree->compact.pack, why.text);
        tree->compact.next_look_ns = now_ns + COMPACT_PAUSE_NS;
    } else if (!left) {
        tree->compact.next_look_ns = now_ns; /* there may be another */
    }
    if (code != CODE_OK || !left)
        tree->compact.pack = 0;
}

void compact_some(struct tree *tree)
{
    if (!compact_try_enter(tree))
        return;
    step(tree);
    compact_leave(tree);
}
