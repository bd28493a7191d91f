/* Members and sharing: see tree_members.h.  Each call is one operation under the lock, then a commit that is waited for: when
 * somebody is told that another may not read any more, it is so.
 *
 * Spaces in memory are forgotten after each, whether it was kept or not: what the table held may be of the operation.
 */
#include "tree_members.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "catalog_name.h"
#include "catalog_space.h"
#include "member_key.h"
#include "tree_commit.h"
#include "tree_entry.h"
#include "tree_frame.h"
#include "tree_lending.h"
#include "tree_node.h"
#include "tree_operation.h"
#include "tree_place.h"
#include "tree_reseal.h"
#include "tree_seal.h"
#include "tree_share.h"
#include "tree_space.h"
#include "viewer.h"

#define HOME_PREFIX "home-"

/* Tells the audit log of what was done: "<space or member>", "share bob". */
static enum code told(struct tree *tree, enum code code, enum audit_verb verb, const char *about, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static enum code told(struct tree *tree, enum code code, enum audit_verb verb, const char *about, const char *format, ...)
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

typedef enum code operation(struct tree *tree, const void *argument, struct failure *why);

/* One operation, made durable. */
static enum code carry_out(struct tree *tree, operation *change, const void *argument, struct failure *why)
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

/* Members ---------------------------------------------------------------------------------------------------------- */

static enum code find_member(struct tree *tree, const char *name, const struct reader **out, struct failure *why)
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

/* Whoever opens the lab with the recovery key makes a member in place of one whose key was lost. */
static bool is_recovering(struct tree *tree)
{
    struct reader self;
    return share_self(tree, &self, NULL) == CODE_OK && self.flags & CATALOG_MEMBER_RECOVERY;
}

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
    if (is_recovering(tree) && space_find(tree, left->row.space, &space, NULL) == CODE_OK)
        return CODE_OK;
    return failure_set(why, CODE_EXISTS, "home/%s is still there, of an earlier member: choose another name", name);
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

/* Gives a member every space that is shared with everyone; of one who recovers, all that the recovery key opens. */
static enum code give_shared(struct tree *tree, const struct reader *reader, struct failure *why)
{
    struct catalog_space row = {.space = 0};
    bool all = is_recovering(tree);
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
        code = give_shared(tree, &reader, why);
    return code == CODE_OK ? give_role(tree, &card->public.id, is_recovering(tree) ? ROLE_ADMIN : addition->role, why) : code;
}

enum code members_add(struct tree *tree, const struct member_card *card, enum member_role role, struct failure *why)
{
    enum code code = carry_out(tree, do_add, &(struct addition){card, role}, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "adding member %s", card->name);
    return told(tree, code, AUDIT_PEOPLE, card->name, "is a member now, as %s", member_role_name(role));
}

static enum code do_make_home(struct tree *tree, const void *argument, struct failure *why)
{
    SCOPE_ROSTER readers = {.everyone = false};
    const struct reader *member;
    struct node *home, *own;
    enum code code = find_member(tree, argument, &member, why);
    if (code == CODE_OK)
        code = roster_add(&readers, member, why);
    if (code == CODE_OK)
        code = node_get(tree, INODE_HOME, &home, why);
    if (code == CODE_OK)
        code = entry_find(tree, home, argument, &own, why);
    return code == CODE_NOT_FOUND ? frame_make_home(tree, argument, &readers, why) : code;
}

enum code members_make_home(struct tree *tree, const char *name, struct failure *why)
{
    enum code code = carry_out(tree, do_make_home, name, why);
    lending_sweep(tree); /* the key is that member's alone */
    return code == CODE_OK ? code : failure_wrap(why, code, "making home/%s", name);
}

/* A new key for each space that the one who goes could read and we can. */
static enum code rotate_without(struct tree *tree, const struct member_id *id, struct failure *why)
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

static enum code do_remove_member(struct tree *tree, const void *argument, struct failure *why)
{
    const struct reader *found;
    struct space *lab;
    struct catalog_member row;
    SCOPE_ROSTER roster = {0};
    enum code code = find_member(tree, argument, &found, why);
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
        if (!is_recovering(tree) && !has_admin(&roster))
            return failure_set(why, CODE_INVALID, "%s is the only admin: make another member admin first", (const char *)argument);
        code = share_rotate(tree, SPACE_LAB, &roster, why);
    }
    if (code == CODE_OK)
        code = catalog_space_find_member(tree->catalog, id.bytes, &row, why);
    if (code == CODE_OK)
        code = catalog_space_remove_member(tree->catalog, row.member, why);
    return code == CODE_OK ? rotate_without(tree, &id, why) : code;
}

enum code members_remove(struct tree *tree, const char *name, struct failure *why)
{
    enum code code = carry_out(tree, do_remove_member, name, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "removing member %s", name);
    return told(tree, code, AUDIT_PEOPLE, name, "is no longer a member");
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
    enum code code = find_member(tree, name, &found, why);
    if (code == CODE_OK)
        *out = found->public;
    return code;
}

