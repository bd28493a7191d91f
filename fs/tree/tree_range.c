/* What is done to ranges of open files: preallocating, punching and zeroing; finding holes; copying within the server.
 *
 * A hole is a chunk that the file does not have, or has empty; so holes are found in steps of whole chunks.  A chunk of
 * zeros becomes a hole when it is committed.  Nothing is reserved by preallocating: what is overwritten takes new room
 * anyway; but where the disk has no room for the range now, preallocating says so.
 *
 * Copying goes in steps, each of which is one write and as atomic as that; between them others may write. */
#include "tree_range.h"

#include <fcntl.h>
#include <stdlib.h>

#include "catalog_chunk.h"
#include "timing.h"
#include "tree_authentic.h"
#include "tree_contents.h"
#include "tree_derived.h"
#include "tree_file.h"
#include "tree_operation.h"
#include "tree_piece.h"
#include "tree_sharing.h"
#include "tree_statistics.h"
#include "tree_usage.h"

#define INDICES_AT_ONCE  128
#define BLOCKS_PER_CHUNK (TREE_CHUNK_BYTES / 512)
#define SMALL_FILE_BYTES ((uint64_t)8 * TREE_CHUNK_BYTES)
#define COUNT_EVERY_NS   1000000000 /* counting reads a row for each chunk */

#define COPY_STEP_BYTES ((size_t)1 << 20)
#define COPY_BYTES_MAX  ((uint64_t)64 << 20) /* in one call: it keeps a worker busy, and nobody can interrupt it */

static inline uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static enum code check_room(const struct tree *tree, const struct node *node, uint64_t end, struct failure *why)
{
    uint64_t more = end > node->row.size ? end - node->row.size : 0;
    if (more <= statistics_free_bytes(tree))
        return CODE_OK;
    return failure_set(why, CODE_NO_SPACE, "preallocating: the disk that holds the lab has no room for %llu MB more",
                       (unsigned long long)(more / 1000000));
}

/* With the lock. */
static enum code zero_range(struct tree *tree, struct node *node, uint64_t offset, uint64_t count, struct failure *why)
{
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    node_change(tree, node);
    code = operation_end(tree, contents_zero(tree, node, offset, count, why), why);
    if (code == CODE_OK) {
        contents_finish_zero(tree, node, offset, count);
        file_note_change(tree, node, offset);
    }
    return code;
}

enum code tree_allocate(struct tree_file *file, int mode, uint64_t offset, uint64_t count, struct failure *why)
{
    bool keep_size = mode & FALLOC_FL_KEEP_SIZE, punch = mode & FALLOC_FL_PUNCH_HOLE, zero = mode & FALLOC_FL_ZERO_RANGE;
    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) || (punch && (zero || !keep_size)))
        return failure_set(why, CODE_UNSUPPORTED, "this kind of preallocation is not supported");
    if (!file->node || !(file->flags & OPEN_WRITE))
        return failure_set(why, CODE_DENIED, "the file was not opened for writing");
    if (count == 0 || offset > (uint64_t)TREE_FILE_BYTES_MAX || count > (uint64_t)TREE_FILE_BYTES_MAX - offset)
        return failure_set(why, count ? CODE_TOO_LARGE : CODE_INVALID, "this range cannot be preallocated");
    struct tree *tree = file->tree;
    struct node *node = file->node;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    enum code code = file_check_writable(tree, node, why);
    if (code == CODE_OK && file->append_only && mode != 0)
        code = failure_set(why, CODE_NOT_PERMITTED, "this file can only be appended to");
    if (code == CODE_OK && !punch)
        code = check_room(tree, node, offset + count, why);
    if (code == CODE_OK && (punch || zero))
        code = zero_range(tree, node, offset, count, why);
    if (code == CODE_OK && !keep_size && offset + count > node->row.size)
        code = file_resize(tree, node, offset + count, why);
    if (code == CODE_OK && file->flags & OPEN_DROPS_SET_ID) {
        node_drop_set_id(node);
        file_note_change(tree, node, offset);
    }
    return code;
}

/* Holes ------------------------------------------------------------------------------------------------------------ */

/* The rows of a file from some index on, a batch at a time. */
struct index_batch {
    uint64_t indices[INDICES_AT_ONCE];
    size_t count, at;
    bool last; /* behind it there is none */
};

