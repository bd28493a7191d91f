/* Who may read a space: see tree_readers.h.  Each change is one operation under the lock, then a commit that is waited for.
 */
#include "tree_readers.h"

#include <stdio.h>
#include <string.h>

#include "catalog_space.h"
#include "member_key.h"
#include "tree_members.h"
#include "tree_membership.h"
#include "tree_node.h"
#include "tree_place.h"
#include "tree_reseal.h"
#include "tree_share.h"
#include "tree_space.h"
#include "tree_space_name.h"
#include "viewer.h"

/* Whoever can read a space may share it; but the server, which asks here for a member, may read more than that member, and
 * among members it is who made a dataset, or has the role for it, that says who reads it.  A home is its readers'. */
static enum code check_chooser(struct tree *tree, struct node *root, const struct space *space, struct failure *why)
{
    uint64_t above = 0;
    const struct viewer *viewer = viewer_current();
    if (!viewer)
        return CODE_OK;
    const struct reader *reader = roster_find(&space->roster, &viewer->id);
    if (!reader || reader->former)
        return failure_set(why, CODE_DENIED, "you may not read it yourself");
    bool common = space->number < SPACE_FIRST_FREE;
    if (!common && node_parent(tree, root, &above, why) != CODE_OK)
        return CODE_CORRUPT;
    bool own = tree_place_made_by(tree, root, viewer) || above == INODE_HOME;
    if (viewer->role == ROLE_ADMIN || (!common && (own || viewer->role == ROLE_STEWARD)))
        return CODE_OK;
    return failure_set(why, CODE_DENIED, "who may read it is said by who made it, by a steward or by an admin");
}

/* The space of that name, which must be one whose readers can be chosen. */
static enum code find_shareable(struct tree *tree, const char *name, struct space **out, struct failure *why)
{
    struct node *root;
    char path[SPACE_NAME_PATH_BYTES];
    enum code code = space_name_find(tree, name, &root, path, why);
    if (code == CODE_OK && root->row.space < SPACE_FIRST_FREE)
        return failure_set(why, CODE_NOT_PERMITTED,
                           "\"%s\" belongs to all members of the lab: add or remove a member instead", name);
    if (code == CODE_OK)
        code = space_find(tree, root->row.space, out, why);
    return code == CODE_OK ? check_chooser(tree, root, *out, why) : code;
}

/* Whom a member who says "unshare everyone" leaves on the list: himself, beside the one who serves the lab. */
static enum code keep_viewer(const struct space *space, struct roster *roster, struct failure *why)
{
    const struct viewer *viewer = viewer_current();
    const struct reader *reader = viewer ? roster_find(&space->roster, &viewer->id) : NULL;
    return reader ? roster_add(roster, reader, why) : CODE_OK;
}

/* Whether somebody else, who is not paper, stays. */
static bool somebody_stays(const struct roster *roster)
{
    for (size_t i = 0; i < roster->count; i++)
        if (!(roster->readers[i].flags & CATALOG_MEMBER_RECOVERY))
            return true;
    return false;
}

static enum code refuse_to_lose(struct failure *why)
{
    return failure_set(why, CODE_INVALID,
                       "nobody else can read it: it would be lost (share it first, or remove what is in it)");
}

/* Sharing ---------------------------------------------------------------------------------------------------------- */

struct sharing {
    const char *space, *who;
};

static enum code share_with_everyone(struct tree *tree, uint64_t number, struct failure *why)
{
    SCOPE_ROSTER all = {0};
    SCOPE_ROSTER roster = {0};
    struct space *space;
    enum code code = share_new_roster(tree, true, &all, why);
    for (size_t i = 0; code == CODE_OK && i < all.count; i++) {
        code = space_find(tree, number, &space, why);
        if (code == CODE_OK && !roster_find(&space->roster, &all.readers[i].public.id))
            code = share_add(tree, number, &all.readers[i], why);
    }
    if (code == CODE_OK)
        code = space_find(tree, number, &space, why);
    if (code == CODE_OK)
        code = roster_copy(&space->roster, &roster, why);
    roster.everyone = true;
    return code == CODE_OK ? space_set_roster(tree, space, &roster, why) : code;
}