enum code members_role(struct tree *tree, const char *name, enum member_role *role, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    const struct reader *found;
    struct space *lab;
    enum code code = find_member(tree, name, &found, why);
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
    enum code code = find_member(tree, change->name, &found, why);
    if (code != CODE_OK)
        return code;
    const struct member_id id = found->public.id;
    return give_role(tree, &id, change->role, why);
}

enum code members_set_role(struct tree *tree, const char *name, enum member_role role, struct failure *why)
{
    enum code code = carry_out(tree, do_set_role, &(struct role_change){name, role}, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "making %s a %s", name, member_role_name(role));
    return told(tree, code, AUDIT_PEOPLE, name, "is %s now", member_role_name(role));
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

/* Spaces by name --------------------------------------------------------------------------------------------------- */

static enum code find_in(struct tree *tree, uint64_t folder, const char *name, struct node **root, struct failure *why)
{
    struct node *above;
    enum code code = node_get(tree, folder, &above, why);
    if (code == CODE_OK)
        code = entry_find(tree, above, name, root, why);
    if (code == CODE_OK && !((*root)->row.flags & CATALOG_INODE_SPACE_ROOT))
        code = CODE_NOT_FOUND;
    return code == CODE_INVALID ? CODE_NOT_FOUND : code;
}

/* The topmost folder of a space, and the space's path. */
static enum code find_root(struct tree *tree, const char *name, struct node **root, char path[TREE_NAME_MAX + 16],
                           struct failure *why)
{
    static const struct {
        const char *prefix, *folder;
        uint64_t inode;
    } places[] = {{"datasets/", "datasets", INODE_DATASETS},
                  {"home/", "home", INODE_HOME},
                  {"", "datasets", INODE_DATASETS},
                  {HOME_PREFIX, "home", INODE_HOME}};
    enum code code = CODE_NOT_FOUND;
    for (size_t i = 0; code == CODE_NOT_FOUND && i < sizeof places / sizeof *places; i++) {
        size_t length = strlen(places[i].prefix);
        if (strncmp(name, places[i].prefix, length) != 0)
            continue;
        snprintf(path, TREE_NAME_MAX + 16, "%s/%s", places[i].folder, name + length);
        code = find_in(tree, places[i].inode, name + length, root, why);
    }
    bool lab = strcmp(name, "lab") == 0, models = strcmp(name, "models") == 0;
    if (code == CODE_NOT_FOUND && (lab || models)) {
        strcpy(path, name);
        code = node_get(tree, lab ? INODE_ROOT : INODE_MODELS, root, why);
    }
    return code == CODE_NOT_FOUND
               ? failure_set(why, code, "there is no space \"%s\" (see: ls lab/spaces)", name)
               : code;
}

/* Whoever can read a space may share it; but the server, which asks here for a member, may read more than that member, and among members it
 * is who made a dataset, or has the role for it, that says who reads it.  A home is its readers'. */
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
    char path[TREE_NAME_MAX + 16];
    enum code code = find_root(tree, name, &root, path, why);
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
    if (code == CODE_OK && strcmp(sharing->who, MEMBERS_EVERYONE) == 0)
        return share_with_everyone(tree, space->number, why);
    if (code == CODE_OK)
        code = find_member(tree, sharing->who, &found, why);
    if (code != CODE_OK || roster_find(&space->roster, &found->public.id))
        return code;
    const struct reader reader = *found;
    return share_add(tree, space->number, &reader, why);
}

enum code members_share(struct tree *tree, const char *space, const char *who, struct failure *why)
{
    enum code code = carry_out(tree, do_share, &(struct sharing){space, who}, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "sharing %s with %s", space, who);
    return told(tree, code, AUDIT_SHARE, space, "share %s", who);
}

