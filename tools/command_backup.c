/* cytofs backup: one more point in time in a backup's folder; of a store that is not in use here, of a mounted lab in its
 * server (lab/backup). */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backup_make.h"
#include "backup_restore.h"
#include "chunk_store.h"
#include "chunk_store_packs.h"
#include "commands.h"
#include "control_follow.h"
#include "file.h"
#include "progress_bar.h"
#include "scope.h"
#include "store_folder.h"
#include "when.h"

const char command_backup_details[] = "Saves the store as it is at this moment into the folder DIR, as one more point in "
                                      "time. Only what DIR does not hold yet is\n"
                                      "copied, and checked while it is; it stays encrypted, and no key is needed. An "
                                      "interrupted backup leaves whole points only\n"
                                      "and is gone on with by the next. Exits 1 with a line for each place where the store "
                                      "itself is damaged; all else is saved.\n"
                                      "With --list DIR: which points there are.";

#define KEEP_MAX 999999

static bool show_progress(void *context, const struct backup_progress *progress)
{
    progress_bar_draw(context, "saving", (int64_t)(progress->bytes_done >> 20), (int64_t)(progress->bytes_all >> 20), "MiB");
    return true;
}

static int report(const char *folder, const struct backup_summary *summary)
{
    SCOPE_BUFFER text = {0};
    backup_make_describe(folder, summary, &text);
    puts(buffer_text(&text));
    return summary->damages ? EXIT_REFUSED : EXIT_DONE;
}

/* Points ----------------------------------------------------------------------------------------------------------- */

static void print_point(void *context, uint32_t number, const struct backup_point *point, const struct failure *why)
{
    int *status = context;
    if (!point) {
        printf("%6u  DAMAGED: %s\n", number, why->text);
        *status = EXIT_REFUSED;
        return;
    }
    char made[WHEN_TEXT_BYTES];
    when_print(point->made_ms, made);
    printf("%6u  %s  %8zu packs  %12.1f MB%s\n", number, made, point->pack_count, (double)backup_point_bytes(point) / 1e6,
           point->damage_count ? "  the store was damaged" : "");
}

static int list_points(const struct command *command, const char *folder)
{
    struct failure why;
    int status = EXIT_DONE;
    return backup_restore_list(folder, print_point, &status, &why) == CODE_OK ? status : command_fail(command, &why);
}

/* A store that is not in use ----------------------------------------------------------------------------------------- */

static enum code save_store(struct store_folder *store, const char *path, const char *folder,
                            const struct backup_options *options, struct backup_summary *summary, struct failure *why)
{
    struct chunk_store *chunks;
    struct chunk_store_packs_options packs = {.store = *store_folder_id(store), .read_only = true};
    enum code code = chunk_store_packs_open(store_folder_packs_path(store), &packs, &chunks, why);
    if (code != CODE_OK)
        return code;
    const struct backup_source source = {.id = *store_folder_id(store), .folder = path, .chunks = chunks};
    code = backup_make(folder, &source, options, summary, why);
    chunk_store_destroy(chunks);
    return code;
}

static int backup_store(const struct command *command, const char *path, const char *folder, struct backup_options *options)
{
    struct failure why;
    struct backup_summary summary;
    struct store_folder *store;
    struct progress_bar bar;
    if (store_folder_open(path, true, &store, &why) != CODE_OK)
        return command_fail(command, &why);
    options->progress = show_progress;
    options->context = &bar;
    progress_bar_start(&bar);
    enum code code = save_store(store, path, folder, options, &summary, &why);
    progress_bar_end(&bar);
    store_folder_close(store);
    return code == CODE_OK ? report(folder, &summary) : command_fail(command, &why);
}

/* A lab in use ------------------------------------------------------------------------------------------------------- */

#define LAB_FILE "lab/backup"

static int backup_lab(const struct command *command, const char *lab, const char *folder,
                      const struct backup_options *options)
{
    SCOPE_FREE char *here = getcwd(NULL, 0);
    SCOPE_FREE char *absolute = here ? file_join(here, folder) : NULL;
    SCOPE_BUFFER line = {0};
    struct failure why;
    if (options->again)
        buffer_append_text(&line, "again ");
    if (options->keep)
        buffer_printf(&line, "keep %u ", options->keep);
    if (absolute)
        buffer_append_text(&line, absolute);
    if (!absolute || buffer_check(&line, folder, &why) != CODE_OK)
        return EXIT_SYSTEM;
    return control_follow(command, lab, LAB_FILE, buffer_text(&line));
}

int command_backup(const struct command *command, int argc, char **argv)
{
    int64_t keep = 0;
    bool list = false, again = false;
    const struct command_option table[] = {
        {"keep", 'K', OPTION_INTEGER, &keep, "N", "remove the oldest points but N (default: keep all)", 1, KEEP_MAX},
        {"again", 'a', OPTION_FLAG, &again, NULL, "compare what DIR holds already too: mends a damaged backup", 0, 0},
        {"list", 'l', OPTION_FLAG, &list, NULL, "tell the points in DIR", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, table, 1, 2, &arguments);
    if (status != -1)
        return status;
    if (arguments.count != (list ? 1 : 2))
        return command_usage(command, list ? "with --list it needs: DIR" : "it needs: STORE|LAB DIR");
    if (list)
        return list_points(command, arguments.positional[0]);
    struct backup_options options = {.keep = (uint32_t)keep, .again = again};
    if (control_follow_is_lab(arguments.positional[0], LAB_FILE))
        return backup_lab(command, arguments.positional[0], arguments.positional[1], &options);
    return backup_store(command, arguments.positional[0], arguments.positional[1], &options);
}