static enum code do_share(struct tree *tree, const void *argument, struct failure *why)
{
    const struct sharing *sharing = argument;
    struct space *space;
    const struct reader *found;
    enum code code = find_shareable(tree, sharing->space, &space, why);
    if (code == CODE_OK && strcmp(sharing->who, READERS_EVERYONE) == 0)
        return share_with_everyone(tree, space->number, why);
    if (code == CODE_OK)
        code = membership_find(tree, sharing->who, &found, why);
    if (code != CODE_OK || roster_find(&space->roster, &found->public.id))
        return code;
    const struct reader reader = *found;
    return share_add(tree, space->number, &reader, why);
}

enum code readers_share(struct tree *tree, const char *space, const char *who, struct failure *why)
{
    enum code code = membership_carry_out(tree, do_share, &(struct sharing){space, who}, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "sharing %s with %s", space, who);
    return membership_told(tree, code, AUDIT_SHARE, space, "share %s", who);
}

static enum code do_unshare(struct tree *tree, const void *argument, struct failure *why)
{
    const struct sharing *sharing = argument;
    struct space *space;
    SCOPE_ROSTER roster = {0};
    enum code code = find_shareable(tree, sharing->space, &space, why);
    if (code == CODE_OK && strcmp(sharing->who, READERS_EVERYONE) == 0) {
        code = share_new_roster(tree, false, &roster, why);
        if (code == CODE_OK)
            code = keep_viewer(space, &roster, why);
        return code == CODE_OK ? share_rotate(tree, space->number, &roster, why) : code;
    }
    if (code == CODE_OK)
        code = roster_copy(&space->roster, &roster, why);
    if (code != CODE_OK)
        return code;
    const struct reader *reader = roster_find_name(&roster, sharing->who);
    if (!reader)
        return failure_set(why, CODE_NOT_FOUND, "\"%s\" is not among those who may read it", sharing->who);
    if (!viewer_current() && memcmp(reader->public.id.bytes, member_key_public(tree->member)->id.bytes, IDENTITY_BYTES) == 0)
        return failure_set(why, CODE_INVALID, "that is you: leave it instead");
    struct member_id id = reader->public.id;
    roster_remove(&roster, &id);
    roster.everyone = false;
    if (!somebody_stays(&roster))
        return refuse_to_lose(why);
    return share_rotate(tree, space->number, &roster, why);
}

enum code readers_unshare(struct tree *tree, const char *space, const char *who, struct failure *why)
{
    enum code code = membership_carry_out(tree, do_unshare, &(struct sharing){space, who}, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "no longer sharing %s with %s", space, who);
    return membership_told(tree, code, AUDIT_SHARE, space, "unshare %s", who);
}

static enum code do_leave(struct tree *tree, const void *argument, struct failure *why)
{
    struct space *space;
    SCOPE_ROSTER roster = {0};
    enum code code = find_shareable(tree, argument, &space, why);
    if (code == CODE_OK)
        code = roster_copy(&space->roster, &roster, why);
    if (code != CODE_OK)
        return code;
    roster_remove(&roster, &member_key_public(tree->member)->id);
    roster.everyone = false;
    roster.due = true;
    if (!somebody_stays(&roster))
        return refuse_to_lose(why);
    code = space_set_roster(tree, space, &roster, why);
    return code == CODE_OK ? catalog_space_delete_wraps_of(tree->catalog, space->number, tree->member_number, why) : code;
}

/* For a member of another machine: not the one who serves the lab leaves, but he. */
static enum code do_leave_as_viewer(struct tree *tree, const void *argument, struct failure *why)
{
    struct node *root;
    struct space *space;
    char path[SPACE_NAME_PATH_BYTES];
    SCOPE_ROSTER roster = {0};
    const struct viewer *viewer = viewer_current();
    enum code code = space_name_find(tree, argument, &root, path, why);
    if (code == CODE_OK && root->row.space < SPACE_FIRST_FREE)
        return failure_set(why, CODE_NOT_PERMITTED, "\"%s\" belongs to all members of the lab", path);
    if (code == CODE_OK)
        code = space_find(tree, root->row.space, &space, why);
    if (code == CODE_OK)
        code = roster_copy(&space->roster, &roster, why);
    if (code != CODE_OK)
        return code;
    roster_remove(&roster, &viewer->id);
    roster.everyone = false;
    return somebody_stays(&roster) ? share_rotate(tree, space->number, &roster, why) : refuse_to_lose(why);
}

