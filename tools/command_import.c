/* cytofs import: a folder of images and annotations into a dataset, without what could name a patient. */
#include <stdio.h>

#include "commands.h"
#include "importing.h"
#include "progress_bar.h"

const char command_import_details[] = "Copies the folder SOURCE to the folder DATASET (in a lab or anywhere), without the "
                                      "text, EXIF and vendor metadata of PNG,\n"
                                      "JPEG and TIFF files; no pixel changes. What was removed or left out is listed.";

static bool show_progress(void *context, size_t done, size_t total)
{
    progress_bar_draw(context, "importing", (int64_t)done, (int64_t)total, "files");
    return true;
}

static void print_report(const struct importing_report *report, bool dry_run)
{
    fputs(buffer_text(&report->details), stdout);
    printf("%s%zu images (%zu of them cleaned), %zu annotation files, %zu files left out, %.1f MB\n",
           dry_run ? "nothing was copied; there are " : "", report->images, report->images_cleaned, report->annotations,
           report->left_out, (double)report->bytes / 1e6);
}

int command_import(const struct command *command, int argc, char **argv)
{
    struct progress_bar bar;
    struct importing_options import = {.progress = show_progress, .context = &bar};
    const struct command_option options[] = {
        {"dry-run", 'n', OPTION_FLAG, &import.dry_run, NULL, "copy nothing; say what would be removed", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 2, 2, &arguments);
    if (status != -1)
        return status;

    struct failure why;
    struct importing_report report = {0};
    progress_bar_start(&bar);
    enum code code = importing_copy(arguments.positional[0], arguments.positional[1], &import, &report, &why);
    progress_bar_end(&bar);
    print_report(&report, import.dry_run);
    importing_report_free(&report);
    return code == CODE_OK ? EXIT_DONE : command_fail(command, &why);
}
