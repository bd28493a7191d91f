/* lab/members, lab/wireguard and lab/spaces: see people_view.h.  Nothing is kept here; each file is a question to the tree,
 * or a request. */
#include "people_view.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "member_card.h"
#include "people.h"
#include "people_quota.h"
#include "rule.h"
#include "tree_homes.h"
#include "tree_members.h"
#include "tree_readers.h"
#include "tree_recovery.h"
#include "viewer.h"

#define COMMAND_BYTES_MAX 256
#define CARD_BEGINS       "cytofs member card "

/* lab/members ------------------------------------------------------------------------------------------------------ */

/* Cuts the next word off *rest; NULL at the end. */
static char *next_word(char **rest)
{
    *rest += strspn(*rest, " \t\r\n");
    if (!**rest)
        return NULL;
    char *word = *rest;
    *rest += strcspn(*rest, " \t\r\n");
    if (**rest)
        *(*rest)++ = 0;
    return word;
}

static enum code check_admin(struct failure *why)
{
    const struct viewer *viewer = viewer_current();
    if (!viewer || viewer->role == ROLE_ADMIN)
        return CODE_OK;
    return failure_set(why, CODE_DENIED, "a %s cannot change who is a member: ask an admin", member_role_name(viewer->role));
}

static void list_members(void *context, const char *folder, rule_emit *emit, void *emit_context)
{
    (void)folder;
    members_list(people_tree(context), emit, emit_context);
    people_list_invited(context, emit, emit_context);
}

static enum code render_member(void *context, const char *path, struct buffer *out, struct failure *why)
{
    enum code code = members_describe(people_tree(context), file_base_name(path), out, why);
    return code == CODE_NOT_FOUND ? people_describe_invited(context, file_base_name(path), out, why) : code;
}

/* The name of the file is the member's; the one on the card is what he calls himself.  A card for `recovery` is that of a
 * new recovery key. */
static enum code add_member(struct people *people, const char *name, const char *text, size_t count, struct failure *why)
{
    struct member_card card;
    enum code code = member_card_parse(text, count, &card, why);
    if (code == CODE_OK)
        code = member_card_check_name(name, why);
    if (code != CODE_OK)
        return code == CODE_CORRUPT ? CODE_INVALID : code;
    strcpy(card.name, name);
    if (strcmp(name, MEMBERS_RECOVERY_NAME) == 0)
        return recovery_replace(people_tree(people), &card.public, why);
    return members_add(people_tree(people), &card, ROLE_SCIENTIST, why);
}

/* invite [ROLE [DAYS [ENDPOINT [SUBNET]]]] */
static enum code invite(struct people *people, const char *name, char *rest, struct failure *why)
{
    SCOPE_BUFFER nothing = {0};
    const char *role = next_word(&rest), *days = next_word(&rest);
    struct people_invitation invitation = {
        .name = name, .role = ROLE_SCIENTIST, .days = PEOPLE_INVITE_DAYS, .shown_by_file = true};
    invitation.endpoint = next_word(&rest);
    invitation.subnet = next_word(&rest);
    enum code code = role ? member_role_parse(role, strlen(role), &invitation.role, why) : CODE_OK;
    if (days)
        invitation.days = strspn(days, "0123456789") == strlen(days) && strlen(days) < 4 ? atoi(days) : 0;
    if (code == CODE_OK && next_word(&rest))
        code = failure_set(why, CODE_INVALID, "too many words: invite ROLE DAYS ENDPOINT SUBNET");
    return code == CODE_OK ? people_invite(people, &invitation, &nothing, why) : code;
}

static enum code set_role(struct people *people, const char *name, const char *text, struct failure *why)
{
    enum member_role role;
    enum code code = member_role_parse(text, strlen(text), &role, why);
    return code == CODE_OK ? people_set_role(people, name, role, why) : code;
}

static enum code change_member(struct people *people, const char *name, const char *text, size_t count, struct failure *why)
{
    char line[COMMAND_BYTES_MAX + 1];
    if (count >= sizeof CARD_BEGINS - 1 && memcmp(text, CARD_BEGINS, sizeof CARD_BEGINS - 1) == 0)
        return add_member(people, name, text, count, why);
    if (count > COMMAND_BYTES_MAX)
        return failure_set(why, CODE_INVALID, "a request has up to %d bytes", COMMAND_BYTES_MAX);
    memcpy(line, text, count);
    line[count] = 0;
    char *rest = line;
    const char *verb = next_word(&rest);
    if (!verb)
        return CODE_OK; /* a shell's `>` alone */
    if (strcmp(verb, "invite") == 0)
        return invite(people, name, rest, why);
    const char *role = next_word(&rest);
    if (strcmp(verb, "role") == 0 && role && !next_word(&rest))
        return set_role(people, name, role, why);
    return failure_set(why, CODE_INVALID,
                       "\"%s\" is not understood: write a member's card, invite ROLE, invite ROLE DAYS, or role ROLE, with "
                       "one of " MEMBER_ROLES_TEXT,
                       verb);
}

