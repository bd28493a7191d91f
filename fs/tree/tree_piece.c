/* Pieces: see tree_piece.h.
 *
 * Invariants
 *  1. A piece in memory is the truth about its chunk; the row in the catalog is, where there is none.
 *  2. piece->length never reaches beyond the file's size (tree_contents.c cuts pieces when a file shrinks).
 *  3. Each piece is in the list of its state:
 *
 *         clean --changed--> dirty --sealed and put, by tree_storing.c--> stored --named by a row--> clean
 *                              ^-------------------changed-------------------'
 *
 *     A chunk that lies in the store only, at piece->row, has no data here.
 *  4. Data that are lent belong to a writer who seals and stores them at this moment: they are read, and copied before they
 * are changed (piece_get), so no piece that is clean or stored has any.
 *  5. Clean pieces are dropped, least recently used first, beyond TREE_CLEAN_BYTES_MAX; others never.
 */
#include "tree_piece.h"

#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "catalog_chunk.h"
#include "chunk_store.h"
#include "tree_authentic.h"
#include "tree_node.h"
#include "tree_seal.h"
#include "tree_space.h"
#include "tree_storing.h"

#define BUCKETS 4096 /* dirty and clean pieces together are a few thousand at most unless files are tiny */

static size_t bucket_of(uint64_t inode, uint64_t index)
{
    return (size_t)((inode * UINT64_C(0x9E3779B97F4A7C15) ^ index * UINT64_C(0xD1B54A32D192ED03)) >> 40) & (BUCKETS - 1);
}

struct piece *piece_peek(struct tree *tree, const struct node *node, uint64_t index)
{
    if (!node->pieces)
        return NULL;
    struct piece *piece = tree->piece_buckets[bucket_of(node->row.inode, index)];
    while (piece && (piece->node != node || piece->index != index))
        piece = piece->hash_next;
    return piece;
}

static struct piece_list *list_of(struct tree *tree, enum piece_state state)
{
    return state == PIECE_CLEAN ? &tree->clean_pieces : state == PIECE_DIRTY ? &tree->dirty_pieces : &tree->stored_pieces;
}

static void leave_list(struct tree *tree, struct piece *piece)
{
    struct piece_list *list = list_of(tree, piece->state);
    *(piece->list_previous ? &piece->list_previous->list_next : &list->first) = piece->list_next;
    *(piece->list_next ? &piece->list_next->list_previous : &list->last) = piece->list_previous;
    piece->list_previous = piece->list_next = NULL;
    list->bytes -= piece->capacity;
    list->count--;
}

static void enter_list(struct tree *tree, struct piece *piece, enum piece_state state)
{
    struct piece_list *list = list_of(tree, state);
    piece->state = state;
    piece->list_previous = list->last;
    *(list->last ? &list->last->list_next : &list->first) = piece;
    list->last = piece;
    list->bytes += piece->capacity;
    list->count++;
}

static void free_piece(struct piece *piece)
{
    if (!piece->lent)
        free(piece->data);
    free(piece);
}

static void drop(struct tree *tree, struct piece *piece)
{
    struct node *node = piece->node;
    leave_list(tree, piece);
    *(piece->node_previous ? &piece->node_previous->node_next : &node->pieces) = piece->node_next;
    if (piece->node_next)
        piece->node_next->node_previous = piece->node_previous;
    struct piece **link = &tree->piece_buckets[bucket_of(node->row.inode, piece->index)];
    while (*link != piece)
        link = &(*link)->hash_next;
    *link = piece->hash_next;
    free_piece(piece);
}

void piece_drop_range(struct tree *tree, struct node *node, uint64_t from, uint64_t to)
{
    for (struct piece *piece = node->pieces, *next; piece; piece = next) {
        next = piece->node_next;
        if (piece->index >= from && piece->index < to)
            drop(tree, piece);
    }
}

void piece_drop_from(struct tree *tree, struct node *node, uint64_t index)
{
    piece_drop_range(tree, node, index, UINT64_MAX);
}

void piece_drop_unfilled(struct tree *tree, struct node *node)
{
    for (struct piece *piece = node->pieces, *next; piece; piece = next) {
        next = piece->node_next;
        if (piece->unfilled)
            drop(tree, piece);
    }
}

/* Makes room by dropping clean pieces, but not `spare`. */
static void trim_clean(struct tree *tree, const struct piece *spare)
{
    struct piece *piece = tree->clean_pieces.first;
    while (piece && tree->clean_pieces.bytes > TREE_CLEAN_BYTES_MAX) {
        struct piece *next = piece->list_next;
        if (piece != spare) {
            struct node *node = piece->node;
            drop(tree, piece);
            node_settle(tree, node);
        }
        piece = next;
    }
}

