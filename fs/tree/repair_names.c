/* Repairing names.
 *
 *   1. Every name is looked at: one whose folder is none, which leads nowhere, which cannot be opened with the folder's
 * keys, or which is a folder's second, goes.
 *   2. What has no name left, and was not being removed, is put into lab/lost+found under its number; a dataset back into
 *      datasets/, and a dataset's .snap back into its dataset.
 *   3. Folders that reach the root no more, because they lie in each other in a circle, are cut loose at one of them, which
 * is put there too.
 *   4. Links are counted.
 *
 * A name that cannot be opened says nothing to anybody; whoever lay under it is kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog_space.h"
#include "repair_internal.h"
#include "timing.h"
#include "tree_frame.h"
#include "tree_seal.h"
#include "tree_space.h"

#define LOST_FOUND "lost+found"

enum { MARK_UNSEEN, MARK_ON_THE_WAY, MARK_REACHES };

/* Names ------------------------------------------------------------------------------------------------------------ */

struct name_row {
    uint64_t parent, inode;
    size_t count;
    uint8_t bytes[CATALOG_NAME_BYTES_MAX];
};

struct name_batch {
    struct name_row rows[REPAIR_ROWS_AT_ONCE];
    size_t count;
};

static bool collect(void *context, const struct catalog_name *name, uint64_t inode)
{
    struct name_batch *batch = context;
    if (name->count > CATALOG_NAME_BYTES_MAX || batch->count == REPAIR_ROWS_AT_ONCE)
        return false;
    struct name_row *row = &batch->rows[batch->count++];
    row->parent = name->parent;
    row->inode = inode;
    row->count = name->count;
    memcpy(row->bytes, name->bytes, row->count);
    return true;
}

static enum code remove_name(struct repair *repair, const struct name_row *row, const char *reason)
{
    struct repair_node *folder = repair_find(repair, row->parent);
    if (folder)
        folder->touched = true;
    repair->summary->names_removed++;
    repair_tell(repair, "removed a name in inode %llu, which %s", (unsigned long long)row->parent, reason);
    return catalog_name_delete(repair->tree->catalog, &(struct catalog_name){row->parent, row->bytes, row->count},
                               repair->why);
}

/* Whether the folder's keys open the name.  A folder whose origin was damaged opens its names by its own number. */
static enum code opens(struct repair *repair, const struct name_row *row, bool *out)
{
    char name[TREE_NAME_MAX + 1];
    struct node folder;
    enum code code = repair_node_of(repair, row->parent, &folder);
    if (code != CODE_OK)
        return code;
    code = seal_open_name(repair->tree, &folder, row->bytes, row->count, name, NULL);
    if (code == CODE_CORRUPT && folder.row.origin != folder.row.inode) {
        folder.row.origin = folder.row.inode;
        code = seal_open_name(repair->tree, &folder, row->bytes, row->count, name, NULL);
        if (code == CODE_OK)
            code = repair_put(repair, &folder.row);
    }
    *out = code != CODE_CORRUPT; /* without the key nobody can say: it stays */
    return code == CODE_NO_MEMORY || code == CODE_IO ? code : CODE_OK;
}

static enum code look_at_name(struct repair *repair, const struct name_row *row)
{
    const struct repair_node *folder = repair_find(repair, row->parent);
    struct repair_node *child = repair_find(repair, row->inode);
    bool readable;
    if (!folder || folder->kind != CATALOG_INODE_FOLDER)
        return remove_name(repair, row, "is no folder");
    if (!child)
        return remove_name(repair, row, "led nowhere");
    if (child->kind == CATALOG_INODE_FOLDER && (child->counted || child->inode == INODE_ROOT))
        return remove_name(repair, row, "was a second one of a folder");
    enum code code = opens(repair, row, &readable);
    if (code == CODE_OK && !readable)
        return remove_name(repair, row, "could not be read");
    child->counted++;
    child->parent = row->parent;
    return code;
}

