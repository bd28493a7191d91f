/* The bytes of stored files: see tree_contents.h.
 *
 * A file is chunks of TREE_CHUNK_BYTES.  Chunk i is, in this order: the piece in memory; else the chunk that the
 * catalog names; else zeros.  A chunk may hold fewer bytes than its place in the file; the rest is zeros.
 *
 * Writing has two steps.  contents_write makes pieces: everybody sees what was written, and the writer may go on.  Of the
 * chunks that it covers whole the pieces show the writer's own bytes, which are lent: contents_settle seals and stores
 * those, beside whatever the writer does next, and gives them back.
 *
 * Shrinking cuts the piece at the new end, so that growing again shows zeros, and never an old tail.
 *
 * What is done to pieces cannot be taken back.  So shrinking and zeroing have two steps: inside an operation the catalog
 * is changed and the pieces concerned are brought into memory; when the operation is sure, the pieces are changed.
 */
#include "tree_contents.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aead.h"
#include "catalog_chunk.h"
#include "tree_authentic.h"
#include "tree_piece.h"
#include "tree_seal.h"
#include "tree_space.h"
#include "tree_storing.h"

#define READ_CHUNKS_MAX 64 /* read at a time */
#define ROWS_AT_ONCE    16
#define MEMORY_RETRY_US 10000

static inline uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A part of a read that lies in one chunk which is not in memory. */
struct fetch {
    struct catalog_chunk row;
    uint32_t from, count; /* in the chunk */
    uint8_t *to;
};

/* Rows of a file's chunks in their order, as many in one query as are wanted. */
struct row_batch {
    struct catalog_chunk rows[ROWS_AT_ONCE];
    size_t count, next;
    uint64_t end; /* no row in the catalog lies between the last of these and this index */
};

/* The row of a chunk; CODE_NO_DATA where there is none.  `last`: the last chunk that will be asked for.  With the lock. */
static enum code find_row(struct tree *tree, const struct node *node, struct row_batch *batch, uint64_t index, uint64_t last,
                          struct catalog_chunk *out, struct failure *why)
{
    if (index >= batch->end) {
        size_t max = (size_t)smaller(last - index + 1, ROWS_AT_ONCE);
        batch->next = 0;
        enum code code =
            catalog_chunk_walk(tree->catalog, node->row.inode, (int64_t)index - 1, batch->rows, max, &batch->count, why);
        if (code != CODE_OK)
            return code;
        batch->end = batch->count == max && batch->rows[max - 1].inode == node->row.inode ? batch->rows[max - 1].index + 1
                                                                                          : UINT64_MAX;
    }
    while (batch->next < batch->count && batch->rows[batch->next].inode == node->row.inode &&
           batch->rows[batch->next].index < index)
        batch->next++;
    const struct catalog_chunk *row = &batch->rows[batch->next];
    if (batch->next == batch->count || row->inode != node->row.inode || row->index != index)
        return CODE_NO_DATA;
    *out = *row;
    return CODE_OK;
}

/* Plans the read of [offset, offset + count), within one batch: copies what is in memory, lists what is not.  With the
 * lock.  *planned: bytes dealt with. */
static enum code plan(struct tree *tree, struct node *node, uint64_t offset, uint8_t *bytes, size_t count,
                      struct fetch *fetches, size_t *fetch_count, size_t *planned, struct failure *why)
{
    struct row_batch batch;
    batch.end = 0;
    *fetch_count = 0;
    *planned = 0;
    while (*planned < count && *fetch_count < READ_CHUNKS_MAX) {
        uint64_t position = offset + *planned, index = position / TREE_CHUNK_BYTES;
        uint32_t from = (uint32_t)(position % TREE_CHUNK_BYTES);
        uint32_t length = (uint32_t)smaller(TREE_CHUNK_BYTES - from, count - *planned);
        uint8_t *to = bytes + *planned;
        const struct piece *piece = piece_peek(tree, node, index);
        if (piece && !piece->data && piece->length) {
            fetches[(*fetch_count)++] = (struct fetch){piece->row, from, length, to};
        } else if (piece) {
            uint32_t have = piece->length > from ? (uint32_t)smaller(piece->length - from, length) : 0;
            memcpy(to, piece->data + from, have);
            memset(to + have, 0, length - have);
        } else {
            struct fetch *fetch = &fetches[*fetch_count];
            enum code code = find_row(tree, node, &batch, index, (offset + count - 1) / TREE_CHUNK_BYTES, &fetch->row, why);
            if (code == CODE_OK) {
                fetch->from = from;
                fetch->count = length;
                fetch->to = to;
                (*fetch_count)++;
            } else if (code == CODE_NO_DATA) {
                memset(to, 0, length);
            } else {
                return code;
            }
        }
        *planned += length;
    }
    return CODE_OK;
}