static enum code grow(struct tree *tree, struct piece *piece, uint32_t capacity, struct failure *why)
{
    if (capacity <= piece->capacity)
        return CODE_OK;
    uint32_t wanted = piece->capacity ? piece->capacity * 2 : 1024;
    while (wanted < capacity)
        wanted *= 2;
    if (wanted > TREE_CHUNK_BYTES)
        wanted = TREE_CHUNK_BYTES;
    uint8_t *data = realloc(piece->data, wanted);
    if (!data)
        return failure_set(why, CODE_NO_MEMORY, "keeping what was written: no memory");
    list_of(tree, piece->state)->bytes += wanted - piece->capacity;
    piece->data = data;
    piece->capacity = wanted;
    return CODE_OK;
}

/* Makes a piece without contents the node's. */
static void link_piece(struct tree *tree, struct node *node, uint64_t index, struct piece *piece)
{
    piece->node = node;
    piece->index = index;
    size_t bucket = bucket_of(node->row.inode, index);
    piece->hash_next = tree->piece_buckets[bucket];
    tree->piece_buckets[bucket] = piece;
    piece->node_next = node->pieces;
    if (node->pieces)
        node->pieces->node_previous = piece;
    node->pieces = piece;
}

static bool have_buckets(struct tree *tree)
{
    if (!tree->piece_buckets)
        tree->piece_buckets = calloc(BUCKETS, sizeof(struct piece *));
    return tree->piece_buckets != NULL;
}

/* A new, empty, clean piece. */
static struct piece *make(struct tree *tree, struct node *node, uint64_t index)
{
    struct piece *piece = have_buckets(tree) ? calloc(1, sizeof *piece) : NULL;
    if (!piece)
        return NULL;
    link_piece(tree, node, index, piece);
    enter_list(tree, piece, PIECE_CLEAN);
    node_settle(tree, node);
    return piece;
}

struct piece *piece_reserve(struct tree *tree)
{
    return have_buckets(tree) ? calloc(1, sizeof(struct piece)) : NULL;
}

/* Puts the reserved piece in the place of whatever the node had there. */
static void replace(struct tree *tree, struct node *node, uint64_t index, struct piece *reserved, enum piece_state state)
{
    struct piece *old = piece_peek(tree, node, index);
    if (old)
        drop(tree, old);
    link_piece(tree, node, index, reserved);
    reserved->change = ++tree->piece_changes;
    enter_list(tree, reserved, state);
    node_settle(tree, node);
}

void piece_install(struct tree *tree, struct node *node, struct piece *reserved, const struct catalog_chunk *row)
{
    reserved->length = row->bytes - AEAD_OVERHEAD;
    reserved->row = *row;
    replace(tree, node, row->index, reserved, PIECE_STORED);
}

uint64_t piece_lend(struct tree *tree, struct node *node, struct piece *reserved, uint64_t index, const uint8_t *bytes)
{
    reserved->length = reserved->capacity = TREE_CHUNK_BYTES;
    reserved->data = (uint8_t *)(uintptr_t)bytes;
    reserved->lent = true;
    replace(tree, node, index, reserved, PIECE_DIRTY);
    return reserved->change;
}

enum code piece_own(struct tree *tree, struct piece *piece, struct failure *why)
{
    (void)tree;
    uint8_t *copy = malloc(piece->capacity);
    if (!copy)
        return failure_set(why, CODE_NO_MEMORY, "keeping what was written: no memory");
    memcpy(copy, piece->data, piece->length);
    piece->data = copy;
    piece->lent = false;
    return CODE_OK;
}

enum code piece_read_chunk(struct tree *tree, const struct seal_place *place, const struct catalog_chunk *row,
                           uint8_t *plain, uint32_t *length, struct failure *why)
{
    if (row->bytes < AEAD_OVERHEAD || row->bytes > TREE_CHUNK_BYTES + AEAD_OVERHEAD)
        return failure_set(why, CODE_CORRUPT, "part %llu of the file has an impossible length",
                           (unsigned long long)place->index + 1);
    uint8_t *sealed = block_pool_take(&tree->chunk_blocks);
    if (!sealed)
        return failure_set(why, CODE_NO_MEMORY, "reading: no memory");
    struct chunk_address address = {.pack = row->pack, .bytes = row->bytes, .offset = row->offset};
    *length = row->bytes - AEAD_OVERHEAD;
    /* Decryption tells good bytes from bad ones, so they are checked only where it fails: the store may know better ones,
     * or at least what is wrong. */
    enum code code = chunk_store_fetch(tree->chunks, &address, sealed, why);
    if (code == CODE_OK)
        code = seal_open_chunk(place, row, sealed, plain, why);
    if (code == CODE_CORRUPT) {
        code = chunk_store_get(tree->chunks, &address, sealed, why);
        if (code == CODE_OK)
            code = seal_open_chunk(place, row, sealed, plain, why);
    }
    block_pool_give(&tree->chunk_blocks, sealed);
    return code == CODE_NOT_FOUND
               ? failure_wrap(why, CODE_CORRUPT, "part %llu of the file", (unsigned long long)place->index + 1)
               : code;
}