static enum code walk_names(struct repair *repair)
{
    SCOPE_FREE struct name_batch *batch = malloc(sizeof *batch);
    if (!batch)
        return failure_set(repair->why, CODE_NO_MEMORY, "repairing: no memory");
    struct name_row last = {0};
    do {
        batch->count = 0;
        const struct catalog_name after = {last.parent, last.bytes, last.count};
        enum code code = catalog_name_walk(repair->tree->catalog, &after, REPAIR_ROWS_AT_ONCE, collect, batch, repair->why);
        for (size_t i = 0; code == CODE_OK && i < batch->count; i++)
            code = look_at_name(repair, &batch->rows[i]);
        if (code != CODE_OK)
            return code;
        if (batch->count)
            last = batch->rows[batch->count - 1];
    } while (batch->count == REPAIR_ROWS_AT_ONCE);
    return CODE_OK;
}

/* Attaching -------------------------------------------------------------------------------------------------------- */

/* Names a node; its links are counted later. */
static enum code name_node(struct repair *repair, uint64_t parent, const char *name, uint64_t inode)
{
    struct node folder;
    uint8_t sealed[SEAL_NAME_BYTES_MAX];
    struct catalog_name row = {.parent = parent, .bytes = sealed};
    enum code code = repair_node_of(repair, parent, &folder);
    if (code == CODE_OK)
        code = seal_name(repair->tree, &folder, SEAL_NEWEST, name, sealed, &row.count, repair->why);
    if (code == CODE_OK)
        code = catalog_name_insert(repair->tree->catalog, &row, inode, repair->why);
    if (code != CODE_OK)
        return code;
    struct repair_node *node = repair_find(repair, inode);
    node->parent = parent;
    node->counted++;
    repair_find(repair, parent)->touched = true;
    return CODE_OK;
}

static enum code find_by_name(struct repair *repair, uint64_t parent, const char *name, uint64_t *inode)
{
    struct node folder;
    struct seal_generations range = {0};
    uint8_t sealed[SEAL_NAME_BYTES_MAX];
    struct catalog_name row = {.parent = parent, .bytes = sealed};
    enum code code = repair_node_of(repair, parent, &folder);
    if (code == CODE_OK)
        code = seal_generations(repair->tree, &folder, &range, repair->why);
    if (code != CODE_OK)
        return code;
    code = CODE_NOT_FOUND;
    for (uint32_t generation = range.newest; code == CODE_NOT_FOUND && generation && generation >= range.oldest;
         generation--) {
        code = seal_name(repair->tree, &folder, generation, name, sealed, &row.count, repair->why);
        if (code == CODE_OK)
            code = catalog_name_find(repair->tree->catalog, &row, inode, repair->why);
    }
    return code;
}

static enum code make_folder(struct repair *repair, uint64_t parent, const char *name, uint64_t *inode)
{
    struct catalog_inode above;
    enum code code = catalog_inode_get(repair->tree->catalog, parent, &above, repair->why);
    if (code != CODE_OK)
        return code;
    int64_t now_ns = timing_wall_ns();
    *inode = repair->tree->next_inode++;
    struct space *space;
    code = space_find(repair->tree, above.space, &space, repair->why);
    if (code != CODE_OK)
        return code;
    const struct catalog_inode row = {.inode = *inode,
                                      .kind = CATALOG_INODE_FOLDER,
                                      .space = above.space,
                                      .mode = 0755,
                                      .links = 1,
                                      .access_ns = now_ns,
                                      .modify_ns = now_ns,
                                      .change_ns = now_ns,
                                      .origin = *inode,
                                      .stamp = above.stamp,
                                      .stamp_ns = now_ns,
                                      .uid = -1,
                                      .gid = -1,
                                      .generation = space->generation};
    code = repair_put(repair, &row);
    return code == CODE_OK ? name_node(repair, parent, name, *inode) : code;
}

