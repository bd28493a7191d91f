/* Members' homes: see tree_homes.h.
 *
 * Who deletes a home has no key of it as a rule, so nothing in it can be held against its proof, and names in it cannot be
 * read.  What goes is therefore every row of the space, whatever names lead to it, and no row of another space, whatever
 * those names say: rows of spaces whose keys are at hand were proved, with the space that they are of, when the lab was
 * opened.  The space's own row, its wraps and its sum go too.
 */
#include "tree_homes.h"

#include <string.h>

#include "catalog_snapshot.h"
#include "scope.h"
#include "timing.h"
#include "tree_commit.h"
#include "tree_entry.h"
#include "tree_frame.h"
#include "tree_lending.h"
#include "tree_membership.h"
#include "tree_node.h"
#include "tree_operation.h"
#include "tree_piece.h"
#include "tree_share.h"
#include "tree_space.h"
#include "tree_space_name.h"
#include "tree_tell.h"
#include "tree_usage.h"

/* Making ------------------------------------------------------------------------------------------------------------- */

static enum code do_make(struct tree *tree, const void *argument, struct failure *why)
{
    SCOPE_ROSTER readers = {.everyone = false};
    const struct reader *member;
    struct node *home, *own;
    enum code code = membership_find(tree, argument, &member, why);
    if (code == CODE_OK)
        code = roster_add(&readers, member, why);
    if (code == CODE_OK)
        code = node_get(tree, INODE_HOME, &home, why);
    if (code == CODE_OK)
        code = entry_find(tree, home, argument, &own, why);
    return code == CODE_NOT_FOUND ? frame_make_home(tree, argument, &readers, why) : code;
}

enum code homes_make(struct tree *tree, const char *name, struct failure *why)
{
    enum code code = membership_carry_out(tree, do_make, name, why);
    lending_sweep(tree); /* the key is that member's alone */
    return code == CODE_OK ? code : failure_wrap(why, code, "making home/%s", name);
}

/* Deleting ----------------------------------------------------------------------------------------------------------- */

typedef void node_visit(struct tree *tree, struct node *node);

/* Nodes of the space that are in memory; `visit` may make the node go. */
static void each_node(struct tree *tree, uint64_t space, node_visit *visit)
{
    for (size_t i = 0; i < tree->node_bucket_count; i++)
        for (struct node *node = tree->node_buckets[i], *next; node; node = next) {
            next = node->hash_next;
            if (node->row.space == space && !node->gone)
                visit(tree, node);
        }
}

static bool is_open(const struct tree *tree, uint64_t space)
{
    for (size_t i = 0; i < tree->node_bucket_count; i++)
        for (const struct node *node = tree->node_buckets[i]; node; node = node->hash_next)
            if (node->row.space == space && node->handles && !node->gone)
                return true;
    return false;
}

static void mark_gone(struct tree *tree, struct node *node)
{
    node->gone = true;
    memset(node->kept_proof, 0, sizeof node->kept_proof); /* its space's sum is no more */
    node_mark_clean(tree, node);
    piece_drop_from(tree, node, 0);
    node_settle(tree, node);
}

struct deletion {
    const char *space;
    uint64_t *number; /* of what was deleted */
};

/* A home, and nobody's who is a member; *name is the member's. */
static enum code check(struct tree *tree, const struct node *root, const char *path, const char **name, struct failure *why)
{
    const struct reader *member;
    if (strncmp(path, "home/", 5) != 0)
        return failure_set(why, CODE_INVALID,
                           "only the home of somebody who was a member is deleted so: rm -r removes what you can read");
    *name = path + 5;
    if (membership_find(tree, *name, &member, NULL) == CODE_OK)
        return failure_set(why, CODE_INVALID, "it is the home of a member: remove %s first", *name);
    if (is_open(tree, root->row.space))
        return failure_set(why, CODE_BUSY, "a file in it is open: close it first");
    return CODE_OK;
}

static enum code do_delete(struct tree *tree, const void *argument, struct failure *why)
{
    const struct deletion *deletion = argument;
    struct node *root, *home;
    const char *name;
    char path[SPACE_NAME_PATH_BYTES];
    enum code code = space_name_find(tree, deletion->space, &root, path, why);
    if (code == CODE_OK)
        code = check(tree, root, path, &name, why);
    if (code == CODE_OK)
        code = node_get(tree, INODE_HOME, &home, why);
    if (code == CODE_OK)
        code = entry_delete_name(tree, home, name, why);
    if (code != CODE_OK)
        return code;
    *deletion->number = root->row.space;
    tell_removed(tree, home, name, root);
    code = catalog_snapshot_select_space(tree->catalog, root->row.space, why);
    if (code == CODE_OK)
        code = catalog_snapshot_delete(tree->catalog, why);
    if (code == CODE_OK)
        code = space_delete(tree, root->row.space, why);
    entry_touch(tree, home, timing_wall_ns());
    return code;
}

/* With the lock, so that nothing of it is written again: what the operation took away is gone from memory before a commit
 * can begin. */
static enum code carry_out(struct tree *tree, const struct deletion *deletion, struct failure *why)
{
    struct node *home;
    enum code code = commit_bring_up_to_date(tree, why);
    if (code == CODE_OK)
        code = operation_begin(tree, why);
    if (code == CODE_OK)
        code = operation_end(tree, do_delete(tree, deletion, why), why);
    if (code == CODE_OK) {
        each_node(tree, *deletion->number, mark_gone);
        usage_recount(tree);
    }
    share_changed(tree);
    if (code == CODE_OK && node_get(tree, INODE_HOME, &home, NULL) == CODE_OK)
        node_stamp(tree, home, timing_wall_ns());
    return code;
}

enum code homes_delete(struct tree *tree, const char *space, struct failure *why)
{
    uint64_t number = 0;
    enum code code = membership_check_admin(tree, why);
    if (code == CODE_OK) {
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
        code = carry_out(tree, &(struct deletion){space, &number}, why);
    }
    if (code == CODE_OK)
        code = commit_wait(tree, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "deleting %s", space);
    return membership_told(tree, code, AUDIT_SHARE, space, "delete");
}
