/* Renames.  Rules see the destination: they may refuse it before, and are told afterwards; the name that was left is not
 * reported, and a file that was replaced is not "removed": editors save that way.
 */
#include "catalog_name.h"
#include "timing.h"
#include "tree_derived.h"
#include "tree_entry.h"
#include "tree_names.h"
#include "tree_operation.h"
#include "tree_watch.h"

#include <string.h>

/* Whether `folder` is `node` or lies below it. */
static enum code check_not_below(struct tree *tree, struct node *folder, const struct node *node, struct failure *why)
{
    for (int depth = 0; depth < TREE_FOLDERS_DEEP_MAX; depth++) {
        if (folder == node)
            return failure_set(why, CODE_INVALID, "a folder cannot be moved into itself");
        if (folder->row.inode == INODE_ROOT)
            return CODE_OK;
        uint64_t parent;
        enum code code = node_parent(tree, folder, &parent, why);
        if (code == CODE_OK)
            code = node_get(tree, parent, &folder, why);
        if (code != CODE_OK)
            return code;
    }
    return failure_set(why, CODE_INVALID, "the folders are nested too deeply");
}

/* Whether a node may leave one folder for another: spaces, the lab's frame. */
static enum code check_move(struct tree *tree, struct node *node, struct node *to, const char *name, struct failure *why)
{
    if (node->row.flags & (CATALOG_INODE_FIXED | CATALOG_INODE_SNAPSHOTS))
        return failure_set(why, CODE_NOT_PERMITTED, "\"%s\" is part of the lab's frame and stays", name);
    if (node->row.kind == CATALOG_INODE_FOLDER) {
        bool into_datasets = to->row.inode == INODE_DATASETS;
        if (into_datasets != entry_is_dataset(node))
            return failure_set(why, CODE_CROSS_SPACE, "a dataset has keys of its own: copy \"%s\" instead", name);
        if (into_datasets)
            return CODE_OK;
        enum code code = check_not_below(tree, to, node, why);
        if (code != CODE_OK)
            return code;
    }
    if (node->row.space != to->row.space)
        return failure_set(why, CODE_CROSS_SPACE, "\"%s\" would come into another key space: copy it instead", name);
    return CODE_OK;
}

/* Removes what the rename replaces. */
static enum code replace(struct tree *tree, struct node *to, const char *name, const struct node *node, struct node *target,
                         struct failure *why)
{
    bool folder = node->row.kind == CATALOG_INODE_FOLDER, onto_folder = target->row.kind == CATALOG_INODE_FOLDER;
    if (folder && !onto_folder)
        return failure_set(why, CODE_NOT_DIRECTORY, "\"%s\" is a file and cannot be replaced by a folder", name);
    if (!folder && onto_folder)
        return failure_set(why, CODE_IS_DIRECTORY, "\"%s\" is a folder and cannot be replaced by a file", name);
    if (target->row.flags & (CATALOG_INODE_FIXED | CATALOG_INODE_SNAPSHOTS))
        return failure_set(why, CODE_NOT_PERMITTED, "\"%s\" is part of the lab's frame and stays", name);
    return onto_folder ? entry_delete_folder(tree, to, name, target, why) : entry_delete(tree, to, name, target, why);
}

struct move {
    struct node *from, *to;     /* folders */
    struct node *node, *target; /* what is moved; what is there, or NULL */
};

/* Whether rules are told of the name that is given, and of the one that is left: of that in an exchange alone. */
struct told {
    bool to, from;
};

static enum code exchange(struct tree *tree, const struct tree_rename *rename, const struct move *move, struct failure *why)
{
    /* A name that no user can have: '/' cannot be part of one, and staging names are never listed. */
    static const char between[] = TREE_STAGING_PREFIX "exchange";
    enum code code = check_move(tree, move->target, move->from, rename->to_name, why);
    if (code == CODE_OK)
        code = entry_move(tree, move->from, rename->from_name, move->from, between, move->node, why);
    if (code == CODE_OK)
        code = entry_move(tree, move->to, rename->to_name, move->from, rename->from_name, move->target, why);
    if (code == CODE_OK)
        code = entry_move(tree, move->from, between, move->to, rename->to_name, move->node, why);
    return code;
}

/* A device of numbers 0 and 0 where the name was: in an overlay's upper layer it says that what lies below is gone. */
static enum code leave_whiteout(struct tree *tree, const struct tree_rename *rename, struct node *from, struct failure *why)
{
    const struct names_new what = {
        .kind = CATALOG_INODE_CHARACTER, .owned = true, .owner = rename->owner, .group = rename->group};
    struct node *node;
    return names_make(tree, from, rename->from_name, &what, &node, why);
}

