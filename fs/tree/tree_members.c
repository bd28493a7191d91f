/* Members: see tree_members.h.  Each call is one operation under the lock, then a commit that is waited for: when somebody
 * is told that another may not read any more, it is so.
 */
#include "tree_members.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "catalog_space.h"
#include "member_key.h"
#include "tree_entry.h"
#include "tree_membership.h"
#include "tree_node.h"
#include "tree_share.h"
#include "tree_space.h"
#include "tree_space_name.h"

/* Members ---------------------------------------------------------------------------------------------------------- */

/* Roles -------------------------------------------------------------------------------------------------------------- */

static const struct reader *first_of(const struct roster *roster)
{
    for (size_t i = 0; i < roster->count; i++)
        if (!(roster->readers[i].flags & CATALOG_MEMBER_RECOVERY))
            return &roster->readers[i]; /* the list keeps the order in which they came */
    return NULL;
}

static enum member_role role_of(const struct roster *roster, const struct reader *reader)
{
    enum member_role role = first_of(roster) == reader ? ROLE_ADMIN : ROLE_SCIENTIST;
    (void)!roster_role(roster, &reader->public.id, &role);
    return role;
}

static bool has_admin(const struct roster *roster)
{
    for (size_t i = 0; i < roster->count; i++) {
        const struct reader *reader = &roster->readers[i];
        if (!reader->former && !(reader->flags & CATALOG_MEMBER_RECOVERY) && role_of(roster, reader) == ROLE_ADMIN)
            return true;
    }
    return false;
}

/* Gives the role; inside an operation. */
static enum code give_role(struct tree *tree, const struct member_id *id, enum member_role role, struct failure *why)
{
    SCOPE_ROSTER roster = {0};
    struct space *lab;
    enum code code = space_find(tree, SPACE_LAB, &lab, why);
    if (code == CODE_OK)
        code = roster_copy(&lab->roster, &roster, why);
    if (code == CODE_OK)
        code = roster_set_role(&roster, id, role, why);
    if (code == CODE_OK && !has_admin(&roster))
        return failure_set(why, CODE_INVALID, "the lab would have no admin: make another member admin first");
    if (code == CODE_OK)
        code = space_set_roster(tree, lab, &roster, why);
    space_forget(tree, SPACE_LAB);
    return code;
}

/* Changes ---------------------------------------------------------------------------------------------------------- */

/* The home of that name may be there only if it goes to the new member. */
static enum code check_home(struct tree *tree, const char *name, struct failure *why)
{
    struct node *home, *left;
    struct space *space;
    enum code code = node_get(tree, INODE_HOME, &home, why);
    if (code == CODE_OK)
        code = entry_find(tree, home, name, &left, why);
    if (code != CODE_OK)
        return code == CODE_NOT_FOUND ? CODE_OK : code;
    if (membership_is_recovering(tree) && space_find(tree, left->row.space, &space, NULL) == CODE_OK)
        return CODE_OK;
    return failure_set(
        why, CODE_EXISTS,
        "home/%s is still there, of an earlier member: choose another name, or delete it (cytofs member delete-home)", name);
}

static enum code check_new(struct tree *tree, const struct member_card *card, struct failure *why)
{
    struct space *lab;
    enum code code = space_find(tree, SPACE_LAB, &lab, why);
    if (code == CODE_OK)
        code = member_card_check_name(card->name, why);
    if (code != CODE_OK)
        return code;
    const struct reader *same = roster_find_name(&lab->roster, card->name);
    if (same && !same->former)
        return failure_set(why, CODE_EXISTS, "there is a member \"%s\" already: choose another name", card->name);
    same = roster_find(&lab->roster, &card->public.id);
    if (same)
        return failure_set(why, CODE_EXISTS, "this key is %s's%s: make a new one (cytofs member key)", same->name,
                           same->former ? ", who was removed" : "");
    return CODE_OK;
}

struct addition {
    const struct member_card *card;
    enum member_role role;
};

static enum code do_add(struct tree *tree, const void *argument, struct failure *why)
{
    const struct addition *addition = argument;
    const struct member_card *card = addition->card;
    struct catalog_member row = {.member = 0};
    struct reader reader = {.public = card->public};
    enum code code = check_new(tree, card, why);
    if (code == CODE_OK)
        code = check_home(tree, card->name, why);
    if (code != CODE_OK)
        return code;
    memcpy(row.id, card->public.id.bytes, sizeof row.id);
    memcpy(row.public_key, card->public.key, sizeof row.public_key);
    strcpy(row.name, card->name);
    strcpy(reader.name, card->name);
    code = catalog_space_add_member(tree->catalog, &row, why);
    if (code == CODE_OK)
        code = membership_give_shared(tree, &reader, why);
    return code == CODE_OK
               ? give_role(tree, &card->public.id, membership_is_recovering(tree) ? ROLE_ADMIN : addition->role, why)
               : code;
}

enum code members_add(struct tree *tree, const struct member_card *card, enum member_role role, struct failure *why)
{
    enum code code = membership_carry_out(tree, do_add, &(struct addition){card, role}, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "adding member %s", card->name);
    return membership_told(tree, code, AUDIT_PEOPLE, card->name, "is a member now, as %s", member_role_name(role));
}

