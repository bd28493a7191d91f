/* cytofs gc: dead space given back; of a mounted lab by its server (lab/gc). */
#include <stdio.h>

#include "commands.h"
#include "control_follow.h"
#include "lab_store.h"
#include "progress_bar.h"
#include "tree_collect.h"

const char command_gc_details[] = "Removes packs in which nothing is needed any more, and empties those of which a part is "
                                  "dead: what lives in them is copied to\n"
                                  "a new pack first. Nothing that a file, a snapshot, an open file or a backup needs is "
                                  "taken. In a lab that is in use (name the\n"
                                  "folder where it is mounted) it works in small steps beside everybody else. The file "
                                  "server does some of this by itself.";

#define LAB_FILE "lab/gc"

static bool show_progress(void *context, uint64_t done, uint64_t all)
{
    progress_bar_draw(context, "giving back", (int64_t)(done >> 20), (int64_t)(all >> 20), "MiB");
    return true;
}

static int collect_store(const struct command *command, const char *path, const char *key, unsigned percent)
{
    struct failure why;
    struct lab_store store;
    struct progress_bar bar;
    struct tree_collect_summary summary;
    SCOPE_BUFFER text = {0};
    if (lab_store_open(path, &(struct lab_store_options){.key = key}, &store, &why) != CODE_OK)
        return command_fail(command, &why);
    const struct tree_collect_options options = {.dead_percent = percent, .progress = show_progress, .context = &bar};
    progress_bar_start(&bar);
    enum code code = tree_collect(store.tree, &options, &summary, &why);
    progress_bar_end(&bar);
    lab_store_close(&store);
    if (code != CODE_OK)
        return command_fail(command, &why);
    tree_collect_describe(&summary, &text);
    puts(buffer_text(&text));
    return summary.packs_stuck ? EXIT_REFUSED : EXIT_DONE;
}

int command_gc(const struct command *command, int argc, char **argv)
{
    const char *key = NULL;
    int64_t percent = TREE_COLLECT_DEAD_PERCENT;
    const struct command_option options[] = {
        {"dead", 'd', OPTION_INTEGER, &percent, "PERCENT", "how much of a pack must be dead for it to be emptied (25)", 1,
         100},
        {"key", 'k', OPTION_TEXT, &key, "FILE", "the member's key", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 1, &arguments);
    if (status != -1)
        return status;
    const char *place = arguments.positional[0];
    if (!control_follow_is_lab(place, LAB_FILE))
        return collect_store(command, place, key, (unsigned)percent);
    char line[16];
    snprintf(line, sizeof line, "%d", (int)percent);
    return control_follow(command, place, LAB_FILE, line);
}
