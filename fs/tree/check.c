/* The check: see check.h.  Three walks over the catalog, each in batches, with a table of all inodes between them:
 *
 *   inodes   every row is sane; enters the table
 *   names    every name decrypts, and joins a folder and a node of the table; counts links, notes parents
 *   chunks   every row belongs to a file and lies within its size; the chunk is read; counts what lives in each pack
 *
 * Afterwards the table itself is looked at: links as counted, every node reaches the root.
 */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "catalog_attribute.h"
#include "catalog_chunk.h"
#include "catalog_name.h"
#include "catalog_repair.h"
#include "chunk_store.h"
#include "tree_authentic.h"
#include "tree_commit.h"
#include "tree_names.h"
#include "tree_node.h"
#include "tree_piece.h"
#include "tree_seal.h"
#include "tree_space.h"

#define BATCH          256
#define PROGRESS_EVERY 64

struct seen { /* an inode */
    uint64_t inode, parent, size;
    uint32_t links, counted, flags;
    enum catalog_inode_kind kind;
};

struct pack_count {
    uint32_t pack;
    uint64_t chunks, bytes;
};

struct check {
    struct tree *tree;
    const struct check_options *options;
    struct buffer *report;
    struct check_summary *summary;
    struct seen *seen; /* ascending by inode */
    size_t seen_count, seen_capacity;
    struct pack_count *packs; /* ascending by pack */
    size_t pack_count;
    uint8_t *plain; /* TREE_CHUNK_BYTES */
};

