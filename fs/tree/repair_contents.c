/* Repairing what hangs on files and links.
 *
 * A chunk whose bytes are gone stays what it is: its row keeps its place, so that it can be read again should the pack come
 * back from a mirror or a backup, and reading it goes on failing: never zeros in place of what somebody wrote.  Its nonce is
 * noted, so that it is no news to the next check.
 *
 * A chunk that reaches beyond its file's end is cut there; where it cannot be read, its row is replaced by one of a chunk
 * that is lost. */
#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "catalog_attribute.h"
#include "catalog_chunk.h"
#include "catalog_repair.h"
#include "chunk_store.h"
#include "entropy.h"
#include "repair_internal.h"
#include "tree_piece.h"
#include "tree_seal.h"
#include "tree_space.h"
#include "tree_storing.h"

#define PROGRESS_EVERY 64

/* Links ------------------------------------------------------------------------------------------------------------ */

struct names {
    struct buffer rows; /* parent (8), count (8), bytes */
};

static bool collect_name(void *context, const struct catalog_name *name, uint64_t inode)
{
    (void)inode;
    struct names *names = context;
    uint64_t count = name->count;
    buffer_append(&names->rows, &name->parent, sizeof name->parent);
    buffer_append(&names->rows, &count, sizeof count);
    buffer_append(&names->rows, name->bytes, name->count);
    return !names->rows.failed;
}

static enum code remove_link(struct repair *repair, uint64_t inode)
{
    struct names names = {0};
    struct catalog *catalog = repair->tree->catalog;
    enum code code = catalog_name_of_inode(catalog, inode, collect_name, &names, repair->why);
    for (size_t at = 0; code == CODE_OK && at + 16 <= names.rows.length;) {
        uint64_t parent, count;
        memcpy(&parent, names.rows.data + at, 8);
        memcpy(&count, names.rows.data + at + 8, 8);
        code = catalog_name_delete(catalog, &(struct catalog_name){parent, names.rows.data + at + 16, count}, repair->why);
        struct repair_node *folder = repair_find(repair, parent);
        if (folder)
            folder->touched = true;
        at += 16 + count;
    }
    buffer_free(&names.rows);
    if (code == CODE_OK)
        code = catalog_inode_delete(catalog, inode, repair->why);
    repair->summary->links_removed++;
    repair_tell(repair, "removed a symbolic link (inode %llu) that had lost its target", (unsigned long long)inode);
    return code;
}

static enum code look_at_link(struct repair *repair, uint64_t inode)
{
    struct node link;
    SCOPE_BUFFER sealed = {0};
    SCOPE_BUFFER target = {0};
    enum code code = repair_node_of(repair, inode, &link);
    if (code != CODE_OK)
        return code;
    code = catalog_attribute_get(repair->tree->catalog, &(struct catalog_attribute){.inode = inode, .name = ""}, &sealed,
                                 repair->why);
    if (code == CODE_OK)
        code = seal_open_target(repair->tree, &link, &sealed, &target, repair->why);
    if (code == CODE_NO_DATA || code == CODE_CORRUPT)
        return remove_link(repair, inode);
    if (code == CODE_DENIED || (code == CODE_OK && target.length == link.row.size))
        return CODE_OK;
    if (code != CODE_OK)
        return code;
    link.row.size = target.length;
    return repair_put(repair, &link.row);
}

