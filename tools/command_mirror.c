/* cytofs mirror: the folders that hold the same store; of a mounted lab through its server (lab/mirrors). */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "commands.h"
#include "control_follow.h"
#include "file.h"
#include "mirror_fill.h"
#include "mirror_set.h"
#include "open_store.h"
#include "progress_bar.h"
#include "scope.h"

const char command_mirror_details[] =
    "cytofs mirror STORE             which folders hold the store, and whether they are up to date\n"
    "cytofs mirror add STORE DIR     one more: DIR is new or empty, or a mirror that was away, which gets what it lacks\n"
    "cytofs mirror remove STORE DIR  DIR is no mirror any more; what lies in it stays, as a store of its own\n"
    "STORE may be a folder where the lab is mounted. Put mirrors on other disks: each is a whole store that can be mounted "
    "if the\n"
    "others are lost. What is written goes to all of them; a sync is done when all have done it.";

#define LAB_FILE "lab/mirrors"

static bool show_progress(void *context, uint64_t done, uint64_t all)
{
    progress_bar_draw(context, "mirroring", (int64_t)(done >> 20), (int64_t)(all >> 20), "MiB");
    return true;
}

static enum code add(struct open_store *store, const char *path, struct failure *why)
{
    struct progress_bar bar;
    const struct mirror_fill fill = {store->mirrors, store->chunks, store->catalog, NULL, show_progress, &bar};
    size_t side;
    if (!store->catalog) {
        *why = store->catalog_why;
        return why->code;
    }
    enum code code = mirror_set_add(store->mirrors, path, &side, why);
    if (code != CODE_OK)
        return code;
    progress_bar_start(&bar);
    code = mirror_fill_run(&fill, side, why);
    progress_bar_end(&bar);
    return code;
}

int command_mirror_fill_new(const struct command *command, const char *path, const char *mirror)
{
    struct failure why;
    struct open_store store;
    enum code code = open_store_open(path, &store, &why);
    if (code != CODE_OK)
        return command_fail(command, &why);
    code = add(&store, mirror, &why);
    open_store_close(&store);
    return code == CODE_OK ? EXIT_DONE : command_fail(command, &why);
}

/* 1 where a folder is not up to date, else 0. */
static int show(struct mirror_set *mirrors)
{
    SCOPE_BUFFER text = {0};
    bool all = true;
    mirror_set_describe(mirrors, &text);
    for (size_t side = 0; side < mirror_set_count(mirrors); side++)
        all &= !mirror_set_path(mirrors, side) || mirror_set_is_current(mirrors, side);
    fputs(buffer_text(&text), stdout);
    return all ? EXIT_DONE : EXIT_REFUSED;
}

static int on_store(const struct command *command, const char *verb, const char *path, const char *mirror)
{
    struct failure why;
    struct open_store store;
    enum code code = open_store_open(path, &store, &why);
    if (code != CODE_OK)
        return command_fail(command, &why);
    if (strcmp(verb, "add") == 0)
        code = add(&store, mirror, &why);
    else if (strcmp(verb, "remove") == 0)
        code = mirror_set_remove(store.mirrors, mirror, &why);
    int status = code == CODE_OK ? show(store.mirrors) : command_fail(command, &why);
    open_store_close(&store);
    return status;
}

static int on_lab(const struct command *command, const char *verb, const char *lab, const char *mirror)
{
    SCOPE_BUFFER line = {0};
    SCOPE_FREE char *here = getcwd(NULL, 0);
    SCOPE_FREE char *absolute = here && mirror ? file_join(here, mirror) : NULL;
    buffer_printf(&line, "%s %s", verb, absolute ? absolute : "");
    return control_follow(command, lab, LAB_FILE, mirror ? buffer_text(&line) : "show");
}

int command_mirror(const struct command *command, int argc, char **argv)
{
    const struct command_option options[] = {{0}};
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 3, &arguments);
    if (status != -1)
        return status;
    bool verb = strcmp(arguments.positional[0], "add") == 0 || strcmp(arguments.positional[0], "remove") == 0;
    if (arguments.count != (verb ? 3 : 1))
        return command_usage(command, "it needs: STORE, or add STORE DIR, or remove STORE DIR");
    const char *place = arguments.positional[verb ? 1 : 0], *mirror = verb ? arguments.positional[2] : NULL;
    return (control_follow_is_lab(place, LAB_FILE) ? on_lab : on_store)(command, verb ? arguments.positional[0] : "show",
                                                                        place, mirror);
}