static void problem(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void problem(struct check *check, const char *format, ...)
{
    if (check->summary->problems++ >= CHECK_PROBLEMS_TOLD)
        return;
    char text[FAILURE_TEXT_MAX + 200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buffer_printf(check->report, "%s\n", text);
}

static struct seen *find(struct check *check, uint64_t inode)
{
    size_t low = 0, high = check->seen_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (check->seen[middle].inode < inode)
            low = middle + 1;
        else
            high = middle;
    }
    return low < check->seen_count && check->seen[low].inode == inode ? &check->seen[low] : NULL;
}

/* How a person knows the node: its path, else its number. */
static const char *name_of(struct check *check, uint64_t inode, struct buffer *text)
{
    struct node *node;
    buffer_clear(text);
    if (node_get(check->tree, inode, &node, NULL) != CODE_OK || node_path(check->tree, node, text, NULL) != CODE_OK ||
        text->length == 0) {
        buffer_clear(text);
        buffer_printf(text, "inode %llu", (unsigned long long)inode);
    }
    return buffer_text(text);
}

/* Inodes ----------------------------------------------------------------------------------------------------------- */

static void count_kind(struct check *check, const struct catalog_inode *row)
{
    struct check_summary *summary = check->summary;
    *(row->kind == CATALOG_INODE_FILE     ? &summary->files
      : row->kind == CATALOG_INODE_FOLDER ? &summary->folders
                                          : &summary->links) +=
        1; /* or a pipe, a socket, a device: a name and little else */
    summary->snapshots_and_frozen += (row->flags & CATALOG_INODE_FROZEN) != 0;
    summary->orphans += row->links == 0;
}

/* What can be opened with keys and hangs on the inode alone: the target of a link. */
static void check_inode(struct check *check, const struct catalog_inode *row)
{
    struct failure why;
    struct space *space;
    SCOPE_BUFFER name = {0};
    if (row->inode >= check->tree->next_inode)
        problem(check, "inode %llu: its number was never given out", (unsigned long long)row->inode);
    if (row->links == 0)
        return; /* an orphan's keys may be gone with its dataset */
    enum code code = space_find(check->tree, row->space, &space, &why);
    if (code == CODE_DENIED) {
        check->summary->closed++;
        return;
    }
    if (code != CODE_OK) {
        problem(check, "inode %llu: %s", (unsigned long long)row->inode, why.text);
        return;
    }
    struct node *node =
        node_peek(check->tree, row->inode); /* what was found in the log of recent writes is in memory only */
    code = authentic_check_row(check->tree, row, &why);
    if (code == CODE_OK)
        code = node ? authentic_check(check->tree, node, &why) : authentic_check_hanging(check->tree, row, &why);
    if (code != CODE_OK) {
        problem(check, "%s: %s", name_of(check, row->inode, &name), why.text);
        return;
    }
    if (row->kind != CATALOG_INODE_LINK)
        return;
    SCOPE_BUFFER target = {0};
    if (names_read_target(check->tree, row->inode, &target, &why) != CODE_OK)
        problem(check, "inode %llu: %s", (unsigned long long)row->inode, why.text);
    else if (target.length != row->size)
        problem(check, "inode %llu: the link's target has %zu bytes and should have %llu", (unsigned long long)row->inode,
                target.length, (unsigned long long)row->size);
}

static enum code enter(struct check *check, const struct catalog_inode *row, struct failure *why)
{
    if (check->seen_count == check->seen_capacity) {
        size_t capacity = check->seen_capacity ? check->seen_capacity * 2 : 1024;
        struct seen *seen = realloc(check->seen, capacity * sizeof *seen);
        if (!seen)
            return failure_set(why, CODE_NO_MEMORY, "checking: no memory for %zu files", capacity);
        check->seen = seen;
        check->seen_capacity = capacity;
    }
    check->seen[check->seen_count++] =
        (struct seen){.inode = row->inode, .size = row->size, .links = row->links, .flags = row->flags, .kind = row->kind};
    return CODE_OK;
}

static enum code walk_inodes(struct check *check, struct failure *why)
{
    struct catalog_inode rows[BATCH];
    size_t count;
    uint64_t after = 0;
    do {
        enum code code = catalog_inode_walk(check->tree->catalog, after, rows, BATCH, &count, why);
        for (size_t i = 0; code == CODE_OK && i < count; i++) {
            count_kind(check, &rows[i]);
            check_inode(check, &rows[i]);
            code = enter(check, &rows[i], why);
            after = rows[i].inode;
        }
        if (code != CODE_OK)
            return code;
    } while (count == BATCH);
    return CODE_OK;
}

/* Names ------------------------------------------------------------------------------------------------------------ */

struct name_row {
    uint64_t parent, inode;
    size_t count;
    uint8_t bytes[CATALOG_NAME_BYTES_MAX];
};

struct name_batch {
    struct name_row rows[BATCH];
    size_t count;
    size_t too_long; /* bytes of a name that ended the batch; 0: none did */
};

static bool collect_name(void *context, const struct catalog_name *name, uint64_t inode)
{
    struct name_batch *batch = context;
    if (name->count > CATALOG_NAME_BYTES_MAX) {
        batch->too_long = name->count;
        return false;
    }
    struct name_row *row = &batch->rows[batch->count++];
    row->parent = name->parent;
    row->inode = inode;
    row->count = name->count;
    memcpy(row->bytes, name->bytes, row->count);
    return true;
}

static void check_name(struct check *check, const struct name_row *row)
{
    SCOPE_BUFFER text = {0};
    struct failure why;
    char name[TREE_NAME_MAX + 1];
    struct node *folder;
    struct seen *parent = find(check, row->parent), *child = find(check, row->inode);
    if (!parent || parent->kind != CATALOG_INODE_FOLDER) {
        problem(check, "a name lies in inode %llu, which is no folder", (unsigned long long)row->parent);
        return;
    }
    enum code code = node_get(check->tree, row->parent, &folder, &why);
    if (code == CODE_OK)
        code = seal_open_name(check->tree, folder, row->bytes, row->count, name, &why);
    bool closed = code == CODE_DENIED;
    if (closed)
        strcpy(name, "?");
    if (code != CODE_OK && !closed)
        problem(check, "%s: a name in it: %s", name_of(check, row->parent, &text), why.text);
    else if (!child)
        problem(check, "%s/%s: leads nowhere", name_of(check, row->parent, &text), name);
    if (child) {
        child->counted++;
        child->parent = row->parent;
    }
}

static enum code walk_names(struct check *check, struct failure *why)
{
    SCOPE_FREE struct name_batch *batch = malloc(sizeof *batch);
    if (!batch)
        return failure_set(why, CODE_NO_MEMORY, "checking: no memory");
    struct catalog_name after = {.bytes = ""};
    uint8_t last[CATALOG_NAME_BYTES_MAX];
    do {
        batch->count = batch->too_long = 0;
        enum code code = catalog_name_walk(check->tree->catalog, &after, BATCH, collect_name, batch, why);
        if (code == CODE_OK && batch->too_long)
            code = failure_set(why, CODE_CORRUPT, "the catalog: a name of %zu bytes", batch->too_long);
        if (code != CODE_OK)
            return code;
        for (size_t i = 0; i < batch->count; i++)
            check_name(check, &batch->rows[i]);
        if (batch->count) {
            const struct name_row *row = &batch->rows[batch->count - 1];
            memcpy(last, row->bytes, row->count);
            after = (struct catalog_name){row->parent, last, row->count};
        }
    } while (batch->count == BATCH);
    return CODE_OK;
}

/* Chunks ----------------------------------------------------------------------------------------------------------- */

static enum code count_in_pack(struct check *check, const struct catalog_chunk *row, struct failure *why)
{
    size_t position = 0;
    while (position < check->pack_count && check->packs[position].pack < row->pack)
        position++;
    if (position == check->pack_count || check->packs[position].pack != row->pack) {
        struct pack_count *packs = realloc(check->packs, (check->pack_count + 1) * sizeof *packs);
        if (!packs)
            return failure_set(why, CODE_NO_MEMORY, "checking: no memory");
        check->packs = packs;
        memmove(packs + position + 1, packs + position, (check->pack_count - position) * sizeof *packs);
        packs[position] = (struct pack_count){.pack = row->pack};
        check->pack_count++;
    }
    check->packs[position].chunks++;
    check->packs[position].bytes += row->bytes;
    return CODE_OK;
}

/* Reads the chunk as tree_read would. */
static void check_contents(struct check *check, const struct catalog_chunk *row)
{
    SCOPE_BUFFER text = {0};
    struct failure why;
    struct node *node;
    struct space *space;
    enum code code = node_get(check->tree, row->inode, &node, &why);
    if (code == CODE_OK)
        code = space_find(check->tree, node->row.space, &space, &why);
    uint32_t length;
    if (code == CODE_OK) {
        struct seal_place place = {space, node->row.origin, row->index};
        code = piece_read_chunk(check->tree, &place, row, check->plain, &length, &why);
    }
    if (code != CODE_OK && catalog_repair_is_lost(check->tree->catalog, row->nonce))
        check->summary->parts_lost++;
    else if (code != CODE_OK && code != CODE_DENIED)
        problem(check, "%s: %s", name_of(check, row->inode, &text), why.text);
}

static void check_chunk(struct check *check, const struct catalog_chunk *row)
{
    SCOPE_BUFFER text = {0};
    struct seen *file = find(check, row->inode);
    check->summary->chunks++;
    check->summary->bytes_sealed += row->bytes;
    if (!file || file->kind != CATALOG_INODE_FILE)
        problem(check, "a chunk belongs to inode %llu, which is no file", (unsigned long long)row->inode);
    else if (row->bytes <= AEAD_OVERHEAD || row->index > file->size / TREE_CHUNK_BYTES ||
             row->index * TREE_CHUNK_BYTES + row->bytes - AEAD_OVERHEAD > file->size)
        problem(check, "%s: part %llu reaches beyond the file's end", name_of(check, row->inode, &text),
                (unsigned long long)row->index + 1);
    else if (check->options->contents && file->links)
        check_contents(check, row);
    if (check->options->progress && check->summary->chunks % PROGRESS_EVERY == 0)
        check->options->progress(check->options->progress_context, check->summary->chunks);
}

static enum code walk_chunks(struct check *check, struct failure *why)
{
    struct catalog_chunk rows[BATCH];
    size_t count;
    uint64_t inode = 0;
    int64_t index = -1;
    do {
        enum code code = catalog_chunk_walk(check->tree->catalog, inode, index, rows, BATCH, &count, why);
        for (size_t i = 0; code == CODE_OK && i < count; i++) {
            check_chunk(check, &rows[i]);
            code = count_in_pack(check, &rows[i], why);
            inode = rows[i].inode;
            index = (int64_t)rows[i].index;
        }
        if (code != CODE_OK)
            return code;
    } while (count == BATCH);
    return CODE_OK;
}

/* The books -------------------------------------------------------------------------------------------------------- */

static enum code check_packs(struct check *check, struct failure *why)
{
    uint64_t live = 0, stored = 0;
    for (size_t i = 0; i < check->pack_count; i++) {
        const struct pack_count *pack = &check->packs[i];
        uint64_t chunks, bytes;
        enum code code = catalog_chunk_pack_use(check->tree->catalog, pack->pack, &chunks, &bytes, why);
        if (code != CODE_OK)
            return code;
        if (chunks != pack->chunks || bytes != pack->bytes)
            problem(check, "pack %u: the books say %llu chunks of %llu bytes, counted are %llu of %llu", pack->pack,
                    (unsigned long long)chunks, (unsigned long long)bytes, (unsigned long long)pack->chunks,
                    (unsigned long long)pack->bytes);
        live += pack->bytes;
    }
    struct chunk_pack_list list;
    enum code code = chunk_store_list_packs(check->tree->chunks, &list, why);
    if (code != CODE_OK)
        return code;
    for (size_t i = 0; i < list.count; i++)
        stored += list.packs[i].bytes;
    chunk_store_list_free(&list);
    check->summary->unused_bytes = stored > live ? stored - live : 0;
    return CODE_OK;
}

static bool reaches_root(struct check *check, const struct seen *seen)
{
    for (int depth = 0; seen && depth < TREE_FOLDERS_DEEP_MAX; depth++) {
        if (seen->inode == INODE_ROOT)
            return true;
        seen = find(check, seen->parent);
    }
    return false;
}

static void check_table(struct check *check)
{
    SCOPE_BUFFER text = {0};
    struct seen *root = find(check, INODE_ROOT);
    if (!root || root->kind != CATALOG_INODE_FOLDER)
        problem(check, "the root folder is missing");
    else
        root->counted++; /* it has no name, and counts as having one */
    for (size_t i = 0; i < check->seen_count; i++) {
        const struct seen *seen = &check->seen[i];
        if (seen->counted != seen->links)
            problem(check, "%s: has %u names and should have %u", name_of(check, seen->inode, &text), seen->counted,
                    seen->links);
        if (seen->kind == CATALOG_INODE_FOLDER && seen->counted > 1)
            problem(check, "%s: a folder with %u names", name_of(check, seen->inode, &text), seen->counted);
        if (seen->links && !reaches_root(check, seen))
            problem(check, "inode %llu: cannot be reached from the root", (unsigned long long)seen->inode);
    }
}

static enum code check_all(struct check *check, struct failure *why)
{
    enum code code = walk_inodes(check, why);
    if (code == CODE_OK)
        code = walk_names(check, why);
    if (code == CODE_OK)
        code = walk_chunks(check, why);
    if (code == CODE_OK)
        code = check_packs(check, why);
    if (code == CODE_OK)
        check_table(check);
    return code;
}

enum code check_run(struct tree *tree, const struct check_options *options, struct buffer *report, struct check_summary *out,
                    struct failure *why)
{
    *out = (struct check_summary){0};
    struct check check = {.tree = tree, .options = options, .report = report, .summary = out};
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    check.plain = malloc(TREE_CHUNK_BYTES);
    if (tree->sums.wrong.code != CODE_OK)
        problem(&check, "%s", tree->sums.wrong.text);
    enum code code = check.plain ? CODE_OK : failure_set(why, CODE_NO_MEMORY, "checking: no memory");
    if (code == CODE_OK && !tree->read_only)
        code = commit_bring_up_to_date(tree, why);
    if (code == CODE_OK)
        code = catalog_reading_begin(tree->catalog, why);
    if (code == CODE_OK)
        code = check_all(&check, why);
    catalog_reading_end(tree->catalog);
    free(check.plain);
    free(check.seen);
    free(check.packs);
    if (code == CODE_OK)
        code = buffer_check(report, "the report", why);
    return code;
}