/* Reads one chunk: straight to its place where all of it is wanted, else into scratch, a block of the tree's that is taken
 * where it is NULL. */
static enum code carry_out(struct tree *tree, const struct seal_place *place, const struct fetch *fetch, uint8_t **scratch,
                           uint32_t *length, struct failure *why)
{
    bool whole = fetch->from == 0 && fetch->row.bytes <= fetch->count + AEAD_OVERHEAD;
    if (!whole && !*scratch && !(*scratch = block_pool_take(&tree->chunk_blocks)))
        return failure_set(why, CODE_NO_MEMORY, "reading: no memory");
    enum code code = piece_read_chunk(tree, place, &fetch->row, whole ? fetch->to : *scratch, length, why);
    if (code != CODE_OK)
        return code;
    uint32_t have = *length > fetch->from ? (uint32_t)smaller(*length - fetch->from, fetch->count) : 0;
    if (!whole)
        memcpy(fetch->to, *scratch + fetch->from, have);
    memset(fetch->to + have, 0, fetch->count - have);
    return CODE_OK;
}

/* Keeps a chunk that was read when the file had that version, unless it has changed since. */
static void keep(struct tree *tree, struct node *node, uint64_t index, const uint8_t *bytes, uint32_t length,
                 uint64_t version)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    if (node->row.version == version && !node->gone)
        piece_keep(tree, node, index, bytes, length);
}

static enum code read_with(struct tree *tree, struct node *node, uint64_t offset, void *bytes, size_t count, size_t *got,
                           uint8_t **scratch, struct failure *why)
{
    struct fetch fetches[READ_CHUNKS_MAX];
    *got = 0;
    for (;;) {
        size_t fetch_count, planned;
        struct space *space;
        pthread_mutex_lock(&tree->lock);
        uint64_t size = node->row.size, version = node->row.version;
        uint64_t here = offset + *got;
        size_t left = here < size ? (size_t)smaller(count - *got, size - here) : 0;
        enum code code = left ? space_find(tree, node->row.space, &space, why) : CODE_OK;
        if (left && code == CODE_OK)
            code = authentic_check(tree, node, why);
        if (left && code == CODE_OK)
            code = plan(tree, node, here, (uint8_t *)bytes + *got, left, fetches, &fetch_count, &planned, why);
        if (left == 0 || code != CODE_OK) {
            pthread_mutex_unlock(&tree->lock);
            return code;
        }
        uint64_t origin = node->row.origin;
        /* Taken before the lock goes: no pack that a row just read points into can be dropped until we are done. */
        pthread_rwlock_rdlock(&tree->packs_lock);
        pthread_mutex_unlock(&tree->lock);
        uint32_t length = 0;
        for (size_t i = 0; code == CODE_OK && i < fetch_count; i++) {
            struct seal_place place = {space, origin, fetches[i].row.index};
            code = carry_out(tree, &place, &fetches[i], scratch, &length, why);
        }
        pthread_rwlock_unlock(&tree->packs_lock);
        if (code != CODE_OK)
            return code;
        /* Of a chunk that was wanted in part, the rest probably will be wanted too. */
        if (fetch_count && fetches[fetch_count - 1].count < length)
            keep(tree, node, fetches[fetch_count - 1].row.index, *scratch, length, version);
        *got += planned;
        if (*got == count)
            return CODE_OK;
    }
}

