/* Sealing chunks anew: see tree_reseal_chunks.h.
 *
 * Pack after pack: every pack in which the space has a chunk of an older generation is emptied.  That chunk is opened and
 * sealed anew, others are copied as they are, so that the old bytes go with their pack.  Passes go on until one finds
 * nothing, and began when nothing was being stored under an older key.
 */
#include "tree_reseal_chunks.h"

#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "catalog_chunk.h"
#include "chunk_store.h"
#include "logging.h"
#include "secret.h"
#include "tree_authentic.h"
#include "tree_commit.h"
#include "tree_compact.h"
#include "tree_node.h"
#include "tree_operation.h"
#include "tree_piece.h"
#include "tree_reseal.h"
#include "tree_seal.h"
#include "tree_sharing.h"
#include "tree_space.h"
#include "tree_storing.h"

#define STEP_BYTES ((uint64_t)16 << 20)
#define STEP_PACKS 64
#define CHUNK_ROWS 64

/* Whether an older key of the space sealed a row's chunk; then *place is where it belongs. */
static enum code place_of(struct tree *tree, const struct catalog_chunk *row, struct seal_place *place, bool *older,
                          struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *node;
    struct space *space;
    enum code code = node_get(tree, row->inode, &node, why);
    if (code != CODE_OK)
        return code;
    *older = node->row.space == tree->reseal.space;
    if (!*older)
        return CODE_OK;
    code = space_find(tree, node->row.space, &space, why);
    if (code != CODE_OK)
        return code;
    *place = (struct seal_place){.space = space, .origin = node->row.origin, .index = row->index};
    *older = row->generation < space->generation;
    return CODE_OK;
}

/* Opens the chunk of `row`, seals it anew and puts it into the growing pack; *to is what names it there. */
static enum code put_anew(struct tree *tree, const struct catalog_chunk *row, const struct seal_place *place,
                          struct catalog_chunk *to, struct failure *why)
{
    if (row->bytes <= AEAD_OVERHEAD || row->bytes > TREE_CHUNK_BYTES + AEAD_OVERHEAD)
        return failure_set(why, CODE_CORRUPT, "a chunk has an impossible length (run: cytofs fsck)");
    SCOPE_FREE uint8_t *sealed = malloc(2 * (size_t)row->bytes);
    if (!sealed)
        return failure_set(why, CODE_NO_MEMORY, "sealing a chunk anew: no memory");
    uint8_t *plain = sealed + row->bytes;
    struct chunk_address address = {.pack = row->pack, .bytes = row->bytes, .offset = row->offset};
    pthread_rwlock_rdlock(&tree->packs_lock);
    enum code code = chunk_store_get(tree->chunks, &address, sealed, why);
    pthread_rwlock_unlock(&tree->packs_lock);
    *to = *row;
    to->generation = place->space->generation;
    to->printed = false;
    if (code == CODE_OK)
        code = seal_open_chunk(place, row, sealed, plain, why);
    if (code == CODE_OK)
        sharing_print(place->space, plain, row->bytes - AEAD_OVERHEAD, to); /* the old key's print finds nothing any more */
    if (code == CODE_OK)
        code = seal_chunk(place, plain, row->bytes - AEAD_OVERHEAD, sealed, to->nonce, why);
    if (code == CODE_OK)
        code = chunk_store_put(tree->chunks, sealed, row->bytes, &address, why);
    secret_wipe(plain, row->bytes);
    to->pack = address.pack;
    to->offset = address.offset;
    return code;
}

/* Points a row to where its chunk is now, unless the file was written meanwhile.  With the lock. */
static enum code point_row(struct tree *tree, const struct catalog_chunk *row, const struct catalog_chunk *to,
                           struct failure *why)
{
    struct catalog_chunk now;
    struct node *node;
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = node_get(tree, row->inode, &node, why);
    if (code == CODE_OK)
        code = catalog_chunk_get(tree->catalog, row->inode, row->index, &now, why);
    if (code == CODE_OK && now.pack == row->pack && now.offset == row->offset) {
        now.pack = to->pack;
        now.offset = to->offset;
        now.generation = to->generation;
        memcpy(now.nonce, to->nonce, sizeof now.nonce);
        now.printed = to->printed;
        memcpy(now.print, to->print, sizeof now.print);
        code = authentic_put_chunk(tree, node, &now, why);
    }
    return operation_end(tree, code == CODE_NO_DATA || code == CODE_NOT_FOUND ? CODE_OK : code, why);
}

/* The rows share one chunk.  From before it is put elsewhere until all of them name it there, no round takes its pack for
 * dead. */
static enum code reseal_chunk(struct tree *tree, const struct catalog_chunk *rows, size_t count,
                              const struct seal_place *place, struct failure *why)
{
    struct storing storing;
    struct catalog_chunk to = {.pack = 0};
    pthread_mutex_lock(&tree->lock);
    storing_begin(tree, &storing);
    pthread_mutex_unlock(&tree->lock);
    enum code code = put_anew(tree, &rows[0], place, &to, why);
    bool put = code == CODE_OK;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    for (size_t i = 0; code == CODE_OK && i < count; i++)
        code = point_row(tree, &rows[i], &to, why);
    storing_end(tree, &storing, &to, put ? 1 : 0);
    return code;
}

/* Moves the chunk that the rows share out of the pack: sealed anew where an older key did it, else as it is. */
static enum code move_chunk(struct tree *tree, const struct catalog_chunk *rows, size_t count, struct failure *why)
{
    struct seal_place place;
    bool older;
    enum code code = place_of(tree, &rows[0], &place, &older, why);
    if (code == CODE_OK)
        code = older ? reseal_chunk(tree, rows, count, &place, why) : compact_chunk(tree, &rows[0], why);
    return code;
}