/* Moves on to the first row at `index` or behind; *found is UINT64_MAX where there is none. */
static enum code next_row(struct tree *tree, const struct node *node, uint64_t index, struct index_batch *batch,
                          uint64_t *found, struct failure *why)
{
    for (;;) {
        while (batch->at < batch->count && batch->indices[batch->at] < index)
            batch->at++;
        *found = batch->at < batch->count ? batch->indices[batch->at] : UINT64_MAX;
        if (batch->at < batch->count || batch->last)
            return CODE_OK;
        enum code code = catalog_chunk_indices(tree->catalog, node->row.inode, index, batch->indices, INDICES_AT_ONCE,
                                               &batch->count, why);
        if (code != CODE_OK)
            return code;
        batch->at = 0;
        batch->last = batch->count < INDICES_AT_ONCE;
    }
}

/* The first piece with contents at `index` or behind; UINT64_MAX where there is none. */
static uint64_t next_full_piece(const struct node *node, uint64_t index)
{
    uint64_t found = UINT64_MAX;
    for (const struct piece *piece = node->pieces; piece; piece = piece->node_next)
        if (piece->length && piece->index >= index && piece->index < found)
            found = piece->index;
    return found;
}

/* A piece in memory says more than the row. */
static enum code find_data(struct tree *tree, const struct node *node, uint64_t index, uint64_t *found, struct failure *why)
{
    struct index_batch batch = {.count = 0};
    uint64_t piece_index = next_full_piece(node, index), row_index;
    for (;;) {
        enum code code = next_row(tree, node, index, &batch, &row_index, why);
        if (code != CODE_OK)
            return code;
        if (row_index >= piece_index || !piece_peek(tree, node, row_index))
            break;
        index = row_index + 1; /* emptied in memory */
    }
    *found = row_index < piece_index ? row_index : piece_index;
    return CODE_OK;
}

static enum code find_hole(struct tree *tree, const struct node *node, uint64_t index, uint64_t end, uint64_t *found,
                           struct failure *why)
{
    struct index_batch batch = {.count = 0};
    for (; index < end; index++) {
        const struct piece *piece = piece_peek(tree, node, index);
        uint64_t row_index = index;
        enum code code = piece ? CODE_OK : next_row(tree, node, index, &batch, &row_index, why);
        if (code != CODE_OK)
            return code;
        if (piece ? piece->length == 0 : row_index != index)
            break;
    }
    *found = index;
    return CODE_OK;
}

static enum code no_offset(struct failure *why)
{
    return failure_set(why, CODE_NO_OFFSET, "there is no data behind this place");
}

/* With the lock. */
static enum code seek(struct tree *tree, const struct node *node, uint64_t offset, enum tree_seek to, uint64_t *found,
                      struct failure *why)
{
    uint64_t size = node->row.size, index = offset / TREE_CHUNK_BYTES,
             end = (size + TREE_CHUNK_BYTES - 1) / TREE_CHUNK_BYTES;
    if (offset >= size)
        return no_offset(why);
    enum code code =
        to == SEEK_TO_DATA ? find_data(tree, node, index, &index, why) : find_hole(tree, node, index, end, &index, why);
    if (code != CODE_OK)
        return code;
    if (index >= end && to == SEEK_TO_DATA)
        return no_offset(why);
    uint64_t start = index * TREE_CHUNK_BYTES;
    *found = start < offset ? offset : start > size ? size : start;
    return CODE_OK;
}

enum code tree_seek(struct tree_file *file, uint64_t offset, enum tree_seek to, uint64_t *found, struct failure *why)
{
    if (file->stream)
        return failure_set(why, CODE_INVALID, "a stream has no places");
    if (file->node) {
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&file->tree->lock);
        enum code code = authentic_check(file->tree, file->node, why);
        return code == CODE_OK ? seek(file->tree, file->node, offset, to, found, why) : code;
    }
    if (offset >= file->rendering->size)
        return no_offset(why);
    *found = to == SEEK_TO_DATA ? offset : file->rendering->size;
    return CODE_OK;
}

static void count_chunks(struct tree *tree, struct node *node)
{
    uint64_t chunks;
    if (catalog_chunk_count(tree->catalog, node->row.inode, &chunks, NULL) != CODE_OK)
        chunks = UINT32_MAX;
    for (const struct piece *piece = node->pieces; piece; piece = piece->node_next)
        chunks += piece->length && piece->state != PIECE_CLEAN; /* some of them twice */
    node->full.chunks = chunks;
    node->full.version = node->row.version;
    node->full.counted_ns = timing_monotonic_ns();
}

uint64_t range_blocks(struct tree *tree, struct node *node)
{
    uint64_t most = (node->row.size + 511) / 512;
    if (node->row.size <= SMALL_FILE_BYTES)
        return most;
    if (!node->full.counted_ns || node->full.version != node->row.version) {
        if (node->full.counted_ns && timing_monotonic_ns() - node->full.counted_ns < COUNT_EVERY_NS)
            return most; /* never too few: programs take a file of no blocks to be empty */
        count_chunks(tree, node);
    }
    return smaller(most, node->full.chunks * BLOCKS_PER_CHUNK);
}