static enum code do_unshare(struct tree *tree, const void *argument, struct failure *why)
{
    const struct sharing *sharing = argument;
    struct space *space;
    SCOPE_ROSTER roster = {0};
    enum code code = find_shareable(tree, sharing->space, &space, why);
    if (code == CODE_OK && strcmp(sharing->who, MEMBERS_EVERYONE) == 0) {
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

enum code members_unshare(struct tree *tree, const char *space, const char *who, struct failure *why)
{
    enum code code = carry_out(tree, do_unshare, &(struct sharing){space, who}, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "no longer sharing %s with %s", space, who);
    return told(tree, code, AUDIT_SHARE, space, "unshare %s", who);
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
    char path[TREE_NAME_MAX + 16];
    SCOPE_ROSTER roster = {0};
    const struct viewer *viewer = viewer_current();
    enum code code = find_root(tree, argument, &root, path, why);
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

enum code members_leave(struct tree *tree, const char *space, struct failure *why)
{
    enum code code = carry_out(tree, viewer_current() ? do_leave_as_viewer : do_leave, space, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "leaving %s", space);
    return told(tree, code, AUDIT_SHARE, space, "leave");
}

static enum code do_rotate(struct tree *tree, const void *argument, struct failure *why)
{
    struct node *root;
    struct space *space;
    char path[TREE_NAME_MAX + 16];
    enum code code = find_root(tree, argument, &root, path, why);
    if (code == CODE_OK)
        code = space_find(tree, root->row.space, &space, why);
    if (code == CODE_OK)
        code = check_chooser(tree, root, space, why);
    return code == CODE_OK ? share_rotate(tree, space->number, &space->roster, why) : code;
}

enum code members_rotate(struct tree *tree, const char *space, struct failure *why)
{
    enum code code = carry_out(tree, do_rotate, space, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "rotating the key of %s", space);
    return told(tree, code, AUDIT_SHARE, space, "rotate");
}

/* Describing ------------------------------------------------------------------------------------------------------- */

struct names {
    struct tree *tree;
    const struct node *folder;
    const char *prefix;
    struct buffer text; /* names, each ended by a NUL */
};

static bool take_name(void *context, const struct catalog_name *row, uint64_t inode)
{
    struct names *names = context;
    char name[TREE_NAME_MAX + 1];
    (void)inode;
    if (seal_open_name(names->tree, names->folder, row->bytes, row->count, name, NULL) == CODE_OK)
        buffer_printf(&names->text, "%s%s%c", names->prefix, name, 0);
    return true;
}

/* Appends the names of the spaces that have a folder in this one. */
static void take_names(struct tree *tree, uint64_t folder, const char *prefix, struct names *names)
{
    struct node *node;
    struct space *lab;
    if (node_get(tree, folder, &node, NULL) != CODE_OK || space_find(tree, SPACE_LAB, &lab, NULL) != CODE_OK)
        return;
    names->folder = node;
    names->prefix = prefix;
    (void)!catalog_name_list(tree->catalog, folder, take_name, names, NULL);
}

void members_list_spaces(struct tree *tree, rule_emit *emit, void *context)
{
    struct names names = {.tree = tree};
    pthread_mutex_lock(&tree->lock);
    take_names(tree, INODE_DATASETS, "", &names);
    take_names(tree, INODE_HOME, HOME_PREFIX, &names);
    pthread_mutex_unlock(&tree->lock);
    for (size_t at = 0; at < names.text.length; at += strlen(names.text.data + at) + 1)
        emit(context, names.text.data + at);
    emit(context, "lab");
    emit(context, "models");
    buffer_free(&names.text);
}

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
    struct names names = {.tree = tree};
    take_names(tree, INODE_DATASETS, "", &names);
    take_names(tree, INODE_HOME, HOME_PREFIX, &names);
    buffer_printf(out, "%-12s lab models", "spaces");
    for (size_t at = 0; at < names.text.length; at += strlen(names.text.data + at) + 1) {
        struct node *root;
        uint64_t holder;
        char path[TREE_NAME_MAX + 16];
        if (find_root(tree, names.text.data + at, &root, path, NULL) == CODE_OK &&
            catalog_space_next_holder(tree->catalog, root->row.space, member - 1, &holder, NULL) == CODE_OK &&
            holder == member)
            buffer_printf(out, " %s", path);
    }
    buffer_append_text(out, "\n");
    buffer_free(&names.text);
}

enum code members_describe(struct tree *tree, const char *name, struct buffer *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    const struct reader *reader;
    struct space *lab;
    struct catalog_member row;
    char fingerprint[MEMBER_KEY_FINGERPRINT_BYTES];
    enum code code = find_member(tree, name, &reader, why);
    if (code == CODE_OK)
        code = catalog_space_find_member(tree->catalog, reader->public.id.bytes, &row, why);
    if (code != CODE_OK)
        return code;
    member_key_fingerprint(&reader->public, fingerprint);
    buffer_printf(out, "%-12s %s\n%-12s %s\n", "name", reader->name, "fingerprint", fingerprint);
    if (!(row.flags & CATALOG_MEMBER_RECOVERY) && space_find(tree, SPACE_LAB, &lab, NULL) == CODE_OK)
        buffer_printf(out, "%-12s %s\n", "role", member_role_name(role_of(&lab->roster, reader)));
    if (row.flags & CATALOG_MEMBER_RECOVERY)
        buffer_printf(out, "%-12s the recovery key that was printed when the lab was made\n", "kind");
    print_time(out, "since", row.added_ms);
    print_spaces_of(tree, row.member, out);
    return buffer_check(out, name, why);
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

enum code members_describe_space(struct tree *tree, const char *name, struct buffer *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *root;
    struct space *space;
    char path[TREE_NAME_MAX + 16];
    struct catalog_space row;
    enum code code = find_root(tree, name, &root, path, why);
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
    buffer_printf(out, "\nWritten into this file: share NAME, share everyone, unshare NAME, leave, rotate.\n");
    return buffer_check(out, name, why);
}
