/* Changing attributes: owner, mode, size, times. */
#include "timing.h"
#include "tree_commit.h"
#include "tree_derived.h"
#include "tree_entry.h"
#include "tree_file.h"
#include "tree_operation.h"
#include "tree_space.h"
#include "tree_tell.h"
#include "tree_usage.h"
#include "tree_watch.h"

/* A control file takes what a shell's `>` and `cp -p` do to it, without effect; the others refuse. */
static enum code change_derived(struct tree *tree, struct node_id id, const struct attribute_change *change,
                                struct node_attributes *out, struct failure *why)
{
    struct derived *entry;
    enum code code = derived_get(tree, id, &entry, why);
    if (code != CODE_OK)
        return code;
    bool refused = entry->rule->kind != RULE_CONTROL && change->which & ~(unsigned)CHANGE_ACCESS;
    *out = derived_describe(tree, entry);
    derived_unpin(tree, entry);
    return refused ? failure_set(why, CODE_NOT_PERMITTED, "this file is made by the lab and cannot be changed") : CODE_OK;
}

static enum code change_size(struct tree *tree, struct node *node, uint64_t size, struct failure *why)
{
    enum code code = file_check_writable(tree, node, why);
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    if (code == CODE_OK && tree->rule_count && node->row.links && node_path(tree, node, &path, NULL) == CODE_OK &&
        watch_append_only(tree, path.data))
        return failure_set(why, CODE_NOT_PERMITTED, "%s can only be appended to", path.data);
    return code == CODE_OK ? file_resize(tree, node, size, why) : code;
}

/* Owner, mode and times.  With the lock. */
static void change_row(struct tree *tree, struct node *node, const struct attribute_change *change)
{
    int64_t now_ns = timing_wall_ns();
    if (change->which & CHANGE_OWNER)
        node->row.uid = change->owner;
    if (change->which & CHANGE_GROUP)
        node->row.gid = change->group;
    if (change->which & CHANGE_DROPS_SET_ID)
        node_drop_set_id(node);
    if (change->which & CHANGE_MODE)
        node->row.mode = change->mode & 07777;
    if (change->which & CHANGE_ACCESS)
        node->row.access_ns = change->access_ns;
    if (change->which & CHANGE_MODIFY)
        node->row.modify_ns = change->modify_ns;
    node->row.change_ns = now_ns;
    usage_settle(tree, node);
    node->changed_in = commit_round_of_changes(tree);
    if (change->which & ~(unsigned)CHANGE_ACCESS) {
        node_stamp(tree, node, now_ns);
    } else {
        node_mark_dirty(tree, node); /* that something was read changes nothing that anybody derives from it */
        tell_attributes(tree, node);
    }
}

static enum code change_node(struct tree *tree, struct node *node, const struct attribute_change *change,
                             struct failure *why)
{
    struct space *space;
    enum code code = operation_allowed(tree, why);
    if (code == CODE_OK)
        code = space_find(tree, node->row.space, &space, why); /* without its key no proof of the change can be made */
    if (code == CODE_OK && node->row.flags & CATALOG_INODE_FROZEN)
        code = failure_set(why, CODE_READ_ONLY, "a snapshot never changes");
    if (code == CODE_OK && change->which & CHANGE_SIZE)
        code = change_size(tree, node, change->size, why);
    if (code == CODE_OK && change->which & ~(unsigned)CHANGE_SIZE)
        change_row(tree, node, change);
    return code;
}

enum code tree_change(struct tree *tree, struct node_id id, const struct attribute_change *change,
                      struct node_attributes *out, struct failure *why)
{
    if (tree_is_derived(id))
        return change_derived(tree, id, change, out, why);
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    pthread_mutex_lock(&tree->lock);
    struct node *node;
    enum code code = node_get(tree, id.value, &node, why);
    if (code == CODE_OK) {
        node_hold(tree, node);
        code = change_node(tree, node, change, why);
        *out = node_describe(node);
        /* truncate(2) by name: there is no handle whose release would tell the rules. */
        if (code == CODE_OK && change->which & CHANGE_SIZE && node->writers == 0) {
            node->changed = false;
            if (tree->rule_count && node_path(tree, node, &path, NULL) != CODE_OK)
                buffer_clear(&path);
        }
        node_let_go(tree, node);
    }
    pthread_mutex_unlock(&tree->lock);
    if (path.length)
        watch_settled(tree, path.data);
    return code;
}