enum code contents_read(struct tree *tree, struct node *node, uint64_t offset, void *bytes, size_t count, size_t *got,
                        struct failure *why)
{
    uint8_t *scratch = NULL;
    enum code code = read_with(tree, node, offset, bytes, count, got, &scratch, why);
    block_pool_give(&tree->chunk_blocks, scratch);
    return code;
}

/* Which chunks a write covers whole: *first and how many. */
static uint64_t whole_chunks(uint64_t offset, size_t count, uint64_t *first)
{
    *first = (offset + TREE_CHUNK_BYTES - 1) / TREE_CHUNK_BYTES;
    uint64_t end = (offset + count) / TREE_CHUNK_BYTES;
    return end > *first ? end - *first : 0;
}

/* Where the bytes of a chunk that the write covers whole begin. */
static const uint8_t *source_of(const struct contents_write *write, uint64_t index)
{
    return (const uint8_t *)write->bytes + (index * TREE_CHUNK_BYTES - write->offset);
}

/* Makes the pieces that will show the chunks that are lent: as many as the write covers whole and that are not zeros. */
static enum code prepare_lending(struct tree *tree, const struct node *node, struct contents_write *write,
                                 struct piece **reserved, struct failure *why)
{
    uint64_t first, count = whole_chunks(write->offset, write->count, &first);
    if (!write->lends || count == 0 || storing_place_of(tree, node, &write->place, NULL) != CODE_OK)
        return CODE_OK; /* it is copied, and the commit tells what is wrong */
    for (uint64_t i = 0; i < count && write->lent_count < CONTENTS_LENT_MAX; i++) {
        if (piece_is_zero(source_of(write, first + i), TREE_CHUNK_BYTES))
            continue;
        if (!(reserved[write->lent_count] = piece_reserve(tree)))
            return failure_set(why, CODE_NO_MEMORY, "keeping what was written: no memory");
        write->lent[write->lent_count++].index = first + i;
    }
    return CODE_OK;
}

static bool is_lent(const struct contents_write *write, uint64_t index)
{
    for (size_t i = 0; i < write->lent_count; i++)
        if (write->lent[i].index == index)
            return true;
    return false;
}

/* Brings the pieces of what is copied into memory, with room. */
static enum code prepare_copying(struct tree *tree, struct node *node, const struct contents_write *write,
                                 struct failure *why)
{
    uint64_t offset = write->offset, end = offset + write->count;
    for (uint64_t index = offset / TREE_CHUNK_BYTES; index * TREE_CHUNK_BYTES < end; index++) {
        if (is_lent(write, index))
            continue;
        uint64_t start = index * TREE_CHUNK_BYTES;
        uint32_t to = (uint32_t)smaller(end - start, TREE_CHUNK_BYTES);
        bool overwritten = offset <= start && (to == TREE_CHUNK_BYTES || end >= node->row.size);
        struct piece *piece;
        enum code code = piece_get(tree, node, index, to, overwritten, &piece, why);
        if (code != CODE_OK)
            return code;
        piece_mark_dirty(tree, piece); /* clean ones may be dropped while the next is fetched */
    }
    return CODE_OK;
}

/* Puts what is not lent into the pieces that were prepared for it. */
static void fill_pieces(struct tree *tree, struct node *node, const struct contents_write *write)
{
    uint64_t offset = write->offset, end = offset + write->count;
    const uint8_t *source = write->bytes;
    for (uint64_t index = offset / TREE_CHUNK_BYTES; index * TREE_CHUNK_BYTES < end; index++) {
        uint64_t start = index * TREE_CHUNK_BYTES;
        uint32_t from = offset > start ? (uint32_t)(offset - start) : 0;
        uint32_t to = (uint32_t)smaller(end - start, TREE_CHUNK_BYTES);
        if (!is_lent(write, index)) {
            struct piece *piece = piece_peek(tree, node, index);
            if (from > piece->length)
                memset(piece->data + piece->length, 0, from - piece->length);
            memcpy(piece->data + from, source, to - from);
            if (to > piece->length)
                piece->length = to;
            piece->unfilled = false;
        }
        source += to - from;
    }
}