/* Copying ---------------------------------------------------------------------------------------------------------- */

static enum code check_copy(const struct tree_copy *copy, struct failure *why)
{
    if (copy->from->stream || !copy->to->node || copy->to->flags & OPEN_APPEND)
        return failure_set(why, CODE_INVALID, "these files cannot be copied into each other");
    if (!(copy->from->flags & OPEN_READ) || !(copy->to->flags & OPEN_WRITE))
        return failure_set(why, CODE_DENIED, "the files were not opened for reading the one and writing the other");
    if (copy->from_offset > UINT64_MAX - copy->count || copy->to_offset > UINT64_MAX - copy->count)
        return failure_set(why, CODE_INVALID, "copying a range that no file can have");
    if (copy->from->node == copy->to->node && copy->from_offset < copy->to_offset + copy->count &&
        copy->to_offset < copy->from_offset + copy->count)
        return failure_set(why, CODE_INVALID, "copying a range onto itself");
    return CODE_OK;
}

static uint64_t size_of(const struct tree_file *file)
{
    if (!file->node)
        return file->rendering->size;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&file->tree->lock);
    return file->node->row.size;
}

/* Takes over whole chunks that are stored; 0 where there are none at the beginning. */
static uint64_t share(const struct tree_copy *copy, uint64_t count)
{
    struct tree *tree = copy->to->tree;
    if (!copy->from->node || copy->to->append_only || count < TREE_CHUNK_BYTES)
        return 0;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *to = copy->to->node;
    if (operation_allowed(tree, NULL) != CODE_OK || file_check_writable(tree, to, NULL) != CODE_OK ||
        usage_admit(tree, to, copy->to_offset + count, 0, NULL) != CODE_OK)
        return 0; /* copying says why */
    uint64_t size = to->row.size;
    const struct sharing_range range = {copy->from_offset, copy->to_offset, count};
    uint64_t done = sharing_copy(tree, copy->from->node, to, &range);
    if (done && copy->to->flags & OPEN_DROPS_SET_ID)
        node_drop_set_id(to);
    if (done)
        file_note_change(tree, to, copy->to_offset < size ? copy->to_offset : size);
    return done;
}

/* Copies some of it; *done is 0 at the end of the source.  `bytes` has room for COPY_STEP_BYTES. */
static enum code copy_step(const struct tree_copy *copy, void *bytes, uint64_t *done, struct failure *why)
{
    uint64_t size = size_of(copy->from), offset = copy->from_offset, data, count = copy->count;
    *done = 0;
    if (offset >= size || count == 0)
        return CODE_OK;
    count = smaller(count, size - offset);
    enum code code = tree_seek(copy->from, offset, SEEK_TO_DATA, &data, why);
    if (code == CODE_NO_OFFSET)
        data = size;
    else if (code != CODE_OK)
        return code;
    if (data > offset) {
        *done = smaller(count, data - offset);
        return tree_allocate(copy->to, FALLOC_FL_ZERO_RANGE, copy->to_offset, *done, why);
    }
    *done = share(copy, count);
    if (*done)
        return CODE_OK;
    uint32_t beside = (uint32_t)(offset % TREE_CHUNK_BYTES);
    if (beside && beside == copy->to_offset % TREE_CHUNK_BYTES)
        count = smaller(count, TREE_CHUNK_BYTES - beside); /* the chunks behind this one can be shared */
    size_t got;
    code = tree_read(copy->from, offset, bytes, (size_t)smaller(count, COPY_STEP_BYTES), &got, why);
    if (code == CODE_OK)
        code = tree_write(copy->to, copy->to_offset, bytes, got, why);
    *done = got;
    return code;
}

enum code tree_copy(const struct tree_copy *copy, uint64_t *copied, struct failure *why)
{
    *copied = 0;
    enum code code = check_copy(copy, why);
    if (code != CODE_OK)
        return code;
    SCOPE_FREE void *bytes = malloc(COPY_STEP_BYTES);
    if (!bytes)
        return failure_set(why, CODE_NO_MEMORY, "copying: no memory");
    struct tree_copy left = *copy;
    uint64_t size = size_of(copy->from); /* now: where both are one file, copying can make it longer */
    left.count = smaller(smaller(copy->count, COPY_BYTES_MAX), size > copy->from_offset ? size - copy->from_offset : 0);
    for (uint64_t done = 1; code == CODE_OK && done; *copied += done) {
        code = copy_step(&left, bytes, &done, why);
        if (code != CODE_OK)
            done = 0;
        left.from_offset += done;
        left.to_offset += done;
        left.count -= done;
    }
    return *copied ? CODE_OK : code; /* what was copied is told; the failure comes again */
}