static enum code find_all(struct tree *tree, const struct tree_rename *rename, bool server, struct move *move,
                          struct failure *why)
{
    enum code code = names_folder(tree, rename->from_folder, &move->from, why);
    if (code == CODE_OK)
        code = names_folder(tree, rename->to_folder, &move->to, why);
    if (code == CODE_OK)
        code = entry_find(tree, move->from, rename->from_name, &move->node, why);
    if (code == CODE_OK)
        code = entry_check_folder(move->from, server, why);
    if (code == CODE_OK)
        code = entry_check_folder(move->to, server, why);
    if (code != CODE_OK)
        return code;
    code = entry_find(tree, move->to, rename->to_name, &move->target, why);
    if (code == CODE_NOT_FOUND) {
        move->target = NULL;
        code = CODE_OK;
    }
    return code;
}

static enum code carry_out(struct tree *tree, const struct tree_rename *rename, const struct move *move, struct failure *why)
{
    if (move->target && rename->flags & RENAME_NO_REPLACE_FLAG)
        return failure_set(why, CODE_EXISTS, "there is a \"%s\" already", rename->to_name);
    if (!move->target && rename->flags & RENAME_EXCHANGE_FLAG)
        return failure_set(why, CODE_NOT_FOUND, "there is no \"%s\"", rename->to_name);
    if (move->target == move->node)
        return CODE_OK; /* two names of one file: nothing happens (rename(2)) */
    enum code code = check_move(tree, move->node, move->to, rename->from_name, why);
    if (code != CODE_OK)
        return code;
    if (rename->flags & RENAME_EXCHANGE_FLAG)
        return exchange(tree, rename, move, why);
    if (move->target)
        code = replace(tree, move->to, rename->to_name, move->node, move->target, why);
    if (code == CODE_OK)
        code = entry_move(tree, move->from, rename->from_name, move->to, rename->to_name, move->node, why);
    return code == CODE_OK && rename->flags & RENAME_WHITEOUT_FLAG ? leave_whiteout(tree, rename, move->from, why) : code;
}

/* A writer's release may still be on its way, as the kernel sends it when it likes: what was written until now is settled by
 * the rename, and not once more by the release.  That is noted under the same lock as the new name: a release in between
 * would find that name and settle it too. */
static enum code rename_stored(struct tree *tree, const struct tree_rename *rename, struct told told, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct move move = {0};
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = find_all(tree, rename, false, &move, why);
    if (code == CODE_OK)
        code = carry_out(tree, rename, &move, why);
    code = operation_end(tree, code, why);
    if (code != CODE_OK)
        return code;
    /* operation_end may have freed the target. */
    if (move.node->row.kind == CATALOG_INODE_FOLDER || rename->flags & RENAME_EXCHANGE_FLAG)
        tree->name_epoch++;
    int64_t now_ns = timing_wall_ns();
    node_stamp(tree, move.from, now_ns);
    node_stamp(tree, move.node, now_ns);
    if (told.to)
        move.node->changed = false;
    if (told.from)
        move.target->changed = false;
    return CODE_OK;
}

enum code tree_rename(struct tree *tree, const struct tree_rename *rename, struct failure *why)
{
    if (rename->flags & ~(unsigned)(RENAME_NO_REPLACE_FLAG | RENAME_EXCHANGE_FLAG | RENAME_WHITEOUT_FLAG) ||
        (rename->flags & RENAME_EXCHANGE_FLAG && rename->flags != RENAME_EXCHANGE_FLAG))
        return failure_set(why, CODE_INVALID, "these rename flags are not known");
    struct node_attributes source, target;
    enum code code = tree_lookup(tree, rename->from_folder, rename->from_name, &source, why);
    if (code != CODE_OK)
        return code;
    if (source.derived)
        return names_check_underived(tree, rename->from_folder, rename->from_name, CODE_NOT_PERMITTED, why);
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    SCOPE_BUFFER other = {.max = TREE_PATH_MAX};
    bool exchange_both = rename->flags & RENAME_EXCHANGE_FLAG;
    if (tree_lookup(tree, rename->to_folder, rename->to_name, &target, NULL) == CODE_OK && target.derived)
        return names_check_underived(tree, rename->to_folder, rename->to_name, CODE_NOT_PERMITTED, why);
    if (tree->rule_count && watch_path_in(tree, rename->to_folder, rename->to_name, &path))
        code = watch_admit(tree, path.data, NULL, why);
    if (code == CODE_OK && exchange_both && watch_path_in(tree, rename->from_folder, rename->from_name, &other))
        code = watch_admit(tree, other.data, NULL, why);
    if (code == CODE_OK)
        code = rename_stored(tree, rename, (struct told){.to = path.length, .from = other.length}, why);
    if (code == CODE_OK && path.length)
        watch_settled(tree, path.data);
    if (code == CODE_OK && exchange_both && other.length)
        watch_settled(tree, other.data);
    return code;
}
