/* Storing: see tree_storing.h.
 *
 * Two ways lead into the store before a commit.  Whole chunks are sealed straight from the writer's bytes, by himself, after
 * he was told that they are taken (contents_settle); other changed pieces are copied under the lock, sealed and put without
 * it, and marked stored if nobody changed them meanwhile: piece->change tells.  Otherwise the chunk was put in vain, and is
 * given back with its pack one day.
 */
#include "tree_storing.h"

#include <string.h>

#include "aead.h"
#include "chunk_store.h"
#include "timing.h"
#include "tree_node.h"
#include "tree_piece.h"
#include "tree_seal.h"
#include "tree_sharing.h"
#include "tree_space.h"

#define LENT_PATIENCE_NS INT64_C(20000000)

enum code storing_place_of(struct tree *tree, const struct node *node, struct storing_place *out, struct failure *why)
{
    out->inode = node->row.inode;
    out->origin = node->row.origin;
    return space_find(tree, node->row.space, &out->space, why);
}

enum code storing_put(struct tree *tree, const struct storing_place *place, uint64_t index, const void *plain,
                      uint32_t length, struct catalog_chunk *row, struct failure *why)
{
    *row = (struct catalog_chunk){.inode = place->inode, .index = index, .generation = place->space->generation};
    if ((row->shared = sharing_find(tree, place->space, plain, length, row)))
        return CODE_OK;
    uint8_t *sealed = block_pool_take(&tree->chunk_blocks);
    if (!sealed)
        return failure_set(why, CODE_NO_MEMORY, "writing: no memory");
    const struct seal_place seal = {.space = place->space, .origin = place->origin, .index = index};
    struct chunk_address address;
    enum code code = seal_chunk(&seal, plain, length, sealed, row->nonce, why);
    if (code == CODE_OK)
        code = chunk_store_put(tree->chunks, sealed, length + AEAD_OVERHEAD, &address, why);
    block_pool_give(&tree->chunk_blocks, sealed);
    if (code != CODE_OK)
        return code;
    row->pack = address.pack;
    row->bytes = address.bytes;
    row->offset = address.offset;
    return CODE_OK;
}

void storing_begin(struct tree *tree, struct storing *storing)
{
    *storing = (struct storing){.floor = tree->newest_pack, .rotations = tree->rotations, .next = tree->storing};
    if (tree->storing)
        tree->storing->previous = storing;
    tree->storing = storing;
}

void storing_end(struct tree *tree, struct storing *storing, const struct catalog_chunk *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        tree->newest_pack = rows[i].pack > tree->newest_pack ? rows[i].pack : tree->newest_pack;
    *(storing->previous ? &storing->previous->next : &tree->storing) = storing->next;
    if (storing->next)
        storing->next->previous = storing->previous;
}

size_t storing_keep(struct tree *tree, struct catalog_chunk *rows, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!rows[i].shared || sharing_is_there(tree, &rows[i]))
            rows[kept++] = rows[i];
    return kept;
}

uint32_t storing_floor(const struct tree *tree)
{
    uint32_t floor = UINT32_MAX;
    for (const struct storing *storing = tree->storing; storing; storing = storing->next)
        floor = storing->floor < floor ? storing->floor : floor;
    for (const struct piece *piece = tree->stored_pieces.first; piece; piece = piece->list_next)
        floor = piece->row.pack < floor ? piece->row.pack : floor;
    return floor;
}

/* With the lock, which is released meanwhile.  False where it could not be stored. */
static bool store(struct tree *tree, struct piece *piece)
{
    struct storing_place place;
    uint64_t inode = piece->node->row.inode, index = piece->index, change = piece->change;
    uint32_t length = piece->length;
    uint8_t *copy = block_pool_take(&tree->chunk_blocks);
    if (!copy || storing_place_of(tree, piece->node, &place, NULL) != CODE_OK) {
        block_pool_give(&tree->chunk_blocks, copy);
        return false;
    }
    memcpy(copy, piece->data, length);
    struct storing storing;
    struct catalog_chunk row;
    storing_begin(tree, &storing);
    pthread_mutex_unlock(&tree->lock);
    enum code code = storing_put(tree, &place, index, copy, length, &row, NULL);
    block_pool_give(&tree->chunk_blocks, copy);
    pthread_mutex_lock(&tree->lock);
    storing_end(tree, &storing, &row, code == CODE_OK ? 1 : 0);
    if (code != CODE_OK)
        return false;
    if (!storing_keep(tree, &row, 1))
        return true; /* stays dirty, and is stored by itself the next time */
    struct node *node = node_peek(tree, inode);
    piece = node ? piece_peek(tree, node, index) : NULL;
    if (piece && piece->change == change && piece->state == PIECE_DIRTY)
        piece_mark_stored(tree, piece, &row);
    return true;
}

/* Holes are left to the commit. */
static bool can_be_stored(const struct piece *piece)
{
    return piece->state == PIECE_DIRTY && !piece->lent && !piece->unfilled && !piece_is_zero(piece->data, piece->length);
}

static bool any_lent(const struct tree *tree, uint64_t until)
{
    const struct piece *piece = tree->dirty_pieces.first;
    while (piece && piece->change <= until && !piece->lent)
        piece = piece->list_next;
    return piece && piece->change <= until;
}

/* Waits until writers have stored what they lent, which otherwise would be stored twice.  Not for ever: one of them may be
 * held up by his answer, or wait for this very commit. */
static void wait_for_lent(struct tree *tree, uint64_t until)
{
    int64_t deadline_ns = timing_monotonic_ns() + LENT_PATIENCE_NS;
    const struct timespec deadline = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};
    while (any_lent(tree, until))
        if (pthread_cond_timedwait(&tree->lent_settled, &tree->lock, &deadline) != 0)
            return;
}

void storing_store_all(struct tree *tree)
{
    uint64_t until = tree->piece_changes, last = 0;
    for (;;) {
        struct piece *piece = tree->dirty_pieces.first;
        while (piece && (piece->change <= last || !can_be_stored(piece)))
            piece = piece->list_next;
        if (!piece || piece->change > until)
            break;
        last = piece->change;
        if (!store(tree, piece))
            return;
    }
    wait_for_lent(tree, until);
}

void storing_store_fresh(struct tree *tree, struct node *node)
{
    uint64_t inode = node->row.inode, until = tree->piece_changes;
    while (node) {
        struct piece *piece = node->pieces;
        while (piece && !(piece->fresh && piece->change <= until && can_be_stored(piece)))
            piece = piece->node_next;
        if (!piece || !store(tree, piece))
            return;
        node = node_peek(tree, inode);
    }
}