static enum code command_member(void *context, const char *path, const char *text, size_t count, struct failure *why)
{
    enum code code = check_admin(why);
    if (code == CODE_OK)
        code = change_member(context, file_base_name(path), text, count, why);
    if (code == CODE_OK)
        return code;
    /* A name that nobody has makes the request wrong; the file is not missing, as writers would be told. */
    return failure_wrap(why, code == CODE_NOT_FOUND ? CODE_INVALID : code, "%s", path);
}

static enum code remove_member(void *context, const char *path, struct failure *why)
{
    enum code code = check_admin(why);
    return code == CODE_OK ? people_remove(context, file_base_name(path), why) : code;
}

/* The private key in it is the server's: an admin's business alone. */
static enum code render_wireguard(void *context, const char *path, struct buffer *out, struct failure *why)
{
    (void)path;
    if (check_admin(NULL) != CODE_OK)
        return failure_set(why, CODE_NOT_FOUND, "there is no such file");
    return people_describe_wireguard(context, out, why);
}

static enum code command_wireguard(void *context, const char *path, const char *text, size_t count, struct failure *why)
{
    (void)context;
    (void)text;
    (void)count;
    return failure_set(why, CODE_NOT_PERMITTED, "%s: it follows from who is a member", path);
}

/* lab/spaces ------------------------------------------------------------------------------------------------------- */

static void list_spaces(void *context, const char *folder, rule_emit *emit, void *emit_context)
{
    (void)folder;
    readers_list_spaces(people_tree(context), emit, emit_context);
}

static enum code render_space(void *context, const char *path, struct buffer *out, struct failure *why)
{
    return readers_describe_space(people_tree(context), file_base_name(path), out, why);
}

enum code people_view_command(struct tree *tree, const char *space, const char *text, size_t count, struct failure *why)
{
    char line[COMMAND_BYTES_MAX + 1];
    if (count > COMMAND_BYTES_MAX)
        return failure_set(why, CODE_INVALID, "lab/spaces/%s: a request has up to %d bytes", space, COMMAND_BYTES_MAX);
    memcpy(line, text, count);
    line[count] = 0;
    char *rest = line;
    const char *verb = next_word(&rest), *who = next_word(&rest), *more = next_word(&rest);
    if (!verb)
        return CODE_OK; /* a shell's `>` alone */
    if (strcmp(verb, "share") == 0 && who && !more)
        return readers_share(tree, space, who, why);
    if (strcmp(verb, "unshare") == 0 && who && !more)
        return readers_unshare(tree, space, who, why);
    if (strcmp(verb, "leave") == 0 && !who)
        return readers_leave(tree, space, why);
    if (strcmp(verb, "rotate") == 0 && !who)
        return readers_rotate(tree, space, why);
    if (strcmp(verb, "delete") == 0 && !who)
        return homes_delete(tree, space, why);
    return failure_set(why, CODE_INVALID,
                       "lab/spaces/%s: \"%s\" is not understood: write share NAME, share everyone, unshare NAME, leave, "
                       "rotate or, of a home whose owner was removed, delete",
                       space, verb);
}

static enum code command_space(void *context, const char *path, const char *text, size_t count, struct failure *why)
{
    enum code code = people_view_command(people_tree(context), file_base_name(path), text, count, why);
    /* A name that nobody has makes the request wrong; the file is not missing, as writers would be told. */
    return code == CODE_NOT_FOUND ? failure_wrap(why, CODE_INVALID, "%s", path) : code;
}

enum code people_view_add(struct people *people, struct failure *why)
{
    const struct rule rules[] = {
        {.kind = RULE_CONTROL,
         .pattern = "lab/members/*",
         .context = people,
         .list = list_members,
         .render = render_member,
         .command = command_member,
         .creatable = true,
         .personal = true, /* an invitation's line is for whoever made it */
         .remove = remove_member},
        {.kind = RULE_CONTROL,
         .pattern = "lab/wireguard",
         .context = people,
         .mode = 0600,
         .personal = true,
         .render = render_wireguard,
         .command = command_wireguard},
        {.kind = RULE_CONTROL,
         .pattern = "lab/spaces/*",
         .context = people,
         .list = list_spaces,
         .render = render_space,
         .command = command_space},
    };
    enum code quotas = people_quota_add(people_tree(people), why);
    if (quotas != CODE_OK)
        return failure_wrap(why, quotas, "adding lab/quotas");
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        enum code code = rule_add(people_tree(people), &rules[i], why);
        if (code != CODE_OK)
            return failure_wrap(why, code, "adding %s", rules[i].pattern);
    }
    return CODE_OK;
}
