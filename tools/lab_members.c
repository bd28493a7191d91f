/* Members and sharing: see lab_members.h.  What a mounted lab's server refuses is told by the newest line of lab/last-error.
 */
#include "lab_members.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer.h"
#include "file.h"
#include "lab_store.h"
#include "member_card.h"
#include "people.h"
#include "people_quota.h"
#include "people_view.h"
#include "progress_bar.h"
#include "quota.h"
#include "scope.h"
#include "tree_members.h"
#include "tree_readers.h"
#include "tree_recovery.h"

#define TEXT_BYTES_MAX ((size_t)1 << 20)
#define POLL_US        200000

static bool is_mounted(const struct lab_members_place *place)
{
    SCOPE_FREE char *members = file_join(place->path, "lab/members");
    SCOPE_FREE char *queue = file_join(place->path, "jobs/queue");
    return members && queue && file_is_folder(members) && file_exists(queue);
}

/* A space is also named by its path: datasets/cells, /lab/datasets/cells/, home/ada. */
static void name_space(const char *given, char name[TREE_NAME_MAX + 16])
{
    size_t length = strlen(given);
    while (length && given[length - 1] == '/')
        length--;
    size_t start = length;
    while (start && given[start - 1] != '/')
        start--;
    size_t above = start ? start - 1 : 0;
    bool home = start && above >= 4 && memcmp(given + above - 4, "home", 4) == 0 && (above == 4 || given[above - 5] == '/');
    snprintf(name, TREE_NAME_MAX + 16, "%s%.*s", home ? "home-" : "", (int)(length - start), given + start);
}

/* Mounted ---------------------------------------------------------------------------------------------------------- */

/* The newest line is behind a time, and begins with the path that it is about: another's refusal is not ours. */
static int refuse_mounted(const struct lab_members_place *place, const char *path, int error)
{
    SCOPE_BUFFER text = {0};
    struct failure why;
    SCOPE_FREE char *last = file_join(place->path, "lab/last-error");
    failure_set_errno(&why, error, "%s", path);
    const char *inside = strncmp(path, place->path, strlen(place->path)) == 0 ? path + strlen(place->path) : path;
    inside += strspn(inside, "/");
    if (last && file_read(last, TEXT_BYTES_MAX, &text, NULL) == CODE_OK && text.length > 21 &&
        isdigit((unsigned char)text.data[0]) && strncmp(text.data + 21, inside, strlen(inside)) == 0)
        failure_set(&why, why.code, "%.*s", (int)strcspn(text.data + 21, "\n"), text.data + 21);
    else if (error == EEXIST)
        failure_set(&why, CODE_EXISTS, "%s is there already", inside);
    return command_fail(place->command, &why);
}

static int write_file(const struct lab_members_place *place, const char *folder, const char *name, const char *text,
                      size_t count)
{
    SCOPE_FREE char *above = file_join(place->path, folder);
    SCOPE_FREE char *path = above ? file_join(above, name) : NULL;
    const bool spaces = strcmp(folder, "lab/spaces") == 0; /* which the lab alone makes */
    SCOPE_CLOSE int fd = path ? open(path, O_WRONLY | (spaces ? 0 : O_CREAT) | O_CLOEXEC, 0644) : -1;
    if (fd < 0 && spaces && errno == ENOENT) {
        struct failure why;
        failure_set(&why, CODE_NOT_FOUND, "%s: there is no such dataset or home (see: ls %s)", name, above);
        return command_fail(place->command, &why);
    }
    if (fd < 0 || write(fd, text, count) != (ssize_t)count)
        return refuse_mounted(place, path ? path : name, errno);
    return EXIT_DONE;
}

/* Each file of the folder, under its name where `titled`. */
static int print_folder(const struct lab_members_place *place, const char *which, bool titled)
{
    struct file_names names;
    struct failure why;
    SCOPE_FREE char *folder = file_join(place->path, which);
    if (!folder || file_list(folder, 1 << 16, &names, &why) != CODE_OK)
        return command_fail(place->command, &why);
    for (size_t i = 0; i < names.count; i++) {
        SCOPE_BUFFER text = {0};
        SCOPE_FREE char *path = file_join(folder, names.names[i]);
        if (path && file_read(path, TEXT_BYTES_MAX, &text, NULL) == CODE_OK)
            printf("%s%s%s%s", i ? "\n" : "", titled ? names.names[i] : "", titled ? "\n" : "", buffer_text(&text));
    }
    file_names_free(&names);
    return EXIT_DONE;
}