static enum code find_lost_found(struct repair *repair)
{
    if (repair->lost_found)
        return CODE_OK;
    enum code code = find_by_name(repair, INODE_LAB, LOST_FOUND, &repair->lost_found);
    const struct repair_node *found = code == CODE_OK ? repair_find(repair, repair->lost_found) : NULL;
    if (code == CODE_OK && found && found->kind == CATALOG_INODE_FOLDER)
        return CODE_OK;
    repair->lost_found = 0;
    if (code == CODE_OK)
        return failure_set(repair->why, CODE_NOT_DIRECTORY, "lab/" LOST_FOUND " is no folder: rename it");
    return code == CODE_NOT_FOUND ? make_folder(repair, INODE_LAB, LOST_FOUND, &repair->lost_found) : code;
}

/* The dataset that lost its .snap: the topmost folder of the same space; 0: it has one, or there is none. */
static uint64_t dataset_of(struct repair *repair, uint64_t space)
{
    for (size_t i = 0; i < repair->count; i++) {
        const struct repair_node *node = &repair->nodes[i];
        struct catalog_inode row;
        uint64_t taken;
        if (!(node->flags & CATALOG_INODE_SPACE_ROOT) || node->flags & CATALOG_INODE_FROZEN ||
            catalog_inode_get(repair->tree->catalog, node->inode, &row, NULL) != CODE_OK || row.space != space)
            continue;
        return find_by_name(repair, node->inode, TREE_SNAPSHOT_FOLDER, &taken) == CODE_NOT_FOUND ? node->inode : 0;
    }
    return 0;
}

/* Where what has no name is put, and under which. */
static enum code choose_place(struct repair *repair, const struct catalog_inode *row, uint64_t *folder, char name[64])
{
    const char *fixed;
    snprintf(name, 64, "%llu", (unsigned long long)row->inode);
    if (frame_place(row->inode, folder, &fixed)) {
        snprintf(name, 64, "%s", fixed);
        return CODE_OK;
    }
    if (row->flags & CATALOG_INODE_SNAPSHOTS && (*folder = dataset_of(repair, row->space))) {
        snprintf(name, 64, TREE_SNAPSHOT_FOLDER);
        return CODE_OK;
    }
    if (row->flags & CATALOG_INODE_SPACE_ROOT && !(row->flags & CATALOG_INODE_FROZEN)) {
        snprintf(name, 64, "lost-%llu", (unsigned long long)row->inode);
        *folder = INODE_DATASETS;
        return CODE_OK;
    }
    enum code code = find_lost_found(repair);
    *folder = repair->lost_found;
    return code;
}

static enum code attach(struct repair *repair, uint64_t inode)
{
    struct catalog_inode row;
    uint64_t folder;
    char name[64];
    enum code code = catalog_inode_get(repair->tree->catalog, inode, &row, repair->why);
    if (code == CODE_OK)
        code = choose_place(repair, &row, &folder, name);
    if (code == CODE_OK)
        code = name_node(repair, folder, name, inode);
    if (code != CODE_OK)
        return code;
    repair->summary->attached++;
    repair_tell(repair, "inode %llu had no name any more: it is %s/%s now", (unsigned long long)inode,
                folder == INODE_DATASETS       ? "datasets"
                : folder == repair->lost_found ? "lab/" LOST_FOUND
                                               : "in its old folder",
                name);
    if (folder != repair->lost_found || !(row.flags & (CATALOG_INODE_SNAPSHOTS | CATALOG_INODE_FIXED)))
        return CODE_OK;
    row.flags &= ~(unsigned)(CATALOG_INODE_SNAPSHOTS | CATALOG_INODE_FIXED); /* an ordinary folder there */
    return repair_put(repair, &row);
}