/* Fills a new piece from its chunk. */
static enum code load(struct tree *tree, struct piece *piece, const struct catalog_chunk *row, struct failure *why)
{
    struct seal_place place = {.origin = piece->node->row.origin, .index = piece->index};
    struct space *space;
    enum code code = space_find(tree, piece->node->row.space, &space, why);
    if (code == CODE_OK && row->bytes > AEAD_OVERHEAD)
        code = grow(tree, piece, row->bytes - AEAD_OVERHEAD, why);
    if (code != CODE_OK)
        return code;
    place.space = space;
    pthread_rwlock_rdlock(&tree->packs_lock);
    code = piece_read_chunk(tree, &place, row, piece->data, &piece->length, why);
    pthread_rwlock_unlock(&tree->packs_lock);
    return code;
}

enum code piece_get(struct tree *tree, struct node *node, uint64_t index, uint32_t capacity, bool overwritten,
                    struct piece **out, struct failure *why)
{
    struct piece *piece = piece_peek(tree, node, index);
    if (piece) {
        bool had_data = piece->data != NULL || piece->length == 0;
        enum code code = piece->lent ? piece_own(tree, piece, why) : CODE_OK;
        if (code == CODE_OK)
            code = grow(tree, piece, piece->data ? capacity : TREE_CHUNK_BYTES, why);
        if (code == CODE_OK && !had_data)
            code = load(tree, piece, &piece->row, why);
        *out = piece;
        return code;
    }
    struct catalog_chunk row;
    enum code found = CODE_NO_DATA;
    if (!overwritten) {
        enum code checked = authentic_check(tree, node, why);
        if (checked != CODE_OK)
            return checked;
        found = catalog_chunk_get(tree->catalog, node->row.inode, index, &row, why);
        if (found != CODE_OK && found != CODE_NO_DATA)
            return found;
    }
    piece = make(tree, node, index);
    if (!piece)
        return failure_set(why, CODE_NO_MEMORY, "keeping what was written: no memory");
    enum code code = grow(tree, piece, capacity, why);
    if (code == CODE_OK && found == CODE_OK)
        code = load(tree, piece, &row, why);
    if (code != CODE_OK) {
        drop(tree, piece);
        node_settle(tree, node);
        return code;
    }
    piece->unfilled = overwritten;
    piece->fresh = found == CODE_NO_DATA && index * TREE_CHUNK_BYTES >= node->row.size;
    trim_clean(tree, piece);
    *out = piece;
    return CODE_OK;
}

void piece_mark_dirty(struct tree *tree, struct piece *piece)
{
    piece->change = ++tree->piece_changes;
    leave_list(tree, piece);
    enter_list(tree, piece, PIECE_DIRTY);
}

void piece_mark_stored(struct tree *tree, struct piece *piece, const struct catalog_chunk *row)
{
    piece->row = *row;
    piece->fresh = false;
    leave_list(tree, piece);
    if (piece->lent) {
        piece->data = NULL;
        piece->capacity = 0;
        piece->lent = false;
    }
    enter_list(tree, piece, PIECE_STORED);
}

void piece_keep(struct tree *tree, struct node *node, uint64_t index, const void *bytes, uint32_t length)
{
    if (piece_peek(tree, node, index) || length == 0)
        return;
    struct piece *piece = make(tree, node, index);
    if (!piece)
        return;
    if (grow(tree, piece, length, NULL) != CODE_OK) {
        drop(tree, piece);
        node_settle(tree, node);
        return;
    }
    memcpy(piece->data, bytes, length);
    piece->length = length;
    trim_clean(tree, piece);
}

bool piece_is_zero(const uint8_t *bytes, size_t count)
{
    return count == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0);
}

enum code piece_write_out(struct tree *tree, struct piece *piece, struct failure *why)
{
    struct node *node = piece->node;
    if (piece->state == PIECE_STORED)
        return authentic_put_chunk(tree, node, &piece->row, why);
    if (piece_is_zero(piece->data, piece->length))
        return authentic_drop_chunk(tree, node, piece->index, why);
    struct storing_place place;
    struct catalog_chunk row;
    enum code code = storing_place_of(tree, node, &place, why);
    if (code == CODE_OK)
        code = storing_put(tree, &place, piece->index, piece->data, piece->length, &row, why);
    return code == CODE_OK ? authentic_put_chunk(tree, node, &row, why) : code;
}

void piece_mark_clean(struct tree *tree, struct piece *piece)
{
    struct node *node = piece->node;
    piece->fresh = false;
    leave_list(tree, piece);
    enter_list(tree, piece, PIECE_CLEAN);
    if (!piece->data || piece->lent) {
        drop(tree, piece);
        node_settle(tree, node);
    }
    trim_clean(tree, NULL);
}

void piece_free_all(struct tree *tree)
{
    for (size_t i = 0; tree->piece_buckets && i < BUCKETS; i++)
        for (struct piece *piece = tree->piece_buckets[i], *next; piece; piece = next) {
            next = piece->hash_next;
            free_piece(piece);
        }
    free(tree->piece_buckets);
    tree->piece_buckets = NULL;
}