static int wait_mounted(const struct lab_members_place *place, const char *space)
{
    struct failure why;
    SCOPE_FREE char *folder = file_join(place->path, "lab/spaces");
    SCOPE_FREE char *path = folder ? file_join(folder, space) : NULL;
    for (;;) {
        SCOPE_BUFFER text = {0};
        if (!path || file_read(path, TEXT_BYTES_MAX, &text, &why) != CODE_OK)
            return command_fail(place->command, &why);
        if (!strstr(buffer_text(&text), "\nrotation "))
            return EXIT_DONE;
        usleep(POLL_US);
    }
}

/* A store ---------------------------------------------------------------------------------------------------------- */

typedef enum code with_tree(struct tree *tree, const void *argument, struct failure *why);

static int open_and(const struct lab_members_place *place, with_tree *act, const void *argument)
{
    struct failure why;
    struct lab_store store;
    if (lab_store_open(place->path, &(struct lab_store_options){.key = place->key}, &store, &why) != CODE_OK)
        return command_fail(place->command, &why);
    enum code code = act(store.tree, argument, &why);
    lab_store_close(&store);
    return code == CODE_OK ? EXIT_DONE : command_fail(place->command, &why);
}

static enum code add(struct tree *tree, const void *argument, struct failure *why)
{
    return members_add(tree, argument, ROLE_SCIENTIST, why);
}

static enum code remove_one(struct tree *tree, const void *argument, struct failure *why)
{
    struct people *people;
    enum code code = people_create(tree, &(struct people_options){0}, &people, why);
    if (code != CODE_OK)
        return code;
    code = people_remove(people, argument, why);
    people_destroy(people);
    return code;
}

/* Only its owner may read it, from the first byte on. */
static enum code write_secret(const char *path, const char *text, size_t count, struct failure *why)
{
    mode_t before = umask(077);
    enum code code = file_replace(path, text, count, why);
    umask(before);
    return code;
}

/* Prints the line of an invitation, with the host that was asked for, where one was; what follows it are files, each behind
 * a line "# NAME", up to a line that begins with "name ". */
static enum code hand_out(const char *text, const char *host, struct failure *why)
{
    const char *at = text + strcspn(text, "\n"), *word = at;
    while (word > text && word[-1] != ' ')
        word--;
    if (host)
        printf("cytofs join %s %.*s\n", host, (int)(at - word), word);
    else
        printf("%.*s\n", (int)(at - text), text);
    while (*at == '\n' && strncmp(at + 1, "# ", 2) == 0) {
        SCOPE_BUFFER name = {0};
        at += 3;
        buffer_append(&name, at, strcspn(at, "\n"));
        const char *body = at + name.length + 1, *end = body;
        while (*end &&
               !(end[-1] == '\n' && (strncmp(end, "# " PEOPLE_WIREGUARD_FILE "\n", sizeof PEOPLE_WIREGUARD_FILE + 2) == 0 ||
                                     strncmp(end, "name ", 5) == 0)))
            end++;
        enum code code = write_secret(buffer_text(&name), body, (size_t)(end - body), why);
        if (code != CODE_OK)
            return code;
        printf("%s: %s\n", buffer_text(&name),
               strcmp(buffer_text(&name), PEOPLE_WIREGUARD_FILE) == 0
                   ? "for this server: wg-quick up ./" PEOPLE_WIREGUARD_FILE
                   : "for that workstation, with the line: wg-quick up");
        at = end - 1;
    }
    return CODE_OK;
}

