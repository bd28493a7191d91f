/* Changes of membership: see tree_membership.h.
 *
 * Spaces in memory are forgotten after each, whether it was kept or not: what the table held may be of the operation.
 */
#include "tree_membership.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "catalog_space.h"
#include "tree_commit.h"
#include "tree_members.h"
#include "tree_operation.h"
#include "tree_reseal.h"
#include "tree_share.h"
#include "tree_space.h"
#include "viewer.h"

enum code membership_told(struct tree *tree, enum code code, enum audit_verb verb, const char *about, const char *format,
                          ...)
{
    char path[TREE_NAME_MAX + 16], detail[300];
    va_list arguments;
    if (code != CODE_OK)
        return code;
    snprintf(path, sizeof path, "lab/%s/%s", verb == AUDIT_SHARE ? "spaces" : "members", about);
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    tree_audit(tree, verb, path, detail);
    return CODE_OK;
}

enum code membership_carry_out(struct tree *tree, membership_operation *change, const void *argument, struct failure *why)
{
    pthread_mutex_lock(&tree->lock);
    enum code code = commit_bring_up_to_date(tree, why);
    if (code == CODE_OK)
        code = operation_begin(tree, why);
    if (code == CODE_OK)
        code = operation_end(tree, change(tree, argument, why), why);
    share_changed(tree);
    reseal_look(tree);
    pthread_mutex_unlock(&tree->lock);
    return code == CODE_OK ? commit_wait(tree, why) : code;
}

enum code membership_find(struct tree *tree, const char *name, const struct reader **out, struct failure *why)
{
    struct space *lab;
    enum code code = space_find(tree, SPACE_LAB, &lab, why);
    if (code != CODE_OK)
        return code;
    *out = roster_find_name(&lab->roster, name);
    if (*out && !(*out)->former)
        return CODE_OK;
    return failure_set(why, CODE_NOT_FOUND, "there is no member \"%s\" (see: ls lab/members)", name);
}

bool membership_is_recovering(struct tree *tree)
{
    struct reader self;
    return share_self(tree, &self, NULL) == CODE_OK && self.flags & CATALOG_MEMBER_RECOVERY;
}

enum code membership_give_shared(struct tree *tree, const struct reader *reader, struct failure *why)
{
    struct catalog_space row = {.space = 0};
    bool all = membership_is_recovering(tree);
    enum code code;
    while ((code = catalog_space_next(tree->catalog, row.space, &row, why)) == CODE_OK) {
        struct space *space;
        code = space_find(tree, row.space, &space, why);
        if (code == CODE_DENIED)
            continue;
        if (code == CODE_OK && (all || space->roster.everyone))
            code = share_add(tree, row.space, reader, why);
        if (code != CODE_OK)
            return code;
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code membership_rotate_without(struct tree *tree, const struct member_id *id, struct failure *why)
{
    struct catalog_space row = {.space = SPACE_LAB};
    enum code code;
    while ((code = catalog_space_next(tree->catalog, row.space, &row, why)) == CODE_OK) {
        struct space *space;
        code = space_find(tree, row.space, &space, why);
        if (code == CODE_DENIED)
            continue;
        if (code == CODE_OK && roster_find(&space->roster, id))
            code = share_rotate(tree, row.space, &space->roster, why);
        if (code != CODE_OK)
            return code;
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code membership_check_admin(struct tree *tree, struct failure *why)
{
    const struct viewer *viewer = viewer_current();
    enum member_role role = viewer ? viewer->role : ROLE_SCIENTIST;
    pthread_mutex_lock(&tree->lock);
    bool recovering = !viewer && membership_is_recovering(tree);
    pthread_mutex_unlock(&tree->lock);
    enum code code = viewer || recovering ? CODE_OK : members_role(tree, tree_member_name(tree), &role, why);
    if (code == CODE_OK && role != ROLE_ADMIN && !recovering)
        return failure_set(why, CODE_DENIED, "a %s cannot do that: ask an admin", member_role_name(role));
    return code;
}
