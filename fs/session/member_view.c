/* lab/members and lab/spaces: see member_view.h.  Nothing is kept here; each file is a question to the tree, or a request. */
#include "member_view.h"

#include <string.h>

#include "file.h"
#include "member_card.h"
#include "rule.h"
#include "tree_members.h"

#define COMMAND_BYTES_MAX 256

/* lab/members ------------------------------------------------------------------------------------------------------ */

static void list_members(void *context, const char *folder, rule_emit *emit, void *emit_context)
{
    (void)folder;
    members_list(context, emit, emit_context);
}

static enum code render_member(void *context, const char *path, struct buffer *out, struct failure *why)
{
    return members_describe(context, file_base_name(path), out, why);
}

/* The name of the file is the member's; the one on the card is what he calls himself. */
static enum code add_member(void *context, const char *path, const char *text, size_t count, struct failure *why)
{
    struct member_card card;
    enum code code = member_card_parse(text, count, &card, why);
    if (code == CODE_OK)
        code = member_card_check_name(file_base_name(path), why);
    if (code != CODE_OK)
        return failure_wrap(why, code == CODE_CORRUPT ? CODE_INVALID : code, "%s", path);
    strcpy(card.name, file_base_name(path));
    return members_add(context, &card, ROLE_SCIENTIST, why);
}

static enum code remove_member(void *context, const char *path, struct failure *why)
{
    return members_remove(context, file_base_name(path), why);
}

/* lab/spaces ------------------------------------------------------------------------------------------------------- */

static void list_spaces(void *context, const char *folder, rule_emit *emit, void *emit_context)
{
    (void)folder;
    members_list_spaces(context, emit, emit_context);
}

static enum code render_space(void *context, const char *path, struct buffer *out, struct failure *why)
{
    return members_describe_space(context, file_base_name(path), out, why);
}

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

enum code member_view_command(struct tree *tree, const char *space, const char *text, size_t count,
                              struct failure *why)
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
        return members_share(tree, space, who, why);
    if (strcmp(verb, "unshare") == 0 && who && !more)
        return members_unshare(tree, space, who, why);
    if (strcmp(verb, "leave") == 0 && !who)
        return members_leave(tree, space, why);
    if (strcmp(verb, "rotate") == 0 && !who)
        return members_rotate(tree, space, why);
    return failure_set(why, CODE_INVALID,
                       "lab/spaces/%s: \"%s\" is not understood: write share NAME, share everyone, unshare NAME, leave or "
                       "rotate",
                       space, verb);
}

static enum code command_space(void *context, const char *path, const char *text, size_t count, struct failure *why)
{
    enum code code = member_view_command(context, file_base_name(path), text, count, why);
    /* A name that nobody has makes the request wrong; the file is not missing, as writers would be told. */
    return code == CODE_NOT_FOUND ? failure_wrap(why, CODE_INVALID, "%s", path) : code;
}

enum code member_view_add(struct tree *tree, struct failure *why)
{
    const struct rule rules[] = {
        {.kind = RULE_CONTROL,
         .pattern = "lab/members/*",
         .context = tree,
         .list = list_members,
         .render = render_member,
         .command = add_member,
         .creatable = true,
         .remove = remove_member},
        {.kind = RULE_CONTROL,
         .pattern = "lab/spaces/*",
         .context = tree,
         .list = list_spaces,
         .render = render_space,
         .command = command_space},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        enum code code = rule_add(tree, &rules[i], why);
        if (code != CODE_OK)
            return failure_wrap(why, code, "adding %s", rules[i].pattern);
    }
    return CODE_OK;
}
