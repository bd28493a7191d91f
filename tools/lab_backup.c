/* lab/backup: see lab_backup.h and fs/session/lab_task.h.
 *
 * The point is of the moment at which the work begins: everything is committed first; from before that until the packs are
 * copied, none of them is dropped.  A folder inside a lab is refused, this one or another: the server would wait for itself.
 */
#include "lab_backup.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup_make.h"
#include "file.h"
#include "lab_store.h"
#include "lab_task.h"
#include "mirror_set.h"
#include "scope.h"
#include "store_folder.h"

#define HELP "write the folder to save into, an absolute path; before it \"keep N\" removes the oldest points but N"

/* What a line asks for. */
struct order {
    const char *folder;
    struct backup_options options;
};

static enum code parse(const char *line, struct order *order, struct failure *why)
{
    *order = (struct order){0};
    int length = 0;
    unsigned keep = 0;
    if (strncmp(line, "again ", 6) == 0) {
        order->options.again = true;
        line += 6;
    }
    if (sscanf(line, "keep %6u %n", &keep, &length) == 1 && length) {
        order->options.keep = keep;
        line += length;
    }
    order->folder = line;
    if (line[0] != '/')
        return failure_set(why, CODE_INVALID, "\"%s\" is no absolute path: " HELP, line);
    return strlen(line) < PATH_MAX ? CODE_OK : failure_set(why, CODE_NAME_TOO_LONG, "the path is too long");
}

static bool lies_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static enum code check(void *context, const char *line, struct failure *why)
{
    const struct lab_backup *backup = context;
    struct order order;
    enum code code = parse(line, &order, why);
    if (code == CODE_OK && !backup->store->folder)
        code = failure_set(why, CODE_UNSUPPORTED, "this lab lies in memory: there is nothing to save");
    if (code == CODE_OK && backup->mountpoint && lies_in(order.folder, backup->mountpoint))
        code = failure_set(why, CODE_INVALID, "%s lies in the lab itself: name a folder on another disk", order.folder);
    return code;
}

/* The real path of the deepest folder of `path` that exists. */
static bool resolve(const char *path, char real[PATH_MAX])
{
    SCOPE_FREE char *above = strdup(path);
    while (above && above[0]) {
        if (realpath(above, real))
            return true;
        char *slash = strrchr(above, '/');
        if (!slash || slash == above)
            break;
        *slash = 0;
    }
    return above && realpath("/", real);
}

/* Whether the mount that holds the path is a lab: mountinfo's lines are "... MOUNTPOINT OPTIONS ... - TYPE SOURCE ...". */
static bool is_in_a_lab(const char *real)
{
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    SCOPE_FREE char *line = NULL;
    size_t room = 0, deepest = 0;
    bool lab = false;
    while (mounts && getline(&line, &room, mounts) > 0) {
        char mountpoint[PATH_MAX], type[64];
        const char *behind = strstr(line, " - ");
        if (sscanf(line, "%*s %*s %*s %*s %4095s", mountpoint) != 1 || !behind || sscanf(behind, " - %63s", type) != 1 ||
            (strcmp(mountpoint, "/") != 0 && !lies_in(real, mountpoint)) || strlen(mountpoint) < deepest)
            continue;
        deepest = strlen(mountpoint);
        lab = strcmp(type, "fuse.cytofs") == 0;
    }
    if (mounts)
        fclose(mounts);
    return lab;
}

/* The store's own folder is no better: its disk is what a backup is against, and its lock is ours. */
static enum code check_place(const struct lab_backup *backup, const char *folder, struct failure *why)
{
    char real[PATH_MAX], own[PATH_MAX];
    if (!resolve(folder, real))
        return failure_set_errno(why, errno, "%s: cannot be looked at", folder);
    if (is_in_a_lab(real))
        return failure_set(why, CODE_INVALID, "%s lies in a lab: name a folder on another disk", folder);
    if (realpath(store_folder_path(backup->store->folder), own) && lies_in(real, own))
        return failure_set(why, CODE_INVALID, "%s lies in the store itself: name a folder on another disk", folder);
    return CODE_OK;
}

static bool tell(void *context, const struct backup_progress *progress)
{
    return lab_task_progress(context, progress->bytes_done / 1000000, progress->bytes_all / 1000000);
}

static enum code save_catalog(void *tree, const char *path, struct failure *why)
{
    return tree_save_catalog(tree, path, why);
}

static enum code save(const struct lab_backup *backup, const struct order *order, struct backup_summary *summary,
                      struct failure *why)
{
    struct tree *tree = backup->store->tree;
    struct mirror_set *mirrors = backup->store->mirrors;
    const struct backup_source source = {.id = *mirror_set_id(mirrors),
                                         .folder = mirror_set_path(mirrors, mirror_set_leader(mirrors)),
                                         .chunks = backup->store->chunks,
                                         .save_catalog = save_catalog,
                                         .context = tree};
    enum code code = check_place(backup, order->folder, why);
    if (code == CODE_OK)
        code = tree_sync(tree, why);
    if (code != CODE_OK)
        return code;
    tree_hold_packs(tree);
    code = backup_make(order->folder, &source, &order->options, summary, why);
    tree_release_packs(tree);
    return code;
}

static enum code run(void *context, const char *line, struct lab_task *task, struct failure *why)
{
    const struct lab_backup *backup = context;
    struct order order;
    struct backup_summary summary;
    SCOPE_BUFFER text = {0};
    enum code code = parse(line, &order, why);
    order.options.progress = tell;
    order.options.context = task;
    if (code == CODE_OK)
        code = save(backup, &order, &summary, why);
    if (code != CODE_OK)
        return code;
    backup_make_describe(order.folder, &summary, &text);
    lab_task_say(task, "%s", buffer_text(&text));
    if (summary.damages)
        lab_task_mark_incomplete(task);
    return CODE_OK;
}

enum code lab_backup_add(const struct lab_backup *backup, struct lab_task **out, struct failure *why)
{
    const struct lab_task_work work = {
        .path = "lab/backup", .unit = "MB", .help = HELP, .check = check, .run = run, .context = (void *)(uintptr_t)backup};
    return lab_task_add(backup->store->tree, &work, out, why);
}
