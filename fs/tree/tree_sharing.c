/* Shared chunks: see tree_sharing.h.
 *
 * A chunk's print is F(XXH3-128 of its contents) under a key of its space that is used for nothing else, so that it tells
 * nothing to others than that two chunks of a space are equal, which their rows tell anyway.  The print finds a candidate,
 * and the bytes decide: the candidate is read, opened and compared.  So nothing rests on the hash, and nothing on the
 * catalog either: a false row costs a comparison.
 *
 * A chunk that was found can lose its last row, and its pack be dropped, before the new row is put.  It cannot any more
 * once the new row is in a piece (storing_floor) and some other row was there at that moment, under the lock.
 */
#include "tree_sharing.h"

#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "checksum.h"
#include "cmac.h"
#include "tree_authentic.h"
#include "tree_piece.h"
#include "tree_seal.h"
#include "tree_space.h"

#define CANDIDATES 4

bool sharing_print(const struct space *space, const void *plain, uint32_t length, struct catalog_chunk *row)
{
    uint8_t sum[CHECKSUM_128_BYTES];
    _Static_assert(CATALOG_CHUNK_PRINT_BYTES == CMAC_BYTES, "a print is a whole code");
    if (length < SHARING_BYTES_MIN)
        return false;
    checksum_128(plain, length, 0, sum);
    row->printed = cmac_compute(space->keys.prints, &(struct cmac_part){sum, sizeof sum}, 1, row->print, NULL) == CODE_OK;
    return row->printed;
}

/* Whether the candidate's contents are these.  `opened` has room for TREE_CHUNK_BYTES. */
static bool is_same(struct tree *tree, const struct space *space, const struct catalog_chunk *candidate, const void *plain,
                    uint32_t length, uint8_t *opened)
{
    const struct seal_place place = {.space = space, .index = candidate->index};
    uint32_t opened_length;
    if (candidate->generation != space->generation || candidate->bytes != length + AEAD_OVERHEAD)
        return false;
    pthread_rwlock_rdlock(&tree->packs_lock);
    enum code code = piece_read_chunk(tree, &place, candidate, opened, &opened_length, NULL);
    pthread_rwlock_unlock(&tree->packs_lock);
    return code == CODE_OK && opened_length == length && memcmp(opened, plain, length) == 0;
}

static void take_place(struct catalog_chunk *row, const struct catalog_chunk *of)
{
    row->pack = of->pack;
    row->offset = of->offset;
    row->bytes = of->bytes;
    row->generation = of->generation;
    memcpy(row->nonce, of->nonce, sizeof row->nonce);
}

bool sharing_find(struct tree *tree, const struct space *space, const void *plain, uint32_t length,
                  struct catalog_chunk *row)
{
    struct catalog_chunk candidates[CANDIDATES];
    size_t count = 0;
    bool found = false;
    if (!sharing_print(space, plain, length, row) ||
        catalog_chunk_printed(tree->catalog, row->print, candidates, CANDIDATES, &count, NULL) != CODE_OK || !count)
        return false;
    uint8_t *opened = block_pool_take(&tree->chunk_blocks);
    for (size_t i = 0; opened && !found && i < count; i++) {
        found = is_same(tree, space, &candidates[i], plain, length, opened);
        if (found)
            take_place(row, &candidates[i]);
    }
    block_pool_give(&tree->chunk_blocks, opened);
    if (found)
        atomic_fetch_add_explicit(&tree->shared_bytes, row->bytes, memory_order_relaxed);
    return found;
}

bool sharing_is_there(struct tree *tree, const struct catalog_chunk *row)
{
    struct catalog_chunk named;
    size_t count;
    const struct catalog_chunk_range place = {.pack = row->pack, .from = row->offset, .to = row->offset + 1};
    return catalog_chunk_in_range(tree->catalog, &place, &named, 1, &count, NULL) == CODE_OK && count &&
           memcmp(named.nonce, row->nonce, sizeof row->nonce) == 0;
}

/* Copying ---------------------------------------------------------------------------------------------------------- */

/* The row of a chunk that lies in the store as it is in memory. */
static bool stored_row(struct tree *tree, struct node *node, uint64_t index, struct catalog_chunk *row)
{
    const struct piece *piece = piece_peek(tree, node, index);
    if (piece && piece->state == PIECE_STORED) {
        *row = piece->row;
        return row->generation != 0;
    }
    return (!piece || piece->state == PIECE_CLEAN) &&
           catalog_chunk_get(tree->catalog, node->row.inode, index, row, NULL) == CODE_OK && row->generation != 0;
}

uint64_t sharing_copy(struct tree *tree, struct node *from, struct node *to, const struct sharing_range *range)
{
    uint64_t done = 0, size = from->row.size;
    if (from->row.space != to->row.space || range->from_offset % TREE_CHUNK_BYTES || range->to_offset % TREE_CHUNK_BYTES ||
        authentic_check(tree, from, NULL) != CODE_OK || authentic_check(tree, to, NULL) != CODE_OK)
        return 0;
    while (done < range->count) {
        uint64_t left = range->count - done, offset = range->from_offset + done, end = range->to_offset + done + left;
        uint64_t rest = offset < size ? size - offset : 0, step = rest < TREE_CHUNK_BYTES ? rest : TREE_CHUNK_BYTES;
        struct catalog_chunk row;
        /* A last part is a whole chunk where the copy ends with it too. */
        bool whole = step && left >= step && (step == TREE_CHUNK_BYTES || end >= to->row.size);
        if (!whole || end > (uint64_t)TREE_FILE_BYTES_MAX || !stored_row(tree, from, offset / TREE_CHUNK_BYTES, &row) ||
            row.bytes > step + AEAD_OVERHEAD)
            break;
        struct piece *piece = piece_reserve(tree);
        if (!piece)
            break;
        row.inode = to->row.inode;
        row.index = (range->to_offset + done) / TREE_CHUNK_BYTES;
        piece_install(tree, to, piece, &row);
        done += step;
        if (range->to_offset + done > to->row.size)
            to->row.size = range->to_offset + done;
        atomic_fetch_add_explicit(&tree->shared_bytes, row.bytes, memory_order_relaxed);
    }
    return done;
}