static enum code invite(struct tree *tree, const void *argument, struct failure *why)
{
    const struct lab_members_invitation *invitation = argument;
    const struct people_options options = {.host = invitation->host};
    struct people_invitation wanted = {
        .name = invitation->name, .days = invitation->days, .endpoint = invitation->endpoint, .subnet = invitation->subnet};
    struct people *people;
    SCOPE_BUFFER line = {0};
    enum code code = member_role_parse(invitation->role, strlen(invitation->role), &wanted.role, why);
    if (code == CODE_OK)
        code = people_create(tree, &options, &people, why);
    if (code != CODE_OK)
        return code;
    code = people_invite(people, &wanted, &line, why);
    people_destroy(people);
    return code == CODE_OK ? hand_out(buffer_text(&line), NULL, why) : code;
}

static enum code replace_recovery(struct tree *tree, const void *argument, struct failure *why)
{
    const struct member_card *card = argument;
    return recovery_replace(tree, &card->public, why);
}

struct role_change {
    const char *name, *role;
};

static enum code set_role(struct tree *tree, const void *argument, struct failure *why)
{
    const struct role_change *change = argument;
    enum member_role role;
    enum code code = member_role_parse(change->role, strlen(change->role), &role, why);
    return code == CODE_OK ? members_set_role(tree, change->name, role, why) : code;
}

static void print_member(void *context, const char *name)
{
    struct people *people = context;
    SCOPE_BUFFER text = {0};
    if (members_describe(people_tree(people), name, &text, NULL) == CODE_OK ||
        people_describe_invited(people, name, &text, NULL) == CODE_OK)
        printf("%s\n", buffer_text(&text));
}

static enum code list(struct tree *tree, const void *argument, struct failure *why)
{
    (void)argument;
    struct people *people;
    enum code code = people_create(tree, &(struct people_options){0}, &people, why);
    if (code != CODE_OK)
        return code;
    members_list(tree, print_member, people);
    people_list_invited(people, print_member, people);
    people_destroy(people);
    return CODE_OK;
}

struct space_change {
    const char *space, *text;
    bool wait;
};

/* What an older key sealed is sealed anew while the tree is open. */
static enum code wait_open(struct tree *tree, const char *space, struct failure *why)
{
    for (;;) {
        SCOPE_BUFFER text = {0};
        enum code code = readers_describe_space(tree, space, &text, why);
        if (code != CODE_OK || !strstr(buffer_text(&text), "\nrotation "))
            return code;
        usleep(POLL_US);
    }
}

static enum code change_space(struct tree *tree, const void *argument, struct failure *why)
{
    const struct space_change *change = argument;
    enum code code = people_view_command(tree, change->space, change->text, strlen(change->text), why);
    return code == CODE_OK && change->wait ? wait_open(tree, change->space, why) : code;
}

/* Either ----------------------------------------------------------------------------------------------------------- */

int lab_members_add(const struct lab_members_place *place, const char *name, const char *card, size_t count)
{
    struct member_card parsed;
    struct failure why;
    if (member_card_parse(card, count, &parsed, &why) != CODE_OK || member_card_check_name(name, &why) != CODE_OK)
        return command_fail(place->command, &why);
    if (is_mounted(place))
        return write_file(place, "lab/members", name, card, count);
    strcpy(parsed.name, name);
    return open_and(place, add, &parsed);
}

int lab_members_replace_recovery(const struct lab_members_place *place, const struct member_card *card)
{
    char text[MEMBER_CARD_BYTES_MAX];
    size_t count = member_card_write(card, text);
    return is_mounted(place) ? write_file(place, "lab/members", card->name, text, count)
                             : open_and(place, replace_recovery, card);
}

int lab_members_set_role(const struct lab_members_place *place, const char *name, const char *role)
{
    char request[64];
    if (!is_mounted(place))
        return open_and(place, set_role, &(struct role_change){name, role});
    int length = snprintf(request, sizeof request, "role %.40s\n", role);
    return write_file(place, "lab/members", name, request, (size_t)length);
}

/* What the file holds for whoever invited. */
static int print_invitation(const struct lab_members_place *place, const char *name, const char *host)
{
    struct failure why;
    SCOPE_BUFFER text = {0};
    SCOPE_FREE char *folder = file_join(place->path, "lab/members");
    SCOPE_FREE char *path = folder ? file_join(folder, name) : NULL;
    if (!path || file_read(path, TEXT_BYTES_MAX, &text, &why) != CODE_OK ||
        hand_out(buffer_text(&text), host, &why) != CODE_OK)
        return command_fail(place->command, &why);
    return EXIT_DONE;
}

