/* cytofs snapshot: made, listed and dropped by operations on the dataset's .snap folder, as anybody may do by hand: mkdir,
 * ls, rmdir. */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "file.h"
#include "scope.h"
#include "when.h"

const char command_snapshot_details[] = "Keeps the dataset (the path of its folder in a mounted lab) as it is now, under "
                                        "LABEL or, without one, today's date and time.\n"
                                        "The files are then found in DATASET/.snap/LABEL, and cannot be changed there; "
                                        ".snap/NUMBER and .snap/2026-11-22 lead to the\n"
                                        "snapshot of that number, and to the last one made on that day or before.";

#define SNAPSHOTS_MAX    100000
#define NUMBER_XATTR     "user.cytofs.number"
#define FOLDERS_OPEN_MAX 16

static int fail(const struct command *command, const char *path, int error)
{
    struct failure why;
    if (error == ENOENT)
        failure_set(&why, CODE_NOT_FOUND, "%s: there is no such dataset or snapshot (see: cytofs snapshot --list)", path);
    else if (error == EEXIST)
        failure_set(&why, CODE_EXISTS, "%s: there is such a snapshot already", path);
    else if (error == EINVAL)
        failure_set(&why, CODE_INVALID, "%s: no label can look like a number or a moment, nor begin with .cytofs-", path);
    else
        failure_set_errno(&why, error, "%s", path);
    return command_fail(command, &why);
}

/* Listing ---------------------------------------------------------------------------------------------------------- */

struct line {
    char *label;
    uint64_t number, files, bytes;
    int64_t made_ms;
};

static struct line *counting; /* nftw has no context; this program has one thread here */

static int count_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)path;
    (void)where;
    if (kind == FTW_F || kind == FTW_SL) {
        counting->files++;
        counting->bytes += S_ISREG(status->st_mode) ? (uint64_t)status->st_size : 0;
    }
    return 0;
}

static enum code fill_line(const char *snapshots, struct line *line, struct failure *why)
{
    SCOPE_FREE char *path = file_join(snapshots, line->label);
    struct stat status;
    char number[32] = "";
    if (!path || lstat(path, &status) != 0)
        return failure_set_errno(why, path ? errno : ENOMEM, "%s/%s", snapshots, line->label);
    if (getxattr(path, NUMBER_XATTR, number, sizeof number - 1) > 0)
        line->number = strtoull(number, NULL, 10);
    line->made_ms = (int64_t)status.st_ctim.tv_sec * 1000 + status.st_ctim.tv_nsec / 1000000;
    counting = line;
    nftw(path, count_one, FOLDERS_OPEN_MAX, FTW_PHYS);
    return CODE_OK;
}

static int compare_lines(const void *a, const void *b)
{
    const struct line *left = a, *right = b;
    return (left->number > right->number) - (left->number < right->number);
}

static int list(const struct command *command, const char *snapshots)
{
    struct failure why;
    struct file_names names = {0};
    if (file_list(snapshots, SNAPSHOTS_MAX, &names, &why) != CODE_OK)
        return command_fail(command, &why);
    SCOPE_FREE struct line *lines = calloc(names.count + 1, sizeof *lines);
    enum code code = lines ? CODE_OK : failure_set(&why, CODE_NO_MEMORY, "out of memory");
    for (size_t i = 0; code == CODE_OK && i < names.count; i++) {
        lines[i].label = names.names[i];
        code = fill_line(snapshots, &lines[i], &why);
    }
    if (code == CODE_OK)
        qsort(lines, names.count, sizeof *lines, compare_lines);
    for (size_t i = 0; code == CODE_OK && i < names.count; i++) {
        char made[WHEN_TEXT_BYTES];
        when_print(lines[i].made_ms, made);
        printf("%6" PRIu64 "  %-24s  %s  %8" PRIu64 " files  %12.1f MB\n", lines[i].number, lines[i].label, made,
               lines[i].files, (double)lines[i].bytes / 1e6);
    }
    file_names_free(&names);
    return code == CODE_OK ? EXIT_DONE : command_fail(command, &why);
}

/* Making and dropping ------------------------------------------------------------------------------------------------- */

static int make(const struct command *command, const char *snapshots, const char *label)
{
    char now[WHEN_TEXT_BYTES + 8] = "on-";
    if (!label) {
        when_print((int64_t)time(NULL) * 1000, now + 3);
        for (char *sign = now + 3; *sign; sign++)
            if (*sign == ':')
                *sign = '.'; /* a label that a spec can name */
        label = now;
    }
    SCOPE_FREE char *path = file_join(snapshots, label);
    if (!path || strchr(label, '/'))
        return command_usage(command, "\"%s\" is no label", label);
    if (mkdir(path, 0755) != 0)
        return fail(command, path, errno);
    printf("%s\n", path);
    return EXIT_DONE;
}

/* By label, number or moment; the latter are links. */
static int drop(const struct command *command, const char *snapshots, const char *name)
{
    char label[NAME_MAX + 1] = "";
    SCOPE_FREE char *given = file_join(snapshots, name);
    if (!given || strchr(name, '/'))
        return command_usage(command, "\"%s\" is no snapshot's name", name);
    ssize_t length = readlink(given, label, sizeof label - 1);
    SCOPE_FREE char *path = file_join(snapshots, length > 0 ? label : name);
    if (!path || rmdir(path) != 0)
        return fail(command, path ? path : given, errno);
    printf("dropped %s\n", path);
    return EXIT_DONE;
}

int command_snapshot(const struct command *command, int argc, char **argv)
{
    bool listing = false;
    const char *dropped = NULL;
    const struct command_option options[] = {
        {"list", 'l', OPTION_FLAG, &listing, NULL, "tell number, label, moment, files and bytes of each", 0, 0},
        {"drop", 'd', OPTION_TEXT, &dropped, "NAME", "drop the snapshot of this label, number or moment", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 2, &arguments);
    if (status != -1)
        return status;
    if ((listing || dropped) && arguments.count > 1)
        return command_usage(command, "with --list and --drop it needs: DATASET");
    const char *dataset = arguments.positional[0];
    SCOPE_FREE char *snapshots = file_join(dataset, ".snap");
    if (!snapshots || !file_is_folder(snapshots))
        return fail(command, dataset, ENOENT);
    if (listing)
        return list(command, snapshots);
    if (dropped)
        return drop(command, snapshots, dropped);
    return make(command, snapshots, arguments.count > 1 ? arguments.positional[1] : NULL);
}
