/* cytofs fsck: whether a store is whole. */
#include <stdio.h>

#include "check.h"
#include "commands.h"
#include "lab_store.h"
#include "progress_bar.h"

const char command_fsck_details[] =
    "Checks that every name resolves, every chunk is there and authentic, and counts agree. The store must not be mounted.\n"
    "Nothing is changed. Exits 0 if the store is whole, 1 with a line for each problem if it is not.";

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
}

int command_fsck(const struct command *command, int argc, char **argv)
{
    const char *key = NULL;
    bool quick = false;
    const struct command_option options[] = {
        {"key", 'k', OPTION_TEXT, &key, "FILE", "the member's key", 0, 0},
        {"quick", 'q', OPTION_FLAG, &quick, NULL, "check the catalog only, read no contents", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 1, &arguments);
    if (status != -1)
        return status;

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
