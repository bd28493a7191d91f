/* cytofs synth: a dataset of synthetic cells with exact annotations. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "progress_bar.h"
#include "synth.h"

const char command_synth_details[] = "KIND is fluo16 (nuclei in 16-bit fluorescence, with label images) or smear8 (blood "
                                     "cells of three classes in 8-bit RGB). The\n"
                                     "same options give the same bytes on every machine.";

static bool show_progress(void *context, size_t done, size_t total)
{
    progress_bar_draw(context, "drawing cells", (int64_t)done, (int64_t)total, "images");
    return true;
}

int command_synth(const struct command *command, int argc, char **argv)
{
    int64_t images = 80, seed = 1, first = 0, width = 256, height = 256;
    const struct command_option options[] = {
        {"images", 'n', OPTION_INTEGER, &images, "N", "how many (default: 80)", 1, SYNTH_COUNT_MAX},
        {"seed", 's', OPTION_INTEGER, &seed, "N", "which ones (default: 1)", 0, 9e15},
        {"first", 'f', OPTION_INTEGER, &first, "N", "number of the first (default: 0)", 0, SYNTH_COUNT_MAX},
        {"width", 'W', OPTION_INTEGER, &width, "PX", "of each image (default: 256)", SYNTH_SIDE_MIN, SYNTH_SIDE_MAX},
        {"height", 'H', OPTION_INTEGER, &height, "PX", "of each image (default: 256)", SYNTH_SIDE_MIN, SYNTH_SIDE_MAX},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 2, 2, &arguments);
    if (status != -1)
        return status;

    struct failure why;
    struct progress_bar bar;
    struct synth_request request = {
        .seed = (uint64_t)seed, .first = (size_t)first, .count = (size_t)images, .width = (int)width, .height = (int)height};
    enum code code = synth_kind_from_name(arguments.positional[0], &request.kind, &why);
    progress_bar_start(&bar);
    if (code == CODE_OK)
        code = synth_write(&request, arguments.positional[1], show_progress, &bar, &why);
    progress_bar_end(&bar);
    if (code != CODE_OK)
        return command_fail(command, &why);
    printf("%ld images in %s\n", (long)images, arguments.positional[1]);
    return EXIT_DONE;
}