static enum code attach_nameless(struct repair *repair)
{
    size_t count = repair->count; /* lost+found comes behind */
    for (size_t i = 0; i < count; i++) {
        const struct repair_node *node = &repair->nodes[i];
        if (node->inode == INODE_ROOT || node->counted || node->links == 0)
            continue;
        enum code code = attach(repair, node->inode);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

/* Circles ---------------------------------------------------------------------------------------------------------- */

static bool keep_name(void *context, const struct catalog_name *name, uint64_t inode)
{
    struct name_batch *batch = context;
    return batch->count ? false : collect(batch, name, inode);
}

/* Takes the one name of a folder in a circle away, and puts the folder into lost+found. */
static enum code cut_loose(struct repair *repair, struct repair_node *node)
{
    uint64_t inode = node->inode;
    SCOPE_FREE struct name_batch *batch = malloc(sizeof *batch);
    if (!batch)
        return failure_set(repair->why, CODE_NO_MEMORY, "repairing: no memory");
    batch->count = 0;
    enum code code = catalog_name_of_inode(repair->tree->catalog, inode, keep_name, batch, repair->why);
    if (code == CODE_OK && batch->count)
        code = remove_name(repair, &batch->rows[0], "lay in itself");
    node->counted = 0;
    return code == CODE_OK ? attach(repair, inode) : code;
}

/* Follows the folders upwards; each is looked at once in all. */
static enum code follow(struct repair *repair, struct repair_node *from)
{
    struct repair_node *node = from;
    while (node && node->mark == MARK_UNSEEN && node->inode != INODE_ROOT) {
        node->mark = MARK_ON_THE_WAY;
        node = repair_find(repair, node->parent);
    }
    uint64_t begun = from->inode;
    if (node && node->mark == MARK_ON_THE_WAY) {
        enum code code = cut_loose(repair, node);
        if (code != CODE_OK)
            return code;
    }
    for (node = repair_find(repair, begun); node && node->mark == MARK_ON_THE_WAY; node = repair_find(repair, node->parent))
        node->mark = MARK_REACHES;
    return CODE_OK;
}

static enum code break_circles(struct repair *repair)
{
    size_t count = repair->count;
    for (size_t i = 0; i < count; i++) {
        struct repair_node *node = &repair->nodes[i];
        if (node->kind != CATALOG_INODE_FOLDER || node->links == 0 || node->mark != MARK_UNSEEN)
            continue;
        enum code code = follow(repair, node);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

/* Links ------------------------------------------------------------------------------------------------------------ */

static enum code count_links(struct repair *repair)
{
    for (size_t i = 0; i < repair->count; i++) {
        struct repair_node *node = &repair->nodes[i];
        struct catalog_inode row;
        uint32_t wanted = node->inode == INODE_ROOT ? 1 : node->counted;
        if (node->links == wanted)
            continue;
        enum code code = catalog_inode_get(repair->tree->catalog, node->inode, &row, repair->why);
        if (code != CODE_OK)
            return code;
        repair_tell(repair, "inode %llu has %u names, and %u were counted", (unsigned long long)node->inode, wanted,
                    row.links);
        repair->summary->links_counted++;
        row.links = wanted;
        code = repair_put(repair, &row);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

/* The frame -------------------------------------------------------------------------------------------------------- */

/* The folders that everything else stands on. */
static enum code find_frame(struct repair *repair)
{
    static const struct {
        uint64_t inode;
        const char *name;
    } frame[] = {{INODE_ROOT, "the root folder"}, {INODE_DATASETS, "datasets"}, {INODE_LAB, "lab"}};
    for (size_t i = 0; i < sizeof frame / sizeof *frame; i++) {
        const struct repair_node *node = repair_find(repair, frame[i].inode);
        if (!node || node->kind != CATALOG_INODE_FOLDER)
            return failure_set(repair->why, CODE_CORRUPT, "%s is lost: put the store back from a backup (cytofs restore)",
                               frame[i].name);
    }
    return CODE_OK;
}

enum code repair_names(struct repair *repair)
{
    enum code code = find_frame(repair);
    if (code == CODE_OK)
        code = walk_names(repair);
    if (code == CODE_OK)
        code = attach_nameless(repair);
    if (code == CODE_OK)
        code = break_circles(repair);
    return code == CODE_OK ? count_links(repair) : code;
}