/* The chunks of some rows, in the order of their offsets.  One that is damaged stays where it is, and the rotation open. */
static enum code move_chunks(struct tree *tree, const struct catalog_chunk *rows, size_t count, struct failure *why)
{
    enum code code = CODE_OK;
    for (size_t i = 0, same; code == CODE_OK && i < count; i += same) {
        for (same = 1; i + same < count && rows[i + same].offset == rows[i].offset;)
            same++;
        code = move_chunk(tree, rows + i, same, why);
        tree->reseal.bytes += rows[i].bytes;
        if (code == CODE_CORRUPT || code == CODE_NOT_FOUND || code == CODE_DENIED) {
            logging_warning("a chunk in pack %u cannot be sealed anew and stays: %s", rows[i].pack, why->text);
            tree->reseal.offset = rows[i].offset + 1;
            tree->reseal.damaged++;
            code = CODE_OK;
        }
    }
    return code;
}

/* Empties some of the pack from tree->reseal.offset on; *left: there may be more. */
static enum code empty_pack(struct tree *tree, bool *left, struct failure *why)
{
    uint64_t before = tree->reseal.bytes;
    size_t count = 1;
    while (count && tree->reseal.bytes - before < STEP_BYTES) {
        struct catalog_chunk rows[CHUNK_ROWS];
        const struct catalog_chunk_range range = {.pack = tree->reseal.pack, .from = tree->reseal.offset, .to = INT64_MAX};
        enum code code = catalog_chunk_in_range(tree->catalog, &range, rows, CHUNK_ROWS, &count, why);
        if (code == CODE_OK)
            code = move_chunks(tree, rows, count, why);
        if (code != CODE_OK)
            return code;
    }
    *left = count > 0;
    return CODE_OK;
}

/* Whether the pack holds something that an older key of the space sealed; one that still grows is ended then. */
static enum code look_into(struct tree *tree, uint32_t pack, bool *found, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct space *space;
    enum code code = space_find(tree, tree->reseal.space, &space, why);
    if (code != CODE_OK)
        return code;
    code = catalog_chunk_pack_has_older(tree->catalog, pack, space->number, space->generation, found, why);
    return code == CODE_OK && *found ? chunk_store_seal(tree->chunks, why) : code;
}

/* Whether everything that was stored under an older key has rows by now. */
static bool nothing_in_flight(struct tree *tree, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    for (const struct storing *storing = tree->storing; storing; storing = storing->next)
        if (storing->rotations != tree->rotations)
            return false;
    return commit_bring_up_to_date(tree, why) == CODE_OK;
}

static void begin_pass(struct tree *tree)
{
    struct failure ignored;
    tree->reseal.pack = 0;
    tree->reseal.emptying = tree->reseal.found = false;
    tree->reseal.counts = nothing_in_flight(tree, &ignored);
    tree->reseal.passes++;
}

/* Whether packs wait to be dropped: the old bytes are still there.  The committer is told, which may have no other reason
 * for a round. */
static bool packs_wait(struct tree *tree)
{
    uint32_t dead;
    if (catalog_chunk_dead_pack(tree->catalog, 0, &dead, NULL) != CODE_OK || dead > tree->reseal.last_emptied)
        return false;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    commit_leave_pack(tree, dead);
    return true;
}

/* With the lock. */
static enum code end_rotation(struct tree *tree, struct failure *why)
{
    struct space *space;
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = space_find(tree, tree->reseal.space, &space, why);
    bool overtaken = code == CODE_OK && space->generation != tree->reseal.generation;
    if (code == CODE_OK && !overtaken)
        code = space_end_rotation(tree, space, why);
    code = operation_end(tree, code, why);
    space_forget(tree, tree->reseal.space);
    if (code == CODE_OK && !overtaken)
        logging_info("everything in a space is sealed with its new key now");
    return code;
}

static enum code end_pass(struct tree *tree, struct failure *why)
{
    if (tree->reseal.damaged)
        return failure_set(why, CODE_CORRUPT, "%u chunks are damaged, and their old key is kept (run: cytofs fsck)",
                           tree->reseal.damaged);
    if (tree->reseal.found || !tree->reseal.counts) {
        if (!tree->reseal.found)
            reseal_wait(tree);
        begin_pass(tree);
        return CODE_OK;
    }
    if (packs_wait(tree)) {
        reseal_wait(tree);
        return CODE_OK;
    }
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    enum code code = end_rotation(tree, why);
    tree->reseal.space = 0;
    tree->reseal.next_look_ns = 0;
    return code;
}

enum code reseal_chunks_step(struct tree *tree, struct failure *why)
{
    if (tree->reseal.passes == 0)
        begin_pass(tree);
    bool left = true;
    for (int i = 0; i < STEP_PACKS && !tree->reseal.emptying; i++) {
        uint64_t last_offset;
        uint32_t last_bytes;
        enum code code =
            catalog_chunk_next_pack(tree->catalog, tree->reseal.pack, &tree->reseal.pack, &last_offset, &last_bytes, why);
        if (code == CODE_NO_DATA)
            return end_pass(tree, why);
        if (code == CODE_OK)
            code = look_into(tree, tree->reseal.pack, &tree->reseal.emptying, why);
        if (code != CODE_OK)
            return code;
        tree->reseal.offset = 0;
    }
    if (!tree->reseal.emptying)
        return CODE_OK;
    tree->reseal.found = true;
    enum code code = empty_pack(tree, &left, why);
    if (tree->reseal.pack > tree->reseal.last_emptied)
        tree->reseal.last_emptied = tree->reseal.pack;
    tree->reseal.emptying = left;
    return code;
}
