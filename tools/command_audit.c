/* cytofs audit: the log of who did what, and whether it is as it was written. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "audit_files.h"
#include "commands.h"
#include "file.h"
#include "lab_reach.h"
#include "lab_store.h"
#include "scope.h"
#include "store_folder.h"

const char command_audit_details[] = "A lab that is served keeps a log: which member read, wrote, made, removed, shared or "
                                     "deployed what, came or went, and what was\n"
                                     "refused. Each line is sealed and bound to the one before. \"show\" prints it, oldest "
                                     "first; \"verify\" looks at every line and\n"
                                     "exits 1 if any was changed, taken away, or moved. Of a lab in use name the folder "
                                     "where it is mounted; there the same is\n"
                                     "cat lab/audit, which has the newest lines, and cat lab/audit-check.";

#define SHOWN_BYTES_MAX ((size_t)64 << 20)
#define LINES_ALL       UINT64_MAX

static int show_file(const struct command *command, const char *path, bool verify)
{
    struct failure why;
    SCOPE_BUFFER text = {.max = SHOWN_BYTES_MAX};
    if (file_read(path, SHOWN_BYTES_MAX, &text, &why) != CODE_OK)
        return command_fail(command, &why);
    fputs(buffer_text(&text), stdout);
    return verify && strncmp(buffer_text(&text), "changed", strlen("changed")) == 0 ? EXIT_REFUSED : EXIT_DONE;
}

static enum code look(struct lab_store *store, bool verify, struct buffer *out, struct failure *why)
{
    uint64_t lines;
    SCOPE_FREE char *folder = file_join(store_folder_path(store->folder), AUDIT_FILES_FOLDER);
    if (!folder)
        return failure_set(why, CODE_NO_MEMORY, "no memory");
    if (!verify)
        return audit_show(store->tree, folder, LINES_ALL, out, why);
    enum code code = audit_verify(store->tree, folder, &lines, why);
    if (code == CODE_OK)
        buffer_printf(out, "%" PRIu64 " lines, each as it was written\n", lines);
    return code;
}

static int look_at_store(const struct command *command, const char *path, const char *key, bool verify)
{
    struct failure why;
    struct lab_store store;
    SCOPE_BUFFER text = {0};
    const struct lab_store_options options = {.key = key, .read_only = true};
    if (lab_store_open(path, &options, &store, &why) != CODE_OK)
        return command_fail(command, &why);
    enum code code = look(&store, verify, &text, &why);
    lab_store_close(&store);
    fputs(buffer_text(&text), stdout);
    if (code == CODE_CORRUPT) {
        printf("changed: %s\n", why.text);
        return EXIT_REFUSED;
    }
    return code == CODE_OK ? EXIT_DONE : command_fail(command, &why);
}

int command_audit(const struct command *command, int argc, char **argv)
{
    const char *key = NULL;
    const struct command_option options[] = {
        {"key", 'k', OPTION_TEXT, &key, "FILE", "your key, for a store that is not in use", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 2, 2, &arguments);
    if (status != -1)
        return status;
    bool verify = strcmp(arguments.positional[0], "verify") == 0;
    if (!verify && strcmp(arguments.positional[0], "show") != 0)
        return command_usage(command, "\"%s\" is neither show nor verify", arguments.positional[0]);
    struct failure why;
    struct lab_reach reach;
    if (lab_reach_open(arguments.positional[1], &reach, &why) != CODE_OK)
        return command_fail(command, &why);
    SCOPE_FREE char *file = file_join(reach.path, verify ? "lab/audit-check" : "lab/audit");
    status = file && file_exists(file) ? show_file(command, file, verify) : look_at_store(command, reach.path, key, verify);
    lab_reach_close(&reach);
    return status;
}