enum code contents_write(struct tree *tree, struct node *node, struct contents_write *write, struct failure *why)
{
    if (write->count == 0)
        return CODE_OK;
    if (write->offset > (uint64_t)TREE_FILE_BYTES_MAX || write->count > (uint64_t)TREE_FILE_BYTES_MAX - write->offset)
        return failure_set(why, CODE_TOO_LARGE, "a file cannot grow beyond %lld GiB",
                           (long long)(TREE_FILE_BYTES_MAX >> 30));
    struct piece *reserved[CONTENTS_LENT_MAX] = {0};
    enum code code = prepare_lending(tree, node, write, reserved, why);
    if (code == CODE_OK)
        code = prepare_copying(tree, node, write, why);
    if (code != CODE_OK) {
        for (size_t i = 0; i < CONTENTS_LENT_MAX; i++)
            free(reserved[i]);
        write->lent_count = 0;
        piece_drop_unfilled(tree, node);
        node_settle(tree, node);
        return code;
    }
    fill_pieces(tree, node, write);
    for (size_t i = 0; i < write->lent_count; i++)
        write->lent[i].change =
            piece_lend(tree, node, reserved[i], write->lent[i].index, source_of(write, write->lent[i].index));
    if (write->lent_count)
        storing_begin(tree, &write->storing);
    if (write->offset + write->count > node->row.size)
        node->row.size = write->offset + write->count;
    return CODE_OK;
}

/* With the lock: the piece that still shows the lent chunk, or NULL. */
static struct piece *lent_piece(struct tree *tree, const struct contents_write *write, size_t i)
{
    struct node *node = node_peek(tree, write->place.inode);
    struct piece *piece = node ? piece_peek(tree, node, write->lent[i].index) : NULL;
    return piece && piece->lent && piece->change == write->lent[i].change ? piece : NULL;
}

/* With the lock, which is released while memory is short: the bytes were accepted, so they must not get lost. */
static void take_over(struct tree *tree, const struct contents_write *write, size_t i)
{
    struct piece *piece;
    while ((piece = lent_piece(tree, write, i)) && piece_own(tree, piece, NULL) != CODE_OK) {
        pthread_mutex_unlock(&tree->lock);
        usleep(MEMORY_RETRY_US);
        pthread_mutex_lock(&tree->lock);
    }
}

void contents_settle(struct tree *tree, struct contents_write *write)
{
    struct catalog_chunk rows[CONTENTS_LENT_MAX];
    size_t stored = 0;
    if (!write->lent_count)
        return;
    while (stored < write->lent_count) {
        uint64_t index = write->lent[stored].index;
        if (storing_put(tree, &write->place, index, source_of(write, index), TREE_CHUNK_BYTES, &rows[stored], NULL) !=
            CODE_OK)
            break;
        stored++;
    }
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    storing_end(tree, &write->storing, rows, stored);
    for (size_t i = 0; i < write->lent_count; i++) {
        struct piece *piece = lent_piece(tree, write, i);
        if (piece && i < stored && storing_keep(tree, &rows[i], 1))
            piece_mark_stored(tree, piece, &rows[i]);
        else
            take_over(tree, write, i);
    }
    pthread_cond_broadcast(&tree->lent_settled);
}

enum code contents_resize(struct tree *tree, struct node *node, uint64_t size, struct failure *why)
{
    if (size > (uint64_t)TREE_FILE_BYTES_MAX)
        return failure_set(why, CODE_TOO_LARGE, "a file cannot grow beyond %lld GiB",
                           (long long)(TREE_FILE_BYTES_MAX >> 30));
    if (size < node->row.size) {
        uint64_t first_gone = (size + TREE_CHUNK_BYTES - 1) / TREE_CHUNK_BYTES;
        enum code code = authentic_drop_chunks(tree, node, first_gone, INT64_MAX, why);
        struct piece *piece = NULL;
        if (code == CODE_OK && size % TREE_CHUNK_BYTES)
            code = piece_get(tree, node, size / TREE_CHUNK_BYTES, 1, false, &piece, why);
        if (code != CODE_OK)
            return code;
        if (piece)
            piece_mark_dirty(tree, piece); /* stays in memory for contents_finish_resize */
    }
    node->row.size = size;
    return CODE_OK;
}