static enum code do_remove_member(struct tree *tree, const void *argument, struct failure *why)
{
    const struct reader *found;
    struct space *lab;
    struct catalog_member row;
    SCOPE_ROSTER roster = {0};
    enum code code = membership_find(tree, argument, &found, why);
    if (code != CODE_OK)
        return code;
    struct member_id id = found->public.id;
    if (memcmp(id.bytes, member_key_public(tree->member)->id.bytes, IDENTITY_BYTES) == 0)
        return failure_set(why, CODE_INVALID, "nobody can remove himself: ask another member");
    code = space_find(tree, SPACE_LAB, &lab, why);
    if (code == CODE_OK)
        code = roster_copy(&lab->roster, &roster, why);
    if (code == CODE_OK) {
        roster_find(&roster, &id)->former = true;
        if (!membership_is_recovering(tree) && !has_admin(&roster))
            return failure_set(why, CODE_INVALID, "%s is the only admin: make another member admin first",
                               (const char *)argument);
        code = share_rotate(tree, SPACE_LAB, &roster, why);
    }
    if (code == CODE_OK)
        code = catalog_space_find_member(tree->catalog, id.bytes, &row, why);
    if (code == CODE_OK)
        code = catalog_space_remove_member(tree->catalog, row.member, why);
    return code == CODE_OK ? membership_rotate_without(tree, &id, why) : code;
}

enum code members_remove(struct tree *tree, const char *name, struct failure *why)
{
    enum code code = membership_carry_out(tree, do_remove_member, name, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "removing member %s", name);
    return membership_told(tree, code, AUDIT_PEOPLE, name, "is no longer a member");
}

void members_list(struct tree *tree, rule_emit *emit, void *context)
{
    SCOPE_ROSTER roster = {0};
    struct space *lab;
    pthread_mutex_lock(&tree->lock);
    bool known = space_find(tree, SPACE_LAB, &lab, NULL) == CODE_OK && roster_copy(&lab->roster, &roster, NULL) == CODE_OK;
    pthread_mutex_unlock(&tree->lock);
    for (size_t i = 0; known && i < roster.count; i++)
        if (!roster.readers[i].former)
            emit(context, roster.readers[i].name);
}

enum code members_find(struct tree *tree, const char *name, struct member_public *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    const struct reader *found;
    enum code code = membership_find(tree, name, &found, why);
    if (code == CODE_OK)
        *out = found->public;
    return code;
}

enum code members_role(struct tree *tree, const char *name, enum member_role *role, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    const struct reader *found;
    struct space *lab;
    enum code code = membership_find(tree, name, &found, why);
    if (code == CODE_OK)
        code = space_find(tree, SPACE_LAB, &lab, why);
    if (code == CODE_OK)
        *role = role_of(&lab->roster, found);
    return code;
}

struct role_change {
    const char *name;
    enum member_role role;
};

static enum code do_set_role(struct tree *tree, const void *argument, struct failure *why)
{
    const struct role_change *change = argument;
    const struct reader *found;
    enum code code = membership_find(tree, change->name, &found, why);
    if (code != CODE_OK)
        return code;
    const struct member_id id = found->public.id;
    return give_role(tree, &id, change->role, why);
}

enum code members_set_role(struct tree *tree, const char *name, enum member_role role, struct failure *why)
{
    enum code code = membership_carry_out(tree, do_set_role, &(struct role_change){name, role}, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "making %s a %s", name, member_role_name(role));
    return membership_told(tree, code, AUDIT_PEOPLE, name, "is %s now", member_role_name(role));
}

enum code members_first(struct tree *tree, char name[MEMBER_NAME_MAX + 1], struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct space *lab;
    enum code code = space_find(tree, SPACE_LAB, &lab, why);
    const struct reader *first = code == CODE_OK ? first_of(&lab->roster) : NULL;
    if (first)
        memcpy(name, first->name, sizeof first->name);
    return code == CODE_OK && !first ? failure_set(why, CODE_CORRUPT, "the lab's list of members is empty") : code;
}

/* Describing ------------------------------------------------------------------------------------------------------- */

static void print_time(struct buffer *out, const char *title, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm local;
    char text[32] = "";
    if (localtime_r(&seconds, &local))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
    buffer_printf(out, "%-12s %s\n", title, text);
}

/* Which spaces a member has a key of, as everybody can see who has the catalog. */
static void print_spaces_of(struct tree *tree, uint64_t member, struct buffer *out)
{
    SCOPE_BUFFER names = {0};
    space_name_list(tree, &names);
    buffer_printf(out, "%-12s lab models", "spaces");
    for (size_t at = 0; at < names.length; at += strlen(names.data + at) + 1) {
        struct node *root;
        uint64_t holder;
        char path[SPACE_NAME_PATH_BYTES];
        if (space_name_find(tree, names.data + at, &root, path, NULL) == CODE_OK &&
            catalog_space_next_holder(tree->catalog, root->row.space, member - 1, &holder, NULL) == CODE_OK &&
            holder == member)
            buffer_printf(out, " %s", path);
    }
    buffer_append_text(out, "\n");
}

enum code members_describe(struct tree *tree, const char *name, struct buffer *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    const struct reader *reader;
    struct space *lab;
    struct catalog_member row;
    char fingerprint[MEMBER_KEY_FINGERPRINT_BYTES];
    enum code code = membership_find(tree, name, &reader, why);
    if (code == CODE_OK)
        code = catalog_space_find_member(tree->catalog, reader->public.id.bytes, &row, why);
    if (code != CODE_OK)
        return code;
    member_key_fingerprint(&reader->public, fingerprint);
    buffer_printf(out, "%-12s %s\n%-12s %s\n", "name", reader->name, "fingerprint", fingerprint);
    if (!(row.flags & CATALOG_MEMBER_RECOVERY) && space_find(tree, SPACE_LAB, &lab, NULL) == CODE_OK)
        buffer_printf(out, "%-12s %s\n", "role", member_role_name(role_of(&lab->roster, reader)));
    if (row.flags & CATALOG_MEMBER_RECOVERY)
        buffer_printf(out, "%-12s the recovery key, which lies on paper\n", "kind");
    print_time(out, "since", row.added_ms);
    print_spaces_of(tree, row.member, out);
    return buffer_check(out, name, why);
}
