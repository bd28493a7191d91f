/* cytofs restore: a store from a backup. */
#include <inttypes.h>
#include <stdio.h>

#include "backup_restore.h"
#include "commands.h"
#include "lab_store.h"
#include "progress_bar.h"

const char command_restore_details[] =
    "Makes the new folder STORE the store as it was at a point of the backup in DIR: the newest, or the one of --at. The "
    "keys are\n"
    "those that the store had. An interrupted restore is gone on with by the same command; before its end STORE is no "
    "store.\n"
    "Exits 1 where the backup is damaged, with a line for each damaged place; all that is whole is put back.";

static bool show_progress(void *context, uint64_t bytes_done, uint64_t bytes_all)
{
    progress_bar_draw(context, "restoring", (int64_t)(bytes_done >> 20), (int64_t)(bytes_all >> 20), "MiB");
    return true;
}

static void print_damage(void *context, const struct backup_damage *damage)
{
    (void)context;
    printf("pack %u, bytes %" PRIu64 " to %" PRIu64 ": damaged, %" PRIu64 " parts of files are lost\n", damage->number,
           damage->offset, damage->offset + damage->bytes, damage->chunks);
}

int command_restore(const struct command *command, int argc, char **argv)
{
    const char *at = NULL;
    const struct command_option table[] = {
        {"at", 't', OPTION_TEXT, &at, "POINT", "a point's number, or a moment (2026-11-22, 2026-11-22T14:30)", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, table, 2, 2, &arguments);
    if (status != -1)
        return status;
    struct failure why;
    struct progress_bar bar;
    struct backup_restore_options options = {.progress = show_progress, .context = &bar, .damaged = print_damage};
    struct backup_restore_summary summary;
    const char *folder = arguments.positional[0], *store = arguments.positional[1];
    if (backup_restore_choose(folder, at, &options.point, &why) != CODE_OK)
        return command_fail(command, &why);
    progress_bar_start(&bar);
    enum code code = backup_restore(folder, store, &options, &summary, &why);
    progress_bar_end(&bar);
    if (code != CODE_OK)
        return command_fail(command, &why);
    lab_store_forget_seen(store);
    printf("restored point %u to %s: %u packs, %.1f MB\n", options.point, store, summary.packs, (double)summary.bytes / 1e6);
    if (!summary.damages)
        return EXIT_DONE;
    printf("the backup is damaged in %u place%s, %" PRIu64 " parts of files are lost: cytofs fsck %s names the files\n",
           summary.damages, summary.damages == 1 ? "" : "s", summary.damaged_chunks, store);
    return EXIT_REFUSED;
}
