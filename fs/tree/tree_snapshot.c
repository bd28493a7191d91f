/* Snapshots: copies of a dataset's rows that share its chunks.
 *
 * A dataset (a folder made directly in datasets/) has a folder .snap, which is not listed.  Its children are frozen
 * copies of the dataset without .snap.  Chunks, names and attributes are bound to a file's origin, so the copy's rows
 * hold the same sealed bytes; a pack lives as long as a row of either points into it.
 *
 * Everything is put into the catalog's transaction first (contents as well), so the copy is of the present state, and
 * becomes durable together with all that led to it.
 */
#include "tree_snapshot.h"

#include <stdio.h>
#include <string.h>

#include "catalog_name.h"
#include "catalog_snapshot.h"
#include "timing.h"
#include "tree_alias.h"
#include "tree_authentic.h"
#include "tree_commit.h"
#include "tree_entry.h"
#include "tree_operation.h"
#include "tree_piece.h"
#include "tree_seal.h"
#include "tree_tell.h"

enum code snapshot_prepare(struct tree *tree, struct node *dataset, struct failure *why)
{
    struct catalog_inode row = {.kind = CATALOG_INODE_FOLDER,
                                .flags = CATALOG_INODE_SNAPSHOTS,
                                .space = dataset->row.space,
                                .mode = 0755,
                                .uid = TREE_MOUNTER,
                                .gid = TREE_MOUNTER};
    struct node *snapshots;
    enum code code = node_make(tree, &row, &snapshots, why);
    return code == CODE_OK ? entry_insert(tree, dataset, TREE_SNAPSHOT_FOLDER, snapshots, why) : code;
}

bool snapshot_is_folder(struct tree *tree, struct node_id id)
{
    if (tree_is_derived(id))
        return false;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *node;
    return node_get(tree, id.value, &node, NULL) == CODE_OK && node->row.flags & CATALOG_INODE_SNAPSHOTS;
}

/* Copies the dataset and names the copy; inside an operation. */
static enum code copy_dataset(struct tree *tree, struct node *dataset, struct node *snapshots, const char *label,
                              struct node **out, struct failure *why)
{
    struct catalog_copy copy = {.folder = dataset->row.inode,
                                .except = snapshots->row.inode,
                                .first_inode = tree->next_inode,
                                .flags = CATALOG_INODE_FROZEN};
    uint64_t count;
    struct node *image;
    enum code code = entry_find(tree, snapshots, label, &image, why);
    if (code == CODE_OK)
        return failure_set(why, CODE_EXISTS, "there is a snapshot \"%s\" already", label);
    if (code == CODE_NOT_FOUND)
        code = catalog_snapshot_copy(tree->catalog, &copy, &count, why);
    if (code != CODE_OK)
        return code;
    node_change(tree, snapshots);
    snapshots->row.rdev++;     /* the number given out last */
    tree->next_inode += count; /* used up even if the operation fails */
    code = authentic_copy_rows(tree, copy.flags, why);
    if (code != CODE_OK)
        return code;
    code = node_get(tree, copy.first_inode, &image, why);
    if (code != CODE_OK)
        return code;
    node_change(tree, image);
    tree->undo.gone[tree->undo.count - 1] = true; /* if the operation fails it never was */
    image->row.links = 0;
    image->row.rdev = snapshots->row.rdev;
    *out = image;
    return entry_insert(tree, snapshots, label, image, why);
}

/* With the lock. */
static enum code make(struct tree *tree, struct node *dataset, struct node *snapshots, const char *label, struct node **out,
                      struct failure *why)
{
    if (strncmp(label, TREE_STAGING_PREFIX, sizeof TREE_STAGING_PREFIX - 1) == 0)
        return failure_set(why, CODE_INVALID, "names that begin with %s are reserved", TREE_STAGING_PREFIX);
    if (alias_is_reserved(label))
        return failure_set(why, CODE_INVALID,
                           "\"%s\" is a number or a moment, by which snapshots are found anyway: choose another label",
                           label);
    enum code code = commit_bring_up_to_date(tree, why);
    if (code == CODE_OK)
        code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = operation_end(tree, copy_dataset(tree, dataset, snapshots, label, out, why), why);
    if (code == CODE_OK)
        node_stamp(tree, snapshots, timing_wall_ns());
    return code;
}

static enum code parent_of(struct tree *tree, struct node *node, struct node **out, struct failure *why)
{
    uint64_t parent;
    enum code code = node_parent(tree, node, &parent, why);
    return code == CODE_OK ? node_get(tree, parent, out, why) : code;
}

enum code snapshot_make(struct tree *tree, struct node_id id, const char *label, struct node_attributes *out,
                        struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *snapshots, *dataset, *image;
    enum code code = node_get(tree, id.value, &snapshots, why);
    if (code == CODE_OK)
        code = parent_of(tree, snapshots, &dataset, why);
    if (code != CODE_OK)
        return code;
    /* They must outlive a wait at the gate. */
    node_hold(tree, snapshots);
    node_hold(tree, dataset);
    code = make(tree, dataset, snapshots, label, &image, why);
    node_let_go(tree, snapshots);
    node_let_go(tree, dataset);
    if (code == CODE_OK)
        *out = node_describe(image);
    return code;
}

struct candidate {
    uint64_t inode;
    size_t count;
    uint8_t sealed[SEAL_NAME_BYTES_MAX];
};

static bool collect(void *context, const struct catalog_name *name, uint64_t inode)
{
    struct buffer *candidates = context;
    struct candidate candidate = {.inode = inode, .count = name->count};
    if (name->count <= sizeof candidate.sealed) {
        memcpy(candidate.sealed, name->bytes, name->count);
        buffer_append(candidates, &candidate, sizeof candidate);
    }
    return !candidates->failed;
}