int lab_members_invite(const struct lab_members_place *place, const struct lab_members_invitation *invitation)
{
    char request[256];
    if (!is_mounted(place))
        return open_and(place, invite, invitation);
    int length = snprintf(request, sizeof request, "invite %s %d %s %s\n", invitation->role, invitation->days,
                          invitation->endpoint ? invitation->endpoint : "",
                          invitation->endpoint && invitation->subnet ? invitation->subnet : "");
    if (length >= (int)sizeof request)
        return command_usage(place->command, "the role or the VPN's endpoint is too long");
    int status = write_file(place, "lab/members", invitation->name, request, (size_t)length);
    return status == EXIT_DONE ? print_invitation(place, invitation->name, invitation->host) : status;
}

int lab_members_remove(const struct lab_members_place *place, const char *name)
{
    if (!is_mounted(place))
        return open_and(place, remove_one, name);
    SCOPE_FREE char *folder = file_join(place->path, "lab/members");
    SCOPE_FREE char *path = folder ? file_join(folder, name) : NULL;
    return path && unlink(path) == 0 ? EXIT_DONE : refuse_mounted(place, path ? path : name, errno);
}

int lab_members_list(const struct lab_members_place *place)
{
    return is_mounted(place) ? print_folder(place, "lab/members", false) : open_and(place, list, NULL);
}

int lab_members_change_space(const struct lab_members_place *place, const char *space, const char *text, bool wait)
{
    char name[TREE_NAME_MAX + 16];
    name_space(space, name);
    if (!is_mounted(place))
        return open_and(place, change_space, &(struct space_change){name, text, wait});
    int status = write_file(place, "lab/spaces", name, text, strlen(text));
    return status == EXIT_DONE && wait ? wait_mounted(place, name) : status;
}

/* Quotas ----------------------------------------------------------------------------------------------------------- */

static enum code print_quotas_of(struct tree *tree, const char *name, bool titled, struct failure *why)
{
    SCOPE_BUFFER text = {0};
    enum code code = people_quota_describe(tree, name, &text, why);
    if (code == CODE_OK)
        printf("%s%s%s", titled ? name : "", titled ? "\n" : "", buffer_text(&text));
    return code;
}

struct printing {
    struct tree *tree;
    struct failure *why;
    enum code code;
};

static void print_member_quotas(void *context, const char *name)
{
    struct printing *printing = context;
    if (printing->code == CODE_OK)
        printing->code = print_quotas_of(printing->tree, name, true, printing->why);
    putchar('\n');
}

static enum code print_quotas(struct tree *tree, const void *name, struct failure *why)
{
    struct printing printing = {.tree = tree, .why = why};
    if (name)
        return print_quotas_of(tree, name, false, why);
    members_list(tree, print_member_quotas, &printing);
    return printing.code == CODE_OK ? print_quotas_of(tree, QUOTA_EVERYONE, true, why) : printing.code;
}

int lab_members_show_quotas(const struct lab_members_place *place, const char *name)
{
    SCOPE_BUFFER text = {0};
    struct failure why;
    if (!is_mounted(place))
        return open_and(place, print_quotas, name);
    if (!name)
        return print_folder(place, "lab/quotas", true);
    SCOPE_FREE char *folder = file_join(place->path, "lab/quotas");
    SCOPE_FREE char *path = folder ? file_join(folder, name) : NULL;
    if (!path || file_read(path, TEXT_BYTES_MAX, &text, &why) != CODE_OK)
        return command_fail(place->command, &why);
    fputs(buffer_text(&text), stdout);
    return EXIT_DONE;
}

struct quota_request {
    const char *name, *words;
};

static enum code set_quotas(struct tree *tree, const void *argument, struct failure *why)
{
    const struct quota_request *request = argument;
    return people_quota_command(tree, request->name, request->words, strlen(request->words), why);
}

int lab_members_set_quotas(const struct lab_members_place *place, const char *name, const char *words)
{
    return is_mounted(place) ? write_file(place, "lab/quotas", name, words, strlen(words))
                             : open_and(place, set_quotas, &(struct quota_request){name, words});
}
