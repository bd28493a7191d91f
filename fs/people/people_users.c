/* Users of the server's machine: see people_users.h.  The record is the text that lab/users shows; it is read anew each
 * time, since a connection is rare.  Any thread; two who write at once are kept in turn by a lock. */
#include "people_users.h"

#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "member_key.h"
#include "rule.h"
#include "scope.h"
#include "tree.h"
#include "tree_members.h"
#include "tree_record.h"
#include "users_list.h"

#define RECORD_ROOM 65536 /* bytes of an entry of the password database */

static const struct record_place place = {.folder = "lab/members", .name = RECORD_PREFIX "users"};
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

/* The list as text; empty where there is none yet. */
static enum code read_list(struct tree *tree, struct buffer *out, struct failure *why)
{
    enum code code = record_get(tree, &place, out, why);
    return code == CODE_NO_DATA ? CODE_OK : code;
}

static enum code set_one(struct tree *tree, const struct users_entry *entry, struct failure *why)
{
    struct member_public member;
    enum code code =
        strcmp(entry->member, USERS_LIST_NOBODY) == 0 ? CODE_OK : members_find(tree, entry->member, &member, why);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&changing);
    SCOPE_BUFFER before = {.max = USERS_LIST_MAX};
    SCOPE_BUFFER after = {.max = USERS_LIST_MAX};
    if (code == CODE_OK)
        code = read_list(tree, &before, why);
    if (code != CODE_OK)
        return code;
    users_list_change(buffer_text(&before), before.length, entry, &after);
    code = buffer_check(&after, "lab/users", why);
    return code == CODE_OK ? record_put(tree, &place, buffer_text(&after), after.length, why) : code;
}

static enum code take_command(void *context, const char *path, const char *text, size_t count, struct failure *why)
{
    struct users_line line;
    for (const char *at = text; users_list_next(&at, text + count, &line);) {
        if (line.length == 0)
            continue;
        if (!line.is_entry)
            return failure_set(why, CODE_INVALID, "%s: \"%.*s\" (write lines like: alice ada, or to take her out: alice -)",
                               path, line.length > 100 ? 100 : (int)line.length, line.text);
        enum code code = set_one(context, &line.entry, why);
        if (code != CODE_OK)
            return failure_wrap(why, code, "%s", path);
    }
    return CODE_OK;
}

static enum code render(void *context, const char *path, struct buffer *out, struct failure *why)
{
    (void)path;
    return read_list(context, out, why);
}

enum code people_users_add(struct tree *tree, struct failure *why)
{
    const struct rule rule = {
        .kind = RULE_CONTROL, .pattern = "lab/users", .context = tree, .render = render, .command = take_command};
    return rule_add(tree, &rule, why);
}

/* Whether the entry speaks of this user. */
static bool is_user(const struct users_entry *entry, uid_t uid)
{
    char number[16];
    snprintf(number, sizeof number, "%u", uid);
    if (strspn(entry->user, "0123456789") == strlen(entry->user))
        return strcmp(entry->user, number) == 0;
    struct passwd record, *found = NULL;
    SCOPE_FREE char *room = malloc(RECORD_ROOM);
    return room && getpwnam_r(entry->user, &record, room, RECORD_ROOM, &found) == 0 && found && found->pw_uid == uid;
}

enum code people_users_find(struct tree *tree, uid_t uid, char member[MEMBER_NAME_MAX + 1], struct failure *why)
{
    SCOPE_BUFFER list = {.max = USERS_LIST_MAX};
    enum code code = read_list(tree, &list, why);
    if (code != CODE_OK)
        return code;
    struct users_line line;
    for (const char *at = buffer_text(&list); users_list_next(&at, buffer_text(&list) + list.length, &line);)
        if (line.is_entry && is_user(&line.entry, uid)) {
            strcpy(member, line.entry.member);
            return CODE_OK;
        }
    if (uid != geteuid())
        return failure_set(why, CODE_DENIED,
                           "user %u of this machine is no member here (an admin writes into lab/users: LOGIN MEMBER)", uid);
    strcpy(member, tree_member_name(tree));
    return CODE_OK;
}