/* The label of a snapshot that equals the dataset as it is now; CODE_NOT_FOUND where there is none. */
static enum code find_equal(struct tree *tree, const struct node *dataset, struct node *snapshots,
                            char label[TREE_NAME_MAX + 1], struct failure *why)
{
    SCOPE_BUFFER candidates = {0};
    enum code code = authentic_check(tree, snapshots, why);
    if (code == CODE_OK)
        code = catalog_name_list(tree->catalog, snapshots->row.inode, collect, &candidates, why);
    for (size_t at = 0; code == CODE_OK && at < candidates.length; at += sizeof(struct candidate)) {
        struct candidate candidate;
        memcpy(&candidate, candidates.data + at, sizeof candidate);
        struct node *image;
        code = node_get(tree, candidate.inode, &image, why);
        if (code == CODE_OK && image->row.stamp == dataset->row.stamp)
            return seal_open_name(tree, snapshots, candidate.sealed, candidate.count, label, why);
    }
    return code == CODE_OK ? CODE_NOT_FOUND : code;
}

static enum code choose_label(struct tree *tree, struct node *snapshots, char label[TREE_NAME_MAX + 1], struct failure *why)
{
    for (unsigned number = 1;; number++) {
        struct node *taken;
        snprintf(label, TREE_NAME_MAX + 1, "auto-%u", number);
        enum code code = entry_find(tree, snapshots, label, &taken, why);
        if (code != CODE_OK)
            return code == CODE_NOT_FOUND ? CODE_OK : code;
    }
}

/* With the lock and both folders held. */
static enum code take(struct tree *tree, struct node *dataset, struct node *snapshots, bool reuse,
                      char label[TREE_NAME_MAX + 1], struct failure *why)
{
    enum code code = commit_bring_up_to_date(tree, why);
    if (code == CODE_OK && reuse) {
        code = find_equal(tree, dataset, snapshots, label, why);
        if (code != CODE_NOT_FOUND)
            return code;
        code = CODE_OK;
    }
    if (code == CODE_OK && !label[0])
        code = choose_label(tree, snapshots, label, why);
    struct node *image;
    return code == CODE_OK ? make(tree, dataset, snapshots, label, &image, why) : code;
}

enum code tree_snapshot(struct tree *tree, struct node_id folder, bool reuse, char label[TREE_NAME_MAX + 1],
                        struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *dataset, *snapshots;
    enum code code = tree_is_derived(folder) ? CODE_NOT_DIRECTORY : node_get(tree, folder.value, &dataset, why);
    if (code == CODE_NOT_DIRECTORY || (code == CODE_OK && !entry_is_dataset(dataset)))
        return failure_set(why, CODE_INVALID, "only a folder directly in datasets/ can be snapshotted");
    if (code == CODE_OK)
        code = entry_find(tree, dataset, TREE_SNAPSHOT_FOLDER, &snapshots, why);
    if (code != CODE_OK)
        return code;
    node_hold(tree, snapshots);
    node_hold(tree, dataset);
    code = take(tree, dataset, snapshots, reuse, label, why);
    node_let_go(tree, snapshots);
    node_let_go(tree, dataset);
    return code;
}

/* Whether a file of the selected subtree is open. */
static bool is_in_use(struct tree *tree)
{
    for (size_t i = 0; i < tree->node_bucket_count; i++)
        for (struct node *node = tree->node_buckets[i]; node; node = node->hash_next)
            if (node->row.flags & CATALOG_INODE_FROZEN && node->handles && !node->gone &&
                catalog_snapshot_contains(tree->catalog, node->row.inode))
                return true;
    return false;
}

/* Nodes of the subtree that are in memory are gone from now on.  Those that nobody holds are forgotten. */
static void mark_gone(struct tree *tree)
{
    for (size_t i = 0; i < tree->node_bucket_count; i++)
        for (struct node *node = tree->node_buckets[i], *next; node; node = next) {
            next = node->hash_next;
            if (!(node->row.flags & CATALOG_INODE_FROZEN) || node->gone ||
                !catalog_snapshot_contains(tree->catalog, node->row.inode))
                continue;
            node->gone = true;
            memset(node->kept_proof, 0, sizeof node->kept_proof); /* taken away with all of them */
            node_mark_clean(tree, node);
            piece_drop_from(tree, node, 0);
            node_settle(tree, node);
        }
}

static enum code drop(struct tree *tree, struct node *snapshots, const char *label, struct failure *why)
{
    struct node *image;
    enum code code = entry_find(tree, snapshots, label, &image, why);
    if (code == CODE_OK)
        code = catalog_snapshot_select(tree->catalog, image->row.inode, why);
    if (code != CODE_OK)
        return code;
    if (is_in_use(tree))
        return failure_set(why, CODE_BUSY, "the snapshot \"%s\" is being read", label);
    code = entry_delete_name(tree, snapshots, label, why);
    tell_removed(tree, snapshots, label, image);
    if (code == CODE_OK)
        code = authentic_drop_rows(tree, why);
    if (code == CODE_OK)
        code = catalog_snapshot_delete(tree->catalog, why);
    entry_touch(tree, snapshots, timing_wall_ns());
    return code;
}

enum code snapshot_drop(struct tree *tree, struct node_id id, const char *label, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *snapshots;
    /* Rows of frozen nodes in memory may be newer than the catalog's only by their name; nothing to bring up to date. */
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = node_get(tree, id.value, &snapshots, why);
    if (code == CODE_OK)
        code = drop(tree, snapshots, label, why);
    code = operation_end(tree, code, why);
    if (code == CODE_OK) {
        mark_gone(tree);
        node_stamp(tree, snapshots, timing_wall_ns());
    }
    return code;
}