static enum code walk_links(struct repair *repair)
{
    for (size_t i = 0; i < repair->count; i++) {
        if (repair->nodes[i].kind != CATALOG_INODE_LINK || !repair->nodes[i].counted)
            continue;
        enum code code = look_at_link(repair, repair->nodes[i].inode);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

/* Chunks ----------------------------------------------------------------------------------------------------------- */

/* Reads the chunk as a reader would; CODE_DENIED without the key. */
static enum code read_chunk(struct repair *repair, const struct node *file, const struct catalog_chunk *row, uint8_t *plain,
                            uint32_t *length)
{
    struct space *space;
    enum code code = space_find(repair->tree, file->row.space, &space, repair->why);
    if (code != CODE_OK)
        return code;
    const struct seal_place place = {space, file->row.origin, row->index};
    return piece_read_chunk(repair->tree, &place, row, plain, length, repair->why);
}

static enum code note_lost(struct repair *repair, const struct catalog_chunk *row)
{
    repair->summary->parts_lost++;
    repair_tell(repair, "part %llu of inode %llu is lost (pack %u): reading it gives an error, all else can be read",
                (unsigned long long)row->index + 1, (unsigned long long)row->inode, row->pack);
    return catalog_repair_note_lost(repair->tree->catalog, row->nonce, repair->why);
}

/* The chunk with its first `length` bytes of plaintext, or one that is lost in its place. */
static enum code cut_chunk(struct repair *repair, const struct node *file, const struct catalog_chunk *row,
                           const uint8_t *plain, uint32_t length)
{
    struct catalog_chunk cut = *row;
    struct storing_place place;
    enum code code = CODE_OK;
    if (plain)
        code = storing_place_of(repair->tree, file, &place, repair->why);
    if (code == CODE_OK && plain)
        code = storing_put(repair->tree, &place, row->index, plain, length, &cut, repair->why);
    if (code == CODE_OK && !plain) {
        cut.bytes = length + AEAD_OVERHEAD;
        code = entropy_fill(cut.nonce, sizeof cut.nonce, repair->why);
        if (code == CODE_OK)
            code = note_lost(repair, &cut);
    }
    repair->summary->parts_cut++;
    return code == CODE_OK ? catalog_chunk_put(repair->tree->catalog, &cut, repair->why) : code;
}

static enum code drop_chunk(struct repair *repair, const struct catalog_chunk *row)
{
    repair->summary->parts_cut++;
    repair_tell(repair, "removed part %llu of inode %llu, which lay beyond its end", (unsigned long long)row->index + 1,
                (unsigned long long)row->inode);
    return catalog_chunk_delete(repair->tree->catalog, row->inode, row->index, repair->why);
}

static enum code look_at_chunk(struct repair *repair, const struct catalog_chunk *row, struct node *file, uint8_t *plain)
{
    uint64_t start = row->index * TREE_CHUNK_BYTES;
    uint32_t length = 0, stated = row->bytes - AEAD_OVERHEAD;
    if (file->row.inode != row->inode) {
        enum code code = repair_node_of(repair, row->inode, file);
        if (code != CODE_OK)
            return code;
    }
    if (file->row.links == 0)
        return CODE_OK;
    if (start >= file->row.size) {
        repair_find(repair, row->inode)->touched = true;
        return drop_chunk(repair, row);
    }
    enum code code = read_chunk(repair, file, row, plain, &length);
    bool beyond = start + stated > file->row.size;
    if (code != CODE_OK && code != CODE_CORRUPT && code != CODE_NOT_FOUND)
        return code == CODE_DENIED ? CODE_OK : code;
    if (beyond) {
        repair_find(repair, row->inode)->touched = true;
        return cut_chunk(repair, file, row, code == CODE_OK ? plain : NULL, (uint32_t)(file->row.size - start));
    }
    if (code != CODE_OK && !catalog_repair_is_lost(repair->tree->catalog, row->nonce))
        return note_lost(repair, row);
    return CODE_OK;
}

static enum code walk_chunks(struct repair *repair)
{
    SCOPE_FREE struct catalog_chunk *rows = calloc(REPAIR_ROWS_AT_ONCE, sizeof *rows);
    SCOPE_FREE uint8_t *plain = malloc(TREE_CHUNK_BYTES);
    struct node file = {.row.inode = 0};
    if (!rows || !plain)
        return failure_set(repair->why, CODE_NO_MEMORY, "repairing: no memory");
    size_t count;
    uint64_t inode = 0, done = 0;
    int64_t index = -1;
    do {
        enum code code =
            catalog_chunk_walk(repair->tree->catalog, inode, index, rows, REPAIR_ROWS_AT_ONCE, &count, repair->why);
        for (size_t i = 0; code == CODE_OK && i < count; i++) {
            code = look_at_chunk(repair, &rows[i], &file, plain);
            inode = rows[i].inode;
            index = (int64_t)rows[i].index;
            if (repair->options->progress && ++done % PROGRESS_EVERY == 0)
                repair->options->progress(repair->options->context, done);
        }
        if (code != CODE_OK)
            return code;
    } while (count == REPAIR_ROWS_AT_ONCE);
    return CODE_OK;
}

enum code repair_contents(struct repair *repair)
{
    enum code code = walk_links(repair);
    return code == CODE_OK ? walk_chunks(repair) : code;
}
