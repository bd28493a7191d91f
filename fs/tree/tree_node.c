/* The node table.
 *
 * A node is in one of these states; node_settle moves it when a user leaves.
 *
 *     used    handles, pieces in memory, or lookups of a file that has no name any more
 *     dirty   its row differs from the catalog's (and maybe used as well)
 *     idle    neither (its lookups are noted in tree->remembered when it is freed); kept in the idle list, least recently
 * used first, up to TREE_IDLE_NODES_MAX; folders in a list of their own, up to TREE_IDLE_FOLDERS_MAX (freed)
 *
 * Stamps: tree->last_stamp numbers every change in the tree.  A node carries the number of the last change at or below
 * it, so comparing two stamps of a folder tells whether anything below has changed.
 */
#include "tree_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "catalog_name.h"
#include "timing.h"
#include "tree_authentic.h"
#include "tree_commit.h"
#include "tree_recent.h"
#include "tree_seal.h"
#include "tree_space.h"
#include "tree_tell.h"
#include "tree_usage.h"

static size_t bucket_of(const struct tree *tree, uint64_t inode)
{
    return (size_t)(inode * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (tree->node_bucket_count - 1);
}

static void grow_table(struct tree *tree)
{
    size_t count = tree->node_bucket_count ? tree->node_bucket_count * 2 : 1024;
    struct node **old = tree->node_buckets, **buckets = calloc(count, sizeof *buckets);
    size_t old_count = tree->node_bucket_count;
    if (!buckets)
        return; /* longer chains are slower, not wrong */
    tree->node_buckets = buckets;
    tree->node_bucket_count = count;
    for (size_t i = 0; i < old_count; i++)
        for (struct node *node = old[i], *next; node; node = next) {
            next = node->hash_next;
            size_t bucket = bucket_of(tree, node->row.inode);
            node->hash_next = buckets[bucket];
            buckets[bucket] = node;
        }
    free(old);
}

static struct node *insert(struct tree *tree, const struct catalog_inode *row)
{
    if (tree->node_count >= tree->node_bucket_count)
        grow_table(tree);
    struct node *node = tree->node_buckets ? calloc(1, sizeof *node) : NULL;
    if (!node)
        return NULL;
    node->row = *row;
    usage_note_counted(node);
    node->lookups = remembered_take(&tree->remembered, row->inode);
    size_t bucket = bucket_of(tree, row->inode);
    node->hash_next = tree->node_buckets[bucket];
    tree->node_buckets[bucket] = node;
    tree->node_count++;
    return node;
}

static void destroy(struct tree *tree, struct node *node)
{
    struct node **link = &tree->node_buckets[bucket_of(tree, node->row.inode)];
    while (*link != node)
        link = &(*link)->hash_next;
    *link = node->hash_next;
    tree->node_count--;
    recent_forget(tree, node);
    free(node->path);
    free(node);
}

/* Folders are kept longer: one that is looked at again has all its names held against their proof again. */
static struct idle_list *list_of(struct tree *tree, const struct node *node)
{
    return node->row.kind == CATALOG_INODE_FOLDER ? &tree->idle_folders : &tree->idle_files;
}

static void leave_idle(struct tree *tree, struct node *node)
{
    if (!node->idle)
        return;
    struct idle_list *list = list_of(tree, node);
    *(node->idle_previous ? &node->idle_previous->idle_next : &list->first) = node->idle_next;
    *(node->idle_next ? &node->idle_next->idle_previous : &list->last) = node->idle_previous;
    node->idle_previous = node->idle_next = NULL;
    node->idle = false;
    list->count--;
}

static void enter_idle(struct tree *tree, struct node *node)
{
    struct idle_list *list = list_of(tree, node);
    node->idle_previous = list->last;
    *(list->last ? &list->last->idle_next : &list->first) = node;
    list->last = node;
    node->idle = true;
    list->count++;
}

static bool is_used(const struct node *node)
{
    return node->handles || node->pieces || node->dirty || (node->lookups && (node->row.links == 0 || node->gone));
}

void node_settle(struct tree *tree, struct node *node)
{
    leave_idle(tree, node);
    if (is_used(node))
        return;
    /* An operation may still be undone, and its nodes be at hand: nothing is freed before it ends. */
    if (node->gone && !tree->undo.active)
        destroy(tree, node);
    else
        enter_idle(tree, node);
}

void node_hold(struct tree *tree, struct node *node)
{
    node->handles++;
    if (node->row.links == 0)
        usage_settle(tree, node);
    node_settle(tree, node);
}

void node_let_go(struct tree *tree, struct node *node)
{
    node->handles--;
    if (node->row.links == 0)
        usage_settle(tree, node);
    node_settle(tree, node);
}

/* Idle nodes are freed before a new one is loaded, so that pointers at hand stay valid for the caller's operation: an
 * operation uses far fewer nodes than the list keeps. */
static void trim(struct tree *tree, struct idle_list *list, size_t max)
{
    while (list->count > max) {
        struct node *node = list->first;
        if (node->lookups && !remembered_put(&tree->remembered, node->row.inode, node->lookups))
            return; /* it stays in memory, then */
        leave_idle(tree, node);
        destroy(tree, node);
    }
}

void node_trim(struct tree *tree)
{
    trim(tree, &tree->idle_files, TREE_IDLE_NODES_MAX);
    trim(tree, &tree->idle_folders, TREE_IDLE_FOLDERS_MAX);
}

struct node *node_peek(struct tree *tree, uint64_t inode)
{
    if (!tree->node_bucket_count)
        return NULL;
    struct node *node = tree->node_buckets[bucket_of(tree, inode)];
    while (node && node->row.inode != inode)
        node = node->hash_next;
    return node;
}

enum code node_get(struct tree *tree, uint64_t inode, struct node **out, struct failure *why)
{
    struct node *node = node_peek(tree, inode);
    if (node && node->gone)
        return failure_set(why, CODE_NOT_FOUND, "there is no such file any more");
    if (!node) {
        struct catalog_inode row;
        enum code code = catalog_inode_get(tree->catalog, inode, &row, why);
        if (code == CODE_OK)
            code = authentic_check_row(tree, &row, why);
        if (code != CODE_OK)
            return code;
        if (!tree->undo.active)
            node_trim(tree);
        node = insert(tree, &row);
        if (!node)
            return failure_set(why, CODE_NO_MEMORY, "looking up a file: no memory");
        memcpy(node->kept_proof, row.proof, CATALOG_PROOF_BYTES);
    } else {
        leave_idle(tree, node);
    }
    if (!node->idle && !is_used(node))
        enter_idle(tree, node);
    *out = node;
    return CODE_OK;
}

enum code node_make(struct tree *tree, const struct catalog_inode *row, struct node **out, struct failure *why)
{
    struct catalog_inode fresh = *row;
    struct space *space;
    enum code code = space_find(tree, row->space, &space, why);
    if (code != CODE_OK)
        return code;
    bool numbered = fresh.inode != 0;
    if (!numbered)
        fresh.inode = tree->next_inode;
    fresh.origin = fresh.inode;
    fresh.generation = space->generation;
    fresh.access_ns = fresh.modify_ns = fresh.change_ns = fresh.stamp_ns = timing_wall_ns();
    fresh.stamp = tree->last_stamp; /* node_stamp gives it a new one, and to the folders above */
    struct node *node = insert(tree, &fresh);
    if (!node)
        return failure_set(why, CODE_NO_MEMORY, "making a file: no memory");
    tree->next_inode += !numbered;
    node->checked = true; /* nothing hangs on it yet */
    node_change(tree, node);
    /* If the operation fails the node never was. */
    tree->undo.gone[tree->undo.count - 1] = true;
    *out = node;
    return CODE_OK;
}

void node_mark_dirty(struct tree *tree, struct node *node)
{
    if (node->dirty)
        return;
    leave_idle(tree, node);
    node->dirty = true;
    node->dirty_previous = NULL;
    node->dirty_next = tree->dirty_nodes;
    if (tree->dirty_nodes)
        tree->dirty_nodes->dirty_previous = node;
    tree->dirty_nodes = node;
    tree->dirty_node_count++;
}

void node_mark_clean(struct tree *tree, struct node *node)
{
    if (!node->dirty)
        return;
    *(node->dirty_previous ? &node->dirty_previous->dirty_next : &tree->dirty_nodes) = node->dirty_next;
    if (node->dirty_next)
        node->dirty_next->dirty_previous = node->dirty_previous;
    node->dirty_previous = node->dirty_next = NULL;
    node->dirty = false;
    tree->dirty_node_count--;
    if (node->recent)
        node->changed_in = commit_round_of_changes(tree);
    recent_forget(tree, node);
}

void node_change(struct tree *tree, struct node *node)
{
    if (tree->undo.active) {
        size_t i = 0;
        while (i < tree->undo.count && tree->undo.nodes[i] != node)
            i++;
        if (i == tree->undo.count) {
            if (i == sizeof tree->undo.nodes / sizeof *tree->undo.nodes)
                abort(); /* a bug: no operation changes that many nodes */
            tree->undo.nodes[i] = node;
            tree->undo.rows[i] = node->row;
            tree->undo.parents[i] = node->parent;
            tree->undo.gone[i] = node->gone;
            tree->undo.count++;
        }
    }
    node->changed_in = commit_round_of_changes(tree);
    node_mark_dirty(tree, node);
}

static bool take_parent(void *context, const struct catalog_name *name, uint64_t inode)
{
    (void)inode;
    *(uint64_t *)context = name->parent;
    return false;
}

enum code node_parent(struct tree *tree, struct node *node, uint64_t *parent, struct failure *why)
{
    if (!node->parent) {
        enum code code = catalog_name_of_inode(tree->catalog, node->row.inode, take_parent, &node->parent, why);
        if (code != CODE_OK)
            return code;
        if (!node->parent)
            return failure_set(why, CODE_NOT_FOUND, "the file has no name any more");
    }
    *parent = node->parent;
    return CODE_OK;
}

struct parent_list {
    uint64_t parents[16]; /* of a file with more names, the stamps of some folders lag: harmless and rare */
    size_t count;
};

static bool collect_parent(void *context, const struct catalog_name *name, uint64_t inode)
{
    (void)inode;
    struct parent_list *list = context;
    list->parents[list->count++] = name->parent;
    return list->count < sizeof list->parents / sizeof *list->parents;
}

static void stamp_one(struct tree *tree, struct node *node, int64_t now_ns)
{
    node->row.stamp = tree->last_stamp;
    node->row.stamp_ns = now_ns;
    node_mark_dirty(tree, node);
}

static void stamp_upwards(struct tree *tree, uint64_t inode, int64_t now_ns)
{
    for (int depth = 0; inode && depth < TREE_FOLDERS_DEEP_MAX; depth++) {
        struct node *folder = NULL;
        if (node_get(tree, inode, &folder, NULL) != CODE_OK || folder->row.stamp == tree->last_stamp)
            return;
        /* A dataset's snapshots are beside it, not in it. */
        if (folder->row.flags & CATALOG_INODE_SNAPSHOTS) {
            stamp_one(tree, folder, now_ns);
            return;
        }
        stamp_one(tree, folder, now_ns);
        if (inode == INODE_ROOT || node_parent(tree, folder, &inode, NULL) != CODE_OK)
            return;
    }
}

void node_stamp(struct tree *tree, struct node *node, int64_t now_ns)
{
    node_stamp_untold(tree, node, now_ns);
    tell_attributes(tree, node);
}

void node_stamp_untold(struct tree *tree, struct node *node, int64_t now_ns)
{
    tree->last_stamp++;
    stamp_one(tree, node, now_ns);
    if (node->row.inode == INODE_ROOT || node->row.flags & CATALOG_INODE_SNAPSHOTS)
        return;
    if (node->row.links > 1) {
        struct parent_list list = {.count = 0};
        (void)!catalog_name_of_inode(tree->catalog, node->row.inode, collect_parent, &list, NULL);
        for (size_t i = 0; i < list.count; i++)
            stamp_upwards(tree, list.parents[i], now_ns);
        return;
    }
    uint64_t parent = 0;
    if (node_parent(tree, node, &parent, NULL) == CODE_OK)
        stamp_upwards(tree, parent, now_ns);
}

struct name_request {
    struct tree *tree;
    struct buffer sealed; /* one name of the inode */
    uint64_t parent;
};

static bool take_name(void *context, const struct catalog_name *name, uint64_t inode)
{
    (void)inode;
    struct name_request *request = context;
    request->parent = name->parent;
    buffer_append(&request->sealed, name->bytes, name->count);
    return false;
}

/* One name of the node, in clear, and the folder that it is in. */
static enum code name_of(struct tree *tree, struct node *node, char name[TREE_NAME_MAX + 1], struct node **folder,
                         struct failure *why)
{
    SCOPE_BUFFER sealed = {.max = CATALOG_NAME_BYTES_MAX};
    struct name_request request = {.tree = tree, .sealed = sealed};
    enum code code = catalog_name_of_inode(tree->catalog, node->row.inode, take_name, &request, why);
    sealed = request.sealed;
    if (code != CODE_OK)
        return code;
    if (!request.parent)
        return failure_set(why, CODE_NOT_FOUND, "the file has no name any more");
    code = node_get(tree, request.parent, folder, why);
    if (code == CODE_OK)
        code = authentic_check(tree, *folder, why);
    if (code != CODE_OK)
        return code;
    return seal_open_name(tree, *folder, sealed.data, sealed.length, name, why);
}

/* The path of a folder that lies `depth` folders above the one asked for. */
static enum code path_above(struct tree *tree, struct node *node, int depth, const char **path, struct failure *why)
{
    if (depth > TREE_PATH_MAX / 2)
        return failure_set(why, CODE_NAME_TOO_LONG, "folders lie deeper in each other than a path can say");
    if (node->row.inode == INODE_ROOT) {
        *path = "";
        return CODE_OK;
    }
    if (node->path && node->path_epoch == tree->name_epoch) {
        *path = node->path;
        return CODE_OK;
    }
    char name[TREE_NAME_MAX + 1];
    struct node *folder;
    const char *above;
    enum code code = name_of(tree, node, name, &folder, why);
    if (code == CODE_OK)
        code = path_above(tree, folder, depth + 1, &above, why);
    if (code != CODE_OK)
        return code;
    if (strlen(above) + 1 + strlen(name) > TREE_PATH_MAX)
        return failure_set(why, CODE_NAME_TOO_LONG, "the path has more than %d bytes", TREE_PATH_MAX);
    char *joined;
    if (asprintf(&joined, "%s%s%s", above, *above ? "/" : "", name) < 0)
        return failure_set(why, CODE_NO_MEMORY, "naming a file: no memory");
    free(node->path);
    node->path = joined;
    node->path_epoch = tree->name_epoch;
    *path = joined;
    return CODE_OK;
}

enum code node_folder_path(struct tree *tree, struct node *node, const char **path, struct failure *why)
{
    return path_above(tree, node, 0, path, why);
}

enum code node_path(struct tree *tree, struct node *node, struct buffer *out, struct failure *why)
{
    const char *above;
    enum code code;
    if (node->row.kind == CATALOG_INODE_FOLDER) {
        code = node_folder_path(tree, node, &above, why);
        if (code != CODE_OK)
            return code;
        buffer_append_text(out, above);
        return buffer_check(out, "a path", why);
    }
    if (node->path && node->path_epoch == tree->name_epoch) {
        buffer_append_text(out, node->path);
        return buffer_check(out, "a path", why);
    }
    char name[TREE_NAME_MAX + 1];
    struct node *folder;
    code = name_of(tree, node, name, &folder, why);
    if (code == CODE_OK)
        code = node_folder_path(tree, folder, &above, why);
    if (code != CODE_OK)
        return code;
    size_t before = out->length;
    buffer_printf(out, "%s%s%s", above, *above ? "/" : "", name);
    code = buffer_check(out, "a path", why);
    if (code != CODE_OK)
        return code;
    free(node->path);
    node->path = strndup(out->data + before, out->length - before); /* without memory it is made anew the next time */
    node->path_epoch = tree->name_epoch;
    return CODE_OK;
}

void node_forget_path(struct node *node)
{
    if (node->row.kind == CATALOG_INODE_FOLDER)
        return;
    free(node->path);
    node->path = NULL;
}

void node_drop_set_id(struct node *node)
{
    if (node->row.kind == CATALOG_INODE_FOLDER)
        return;
    node->row.mode &= ~(uint32_t)S_ISUID;
    if (node->row.mode & S_IXGRP)
        node->row.mode &= ~(uint32_t)S_ISGID;
}

static enum node_kind kind_of(const struct catalog_inode *row)
{
    static const enum node_kind kinds[] = {
        [CATALOG_INODE_FILE] = NODE_FILE,   [CATALOG_INODE_FOLDER] = NODE_FOLDER, [CATALOG_INODE_LINK] = NODE_LINK,
        [CATALOG_INODE_FIFO] = NODE_FIFO,   [CATALOG_INODE_SOCKET] = NODE_SOCKET, [CATALOG_INODE_CHARACTER] = NODE_CHARACTER,
        [CATALOG_INODE_BLOCK] = NODE_BLOCK,
    };
    return kinds[row->kind];
}

struct node_attributes node_describe(const struct node *node)
{
    const struct catalog_inode *row = &node->row;
    return (struct node_attributes){
        .id = {row->inode},
        .kind = kind_of(row),
        .mode = row->mode,
        .owner = row->uid,
        .group = row->gid,
        .device = row->rdev,
        .size = row->size,
        .blocks = row->kind == CATALOG_INODE_FILE ? (row->size + 511) / 512 : 0,
        .links = row->links,
        .access_ns = row->access_ns,
        .modify_ns = row->modify_ns,
        .change_ns = row->change_ns,
    };
}

void node_free_all(struct tree *tree)
{
    for (size_t i = 0; i < tree->node_bucket_count; i++)
        for (struct node *node = tree->node_buckets[i], *next; node; node = next) {
            next = node->hash_next;
            recent_forget(tree, node);
            free(node->path);
            free(node);
        }
    free(tree->node_buckets);
    tree->node_buckets = NULL;
    tree->node_bucket_count = 0;
    remembered_free(&tree->remembered);
}

void node_forget_all(struct tree *tree)
{
    node_free_all(tree);
    tree->node_count = tree->dirty_node_count = 0;
    tree->dirty_nodes = NULL;
    memset(&tree->idle_files, 0, sizeof tree->idle_files);
    memset(&tree->idle_folders, 0, sizeof tree->idle_folders);
}
