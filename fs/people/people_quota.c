/* lab/quotas: see people_quota.h.  Nothing is kept here; each file is a question to the tree, or a request.  Any thread. */
#include "people_quota.h"

#include <inttypes.h>
#include <string.h>

#include "file.h"
#include "rule.h"
#include "tree.h"
#include "tree_members.h"
#include "tree_quota.h"
#include "viewer.h"

#define COMMAND_BYTES_MAX 256

static bool is_admin(void)
{
    const struct viewer *viewer = viewer_current();
    return !viewer || viewer->role == ROLE_ADMIN;
}

/* Whom the thread's viewer may see: himself, or anybody if he is an admin. */
static bool may_see(const char *name)
{
    return is_admin() || strcmp(viewer_current()->name, name) == 0;
}

static void list_members(void *context, const char *folder, rule_emit *emit, void *emit_context)
{
    (void)folder;
    if (!is_admin()) {
        emit(emit_context, viewer_current()->name);
        return;
    }
    members_list(context, emit, emit_context);
    emit(emit_context, QUOTA_EVERYONE);
}

/* Describing --------------------------------------------------------------------------------------------------------- */

static void print_kind(enum quota_kind kind, const struct quota *said, const struct quota *holds, struct buffer *out)
{
    static const char *const meanings[QUOTA_KINDS] = {
        [QUOTA_STORAGE] = "", [QUOTA_JOBS] = " waiting or running", [QUOTA_GPUS] = " at once", [QUOTA_CPUS] = " at once"};
    buffer_printf(out, "%-9s ", quota_kind_name(kind));
    quota_print_most(kind, holds->most[kind], out);
    if (holds->most[kind] <= QUOTA_MOST)
        buffer_append_text(out, meanings[kind]);
    if (said->most[kind] == QUOTA_UNSET)
        buffer_append_text(out, " (as everyone)");
}

enum code people_quota_describe(struct tree *tree, const char *name, struct buffer *out, struct failure *why)
{
    bool everyone = strcmp(name, QUOTA_EVERYONE) == 0;
    struct tree_quota_storage storage = {0};
    const struct quota said = tree_quota_said(tree, name);
    const struct quota holds = everyone ? quota_effective(&said, &quota_unset) : tree_quota_of(tree, name);
    enum code code = everyone ? CODE_OK : tree_quota_storage_of(tree, name, &storage, why);
    if (code != CODE_OK)
        return code;
    for (int kind = 0; kind < QUOTA_KINDS; kind++) {
        print_kind((enum quota_kind)kind, everyone ? &holds : &said, &holds, out);
        if (kind == QUOTA_STORAGE && !everyone) {
            char used[QUOTA_TEXT_MAX];
            quota_print_bytes(storage.bytes, used);
            buffer_printf(out, "; used: %s (%" PRIu64 " bytes)", used, storage.bytes);
            quota_print_bytes(storage.held, used);
            if (storage.held)
                buffer_printf(out, ", set aside for files on their way: %s", used);
        }
        buffer_append_text(out, "\n");
    }
    return buffer_check(out, "quotas", why);
}

/* Rules -------------------------------------------------------------------------------------------------------------- */

static enum code render(void *context, const char *path, struct buffer *out, struct failure *why)
{
    const char *name = file_base_name(path);
    if (!may_see(name))
        return failure_set(why, CODE_NOT_FOUND, "there is no such file");
    return people_quota_describe(context, name, out, why);
}

enum code people_quota_command(struct tree *tree, const char *name, const char *text, size_t count, struct failure *why)
{
    if (count > COMMAND_BYTES_MAX)
        return failure_set(why, CODE_INVALID, "lab/quotas/%s: a request has up to %d bytes", name, COMMAND_BYTES_MAX);
    struct quota quota = tree_quota_said(tree, name);
    enum code code = quota_change(&quota, text, count, why);
    if (code == CODE_OK)
        return tree_quota_say(tree, name, &quota, why);
    return failure_wrap(why, code, "lab/quotas/%s", name);
}

static enum code command(void *context, const char *path, const char *text, size_t count, struct failure *why)
{
    if (!is_admin())
        return failure_set(why, CODE_DENIED, "%s: a %s cannot change quotas: ask an admin", path,
                           member_role_name(viewer_current()->role));
    enum code code = people_quota_command(context, file_base_name(path), text, count, why);
    return code == CODE_NOT_FOUND ? CODE_INVALID : code; /* the name is wrong, not a file missing */
}

enum code people_quota_add(struct tree *tree, struct failure *why)
{
    const struct rule rule = {.kind = RULE_CONTROL,
                              .pattern = "lab/quotas/*",
                              .context = tree,
                              .list = list_members,
                              .render = render,
                              .command = command,
                              .personal = true};
    return rule_add(tree, &rule, why);
}
