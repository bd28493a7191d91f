/* Users of the server's machine: see people_users.h.  The record is the text that lab/users shows; it is read anew each time, since a connection is
 * rare.  Any thread; two who write at once are kept in turn by a lock. */
#include "people_users.h"

#include <pthread.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "member_key.h"
#include "rule.h"
#include "scope.h"
#include "tree.h"
#include "tree_members.h"
#include "tree_record.h"

#define TEXT_MAX       65536
#define USER_BYTES_MAX 64

static const struct record_place place = {.folder = "lab/members", .name = RECORD_PREFIX "users"};
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

struct entry {
    char user[USER_BYTES_MAX + 1], member[MEMBER_NAME_MAX + 1];
};

/* The list as text; empty where there is none yet. */
static enum code read_list(struct tree *tree, struct buffer *out, struct failure *why)
{
    enum code code = record_get(tree, &place, out, why);
    return code == CODE_NO_DATA ? CODE_OK : code;
}

/* One word from the front of the line into `word`, of up to `max` bytes; NULL where there is none, or it is longer. */
static const char *take_word(const char *line, const char *end, char *word, size_t max)
{
    while (line < end && (*line == ' ' || *line == '\t'))
        line++;
    const char *from = line;
    while (line < end && *line != ' ' && *line != '\t')
        line++;
    size_t length = (size_t)(line - from);
    if (length == 0 || length > max)
        return NULL;
    memcpy(word, from, length);
    word[length] = 0;
    return line;
}

/* The entry of a line; false where it is none. */
static bool parse(const char *line, const char *end, struct entry *out)
{
    const char *at = take_word(line, end, out->user, USER_BYTES_MAX);
    at = at ? take_word(at, end, out->member, MEMBER_NAME_MAX) : NULL;
    while (at && at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at == end;
}

/* The line from *at on, which moves behind it. */
static const char *next_line(const char **at, const char *end)
{
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    stop = stop ? stop : end;
    *at = stop < end ? stop + 1 : end;
    return stop;
}

/* Without the user's line, and with the new one unless the member is "-". */
static void change(const struct buffer *before, const struct entry *entry, struct buffer *after)
{
    const char *at = buffer_text(before), *end = at + before->length;
    while (at < end) {
        const char *line = at, *stop = next_line(&at, end);
        struct entry found;
        if (parse(line, stop, &found) && strcmp(found.user, entry->user) != 0)
            buffer_printf(after, "%s %s\n", found.user, found.member);
    }
    if (strcmp(entry->member, "-") != 0)
        buffer_printf(after, "%s %s\n", entry->user, entry->member);
}

static enum code set_one(struct tree *tree, const struct entry *entry, struct failure *why)
{
    struct member_public member;
    enum code code = strcmp(entry->member, "-") == 0 ? CODE_OK : members_find(tree, entry->member, &member, why);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&changing);
    SCOPE_BUFFER before = {.max = TEXT_MAX};
    SCOPE_BUFFER after = {.max = TEXT_MAX};
    if (code == CODE_OK)
        code = read_list(tree, &before, why);
    if (code != CODE_OK)
        return code;
    change(&before, entry, &after);
    code = buffer_check(&after, "lab/users", why);
    return code == CODE_OK ? record_put(tree, &place, buffer_text(&after), after.length, why) : code;
}

static enum code take_command(void *context, const char *path, const char *text, size_t count, struct failure *why)
{
    const char *at = text, *end = text + count;
    while (at < end) {
        struct entry entry;
        const char *line = at, *stop = next_line(&at, end);
        if (line == stop)
            continue;
        if (!parse(line, stop, &entry))
            return failure_set(why, CODE_INVALID, "%s: \"%.*s\" (write lines like: alice ada, or to take her out: alice -)", path,
                               stop - line > 100 ? 100 : (int)(stop - line), line);
        enum code code = set_one(context, &entry, why);
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
static bool is_user(const struct entry *entry, uid_t uid)
{
    char *end;
    unsigned long number = strtoul(entry->user, &end, 10);
    if (!*end)
        return number == uid;
    struct passwd record, *found = NULL;
    SCOPE_FREE char *room = malloc(TEXT_MAX);
    return room && getpwnam_r(entry->user, &record, room, TEXT_MAX, &found) == 0 && found && found->pw_uid == uid;
}

enum code people_users_find(struct tree *tree, uid_t uid, char member[MEMBER_NAME_MAX + 1], struct failure *why)
{
    SCOPE_BUFFER list = {.max = TEXT_MAX};
    enum code code = read_list(tree, &list, why);
    if (code != CODE_OK)
        return code;
    const char *at = buffer_text(&list), *end = at + list.length;
    while (at < end) {
        struct entry entry;
        const char *line = at, *stop = next_line(&at, end);
        if (parse(line, stop, &entry) && is_user(&entry, uid)) {
            strcpy(member, entry.member);
            return CODE_OK;
        }
    }
    if (uid != geteuid())
        return failure_set(why, CODE_DENIED, "user %u of this machine is no member here (an admin writes into lab/users: LOGIN MEMBER)",
                           uid);
    strcpy(member, tree_member_name(tree));
    return CODE_OK;
}