void contents_finish_resize(struct tree *tree, struct node *node)
{
    uint64_t size = node->row.size;
    uint32_t rest = (uint32_t)(size % TREE_CHUNK_BYTES);
    piece_drop_from(tree, node, (size + TREE_CHUNK_BYTES - 1) / TREE_CHUNK_BYTES);
    struct piece *last = rest ? piece_peek(tree, node, size / TREE_CHUNK_BYTES) : NULL;
    if (last && last->length > rest) {
        last->length = rest;
        piece_mark_dirty(tree, last);
    }
    node_settle(tree, node);
}

/* A range that is to become zeros: chunks that go, and at most two of which a part stays. */
struct zeroing {
    uint64_t whole_from, whole_to; /* indices, half-open; empty where whole_from >= whole_to */
    struct cut {
        uint64_t index;
        uint32_t from, to; /* in the chunk; empty where from >= to */
    } cuts[2];
};

static struct zeroing plan_zeroing(const struct node *node, uint64_t offset, uint64_t count)
{
    uint64_t end = offset + smaller(count, node->row.size > offset ? node->row.size - offset : 0);
    uint64_t first = offset / TREE_CHUNK_BYTES, last = end / TREE_CHUNK_BYTES;
    uint32_t from = (uint32_t)(offset % TREE_CHUNK_BYTES), to = (uint32_t)(end % TREE_CHUNK_BYTES);
    if (offset >= end)
        return (struct zeroing){.whole_to = 0};
    struct zeroing zeroing = {.whole_from = first, .whole_to = last};
    if (to && end == node->row.size && (from == 0 || last > first)) {
        zeroing.whole_to = last + 1; /* behind the end there is nothing to keep */
        to = 0;
    }
    if (from) {
        bool ends_here = first == last && to;
        zeroing.cuts[0] = (struct cut){first, from, ends_here ? to : TREE_CHUNK_BYTES};
        zeroing.whole_from = first + 1;
        to = ends_here ? 0 : to;
    }
    if (to)
        zeroing.cuts[1] = (struct cut){last, 0, to};
    return zeroing;
}

enum code contents_zero(struct tree *tree, struct node *node, uint64_t offset, uint64_t count, struct failure *why)
{
    const struct zeroing zeroing = plan_zeroing(node, offset, count);
    enum code code = CODE_OK;
    if (zeroing.whole_from < zeroing.whole_to)
        code = authentic_drop_chunks(tree, node, zeroing.whole_from, zeroing.whole_to, why);
    for (int i = 0; i < 2; i++) {
        const struct cut *cut = &zeroing.cuts[i];
        struct piece *piece = NULL;
        if (code == CODE_OK && cut->from < cut->to)
            code = piece_get(tree, node, cut->index, 1, false, &piece, why);
        if (code == CODE_OK && piece)
            piece_mark_dirty(tree, piece); /* stays in memory for contents_finish_zero */
    }
    return code;
}

void contents_finish_zero(struct tree *tree, struct node *node, uint64_t offset, uint64_t count)
{
    const struct zeroing zeroing = plan_zeroing(node, offset, count);
    piece_drop_range(tree, node, zeroing.whole_from, zeroing.whole_to);
    for (int i = 0; i < 2; i++) {
        const struct cut *cut = &zeroing.cuts[i];
        struct piece *piece = cut->from < cut->to ? piece_peek(tree, node, cut->index) : NULL;
        if (!piece || piece->length <= cut->from)
            continue;
        memset(piece->data + cut->from, 0, smaller(cut->to, piece->length) - cut->from);
        if (cut->to >= piece->length)
            piece->length = cut->from;
    }
    node_settle(tree, node);
}
