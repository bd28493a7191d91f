/* cytofs fsck: whether a store is whole. */
#include <stdio.h>

#include "check.h"
#include "commands.h"
#include "lab_store.h"
#include "progress_bar.h"
#include "store_repair.h"

const char command_fsck_details[] =
    "Checks that every name resolves, every chunk is there and authentic, and counts agree. The store must not be mounted.\n"
    "Nothing is changed. Exits 0 if the store is whole, 1 with a line for each problem if it is not.\n"
    "With --repair what is wrong is put right in one step, or nothing is changed; what can be read before can be read "
    "after.";

static void show_progress(void *context, uint64_t chunks_done)
{
    progress_bar_draw(context, "checking", (int64_t)chunks_done, 0, "chunks");
}

static void print_summary(const struct check_summary *summary)
{
    printf("%lu files, %lu folders, %lu links; %lu chunks, %.1f MB; %lu problem%s\n", (unsigned long)summary->files,
           (unsigned long)summary->folders, (unsigned long)summary->links, (unsigned long)summary->chunks,
           (double)summary->bytes_sealed / 1e6, (unsigned long)summary->problems, summary->problems == 1 ? "" : "s");
    if (summary->closed)
        printf("%lu of them are in spaces that were not shared with you: what is sealed in them was not checked\n",
               (unsigned long)summary->closed);
    if (summary->parts_lost)
        printf("%lu parts of files are lost, as was noted by a repair: reading them gives an error\n",
               (unsigned long)summary->parts_lost);
}

int command_fsck(const struct command *command, int argc, char **argv)
{
    const char *key = NULL;
    bool quick = false, repair = false, accept = false;
    const struct command_option options[] = {
        {"key", 'k', OPTION_TEXT, &key, "FILE", "the member's key", 0, 0},
        {"quick", 'q', OPTION_FLAG, &quick, NULL, "check the catalog only, read no contents", 0, 0},
        {"repair", 'r', OPTION_FLAG, &repair, NULL, "put right what can be; the catalog of before is kept", 0, 0},
        {"accept", 'a', OPTION_FLAG, &accept, NULL, "with --repair: take what cannot be vouched for as it is", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 1, &arguments);
    if (status != -1)
        return status;
    if (accept && !repair)
        return command_usage(command, "--accept belongs to --repair");
    if (repair)
        return store_repair(command, arguments.positional[0], key, accept);

    struct failure why;
    struct lab_store store;
    const struct lab_store_options how = {.key = key, .read_only = true, .accept_older = true, .accept_damage = true};
    if (lab_store_open(arguments.positional[0], &how, &store, &why) != CODE_OK)
        return command_fail(command, &why);
    SCOPE_BUFFER report = {0};
    struct check_summary summary = {0};
    struct progress_bar bar;
    struct check_options check = {.contents = !quick, .progress = show_progress, .progress_context = &bar};
    progress_bar_start(&bar);
    enum code code = check_run(store.tree, &check, &report, &summary, &why);
    progress_bar_end(&bar);
    lab_store_close(&store);
    fputs(buffer_text(&report), stdout);
    if (code != CODE_OK)
        return command_fail(command, &why);
    print_summary(&summary);
    return summary.problems ? EXIT_REFUSED : EXIT_DONE;
}