enum code readers_leave(struct tree *tree, const char *space, struct failure *why)
{
    enum code code = membership_carry_out(tree, viewer_current() ? do_leave_as_viewer : do_leave, space, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "leaving %s", space);
    return membership_told(tree, code, AUDIT_SHARE, space, "leave");
}

static enum code do_rotate(struct tree *tree, const void *argument, struct failure *why)
{
    struct node *root;
    struct space *space;
    char path[SPACE_NAME_PATH_BYTES];
    enum code code = space_name_find(tree, argument, &root, path, why);
    if (code == CODE_OK)
        code = space_find(tree, root->row.space, &space, why);
    if (code == CODE_OK)
        code = check_chooser(tree, root, space, why);
    return code == CODE_OK ? share_rotate(tree, space->number, &space->roster, why) : code;
}

enum code readers_rotate(struct tree *tree, const char *space, struct failure *why)
{
    enum code code = membership_carry_out(tree, do_rotate, space, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "rotating the key of %s", space);
    return membership_told(tree, code, AUDIT_SHARE, space, "rotate");
}

/* Describing ------------------------------------------------------------------------------------------------------- */

void readers_list_spaces(struct tree *tree, rule_emit *emit, void *context)
{
    SCOPE_BUFFER names = {0};
    pthread_mutex_lock(&tree->lock);
    space_name_list(tree, &names);
    pthread_mutex_unlock(&tree->lock);
    for (size_t at = 0; at < names.length; at += strlen(names.data + at) + 1)
        emit(context, names.data + at);
    emit(context, "lab");
    emit(context, "models");
}

static void print_readers(struct tree *tree, const struct space *space, struct buffer *out)
{
    buffer_printf(out, "%-12s %s", "readers", space->roster.everyone ? "everyone in the lab:" : "these members:");
    for (size_t i = 0; i < space->roster.count; i++)
        if (!space->roster.readers[i].former)
            buffer_printf(out, " %s", space->roster.readers[i].name);
    buffer_append_text(out, "\n");
    bool due;
    if (share_is_due(tree, space, &due, NULL) == CODE_OK && due)
        buffer_printf(out, "%-12s somebody has left: a new key is due\n", "");
}

/* Of a space whose key one does not have: who has a wrap of it. */
static void print_holders(struct tree *tree, uint64_t space, struct buffer *out)
{
    uint64_t member = 0;
    buffer_printf(out, "%-12s not you; these members:", "readers");
    while (catalog_space_next_holder(tree->catalog, space, member, &member, NULL) == CODE_OK) {
        struct catalog_member row;
        if (catalog_space_get_member(tree->catalog, member, &row, NULL) == CODE_OK && !row.removed_ms)
            buffer_printf(out, " %s", row.name);
    }
    buffer_append_text(out, "\n");
}

enum code readers_describe_space(struct tree *tree, const char *name, struct buffer *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *root;
    struct space *space;
    char path[SPACE_NAME_PATH_BYTES];
    struct catalog_space row;
    enum code code = space_name_find(tree, name, &root, path, why);
    if (code == CODE_OK)
        code = catalog_space_next(tree->catalog, root->row.space - 1, &row, why);
    if (code != CODE_OK)
        return code;
    buffer_printf(out, "%-12s %s\n", "space", path);
    code = space_find(tree, root->row.space, &space, why);
    if (code == CODE_OK)
        print_readers(tree, space, out);
    else if (code == CODE_DENIED)
        print_holders(tree, root->row.space, out);
    else
        return code;
    buffer_printf(out, "%-12s generation %u\n", "key", row.generation);
    if (row.oldest < row.generation)
        reseal_describe(tree, root->row.space, out);
    buffer_printf(out, "\nWritten into this file: share NAME, share everyone, unshare NAME, leave, rotate; delete, of a "
                       "home whose owner was removed.\n");
    return buffer_check(out, name, why);
}
