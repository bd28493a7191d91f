/* The recovery key replaced: see tree_recovery.h.
 *
 * The old key becomes a former member with that mark, the new one a member with it; then every space of which the old one is
 * a reader is rotated as for any member who was removed, and tree_share.c puts the new one in the old one's place on each
 * list.
 */
#include "tree_recovery.h"

#include <string.h>

#include "catalog_space.h"
#include "tree_members.h"
#include "tree_membership.h"
#include "tree_share.h"
#include "tree_space.h"

static enum code make_member(struct tree *tree, const struct member_public *key, struct reader *out, struct failure *why)
{
    struct catalog_member row = {.flags = CATALOG_MEMBER_RECOVERY};
    memcpy(row.id, key->id.bytes, sizeof row.id);
    memcpy(row.public_key, key->key, sizeof row.public_key);
    strcpy(row.name, MEMBERS_RECOVERY_NAME);
    *out = (struct reader){.public = *key, .flags = CATALOG_MEMBER_RECOVERY};
    strcpy(out->name, MEMBERS_RECOVERY_NAME);
    return catalog_space_add_member(tree->catalog, &row, why);
}

/* The old key is no member of the lab any more; its spaces are rotated, the lab's own first. */
static enum code take_place(struct tree *tree, const struct member_id *old, const struct reader *reader, struct failure *why)
{
    struct space *lab;
    struct catalog_member row;
    SCOPE_ROSTER roster = {0};
    enum code code = space_find(tree, SPACE_LAB, &lab, why);
    if (code == CODE_OK)
        code = roster_copy(&lab->roster, &roster, why);
    if (code != CODE_OK)
        return code;
    roster_find(&roster, old)->former = true;
    code = roster_add(&roster, reader, why);
    if (code == CODE_OK)
        code = share_rotate(tree, SPACE_LAB, &roster, why);
    if (code == CODE_OK)
        code = catalog_space_find_member(tree->catalog, old->bytes, &row, why);
    if (code == CODE_OK)
        code = catalog_space_remove_member(tree->catalog, row.member, why);
    return code == CODE_OK ? membership_rotate_without(tree, old, why) : code;
}

static enum code do_replace(struct tree *tree, const void *argument, struct failure *why)
{
    const struct member_public *key = argument;
    struct space *lab;
    struct reader reader;
    enum code code = space_find(tree, SPACE_LAB, &lab, why);
    if (code != CODE_OK)
        return code;
    if (roster_find(&lab->roster, &key->id))
        return failure_set(why, CODE_EXISTS, "the lab knows this key already: draw a new one");
    const struct reader *old = roster_find_recovery(&lab->roster);
    const struct member_id old_id = old ? old->public.id : (struct member_id){{0}};
    bool had_one = old != NULL;
    code = make_member(tree, key, &reader, why);
    if (code != CODE_OK)
        return code;
    return had_one ? take_place(tree, &old_id, &reader, why) : membership_give_shared(tree, &reader, why);
}

enum code recovery_replace(struct tree *tree, const struct member_public *key, struct failure *why)
{
    enum code code = membership_check_admin(tree, why);
    if (code == CODE_OK)
        code = membership_carry_out(tree, do_replace, key, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "replacing the recovery key");
    return membership_told(tree, code, AUDIT_PEOPLE, MEMBERS_RECOVERY_NAME, "is another key now");
}
