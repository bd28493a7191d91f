/* cytofs scrub: damage found without keys, and mended from mirrors; of a mounted lab by its server (lab/scrub). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "buffer.h"
#include "commands.h"
#include "control_follow.h"
#include "open_store.h"
#include "progress_bar.h"
#include "scrub.h"

const char command_scrub_details[] = "Reads every byte of the store and of its mirrors and holds it against its checksum; "
                                     "needs no key. What is damaged is mended\n"
                                     "from a mirror, where there is one. A lab that is in use (name the folder where it is "
                                     "mounted) is scrubbed by its server,\n"
                                     "beside everything else. Exits 0 if all is whole, or has been mended; 1 with a line "
                                     "for each place if damage is left, or a\n"
                                     "mirror could not be looked at; 3 if it could not be done.";

#define LAB_FILE "lab/scrub"

struct run {
    struct progress_bar bar;
    bool json, first;
};

static const char *const kind_names[] = {
    [SCRUB_DAMAGED] = "damaged", [SCRUB_MENDED] = "mended", [SCRUB_UNNAMED] = "unneeded", [SCRUB_AWAY] = "away"};

static bool show_progress(void *context, uint64_t done, uint64_t all)
{
    struct run *run = context;
    progress_bar_draw(&run->bar, "scrubbing", (int64_t)(done >> 20), (int64_t)(all >> 20), "MiB");
    return true;
}

static void print_finding(void *context, const struct scrub_finding *finding)
{
    struct run *run = context;
    if (!run->json) {
        printf("%-8s %s\n", kind_names[finding->kind], finding->text);
        return;
    }
    SCOPE_BUFFER text = {0};
    buffer_append_json(&text, finding->text);
    printf("%s\n  {\"kind\": \"%s\", \"text\": %s}", run->first ? "" : ",", kind_names[finding->kind], buffer_text(&text));
    run->first = false;
}

static void print_summary(const struct run *run, const struct scrub_summary *summary)
{
    SCOPE_BUFFER text = {0};
    if (run->json) {
        printf("],\n \"bytes\": %" PRIu64 ", \"pages\": %" PRIu64 ", \"packs\": %" PRIu64 ", \"chunks\": %" PRIu64
               ", \"damaged\": %" PRIu64 ", \"mended\": %" PRIu64 ", \"unneeded_bytes\": %" PRIu64 ", \"away\": %" PRIu64
               "}\n",
               summary->bytes, summary->pages, summary->packs, summary->records, summary->damages, summary->mended,
               summary->unnamed_bytes, summary->away);
        return;
    }
    scrub_describe(summary, &text);
    puts(buffer_text(&text));
}

static int scrub_store(const struct command *command, const char *path, uint64_t rate, bool look_only, bool json)
{
    struct failure why;
    struct open_store store;
    struct scrub_summary summary;
    struct run run = {.json = json, .first = true};
    _Atomic uint64_t bytes_per_s = rate;
    bool format_mended = false;
    if (!look_only && scrub_mend_format(path, &format_mended, &why) != CODE_OK)
        return command_fail(command, &why);
    bool lists_mended = !scrub_lists_are_sound(path);
    if (open_store_open(path, &store, &why) != CODE_OK)
        return command_fail(command, &why);
    if (json)
        printf("{\"findings\": [");
    const struct scrub_options options = {.mirrors = store.mirrors,
                                          .chunks = store.chunks,
                                          .catalog = store.catalog,
                                          .rate = &bytes_per_s,
                                          .look_only = look_only,
                                          .alone = true,
                                          .progress = show_progress,
                                          .found = print_finding,
                                          .context = &run};
    if (format_mended)
        print_finding(&run, &(struct scrub_finding){SCRUB_MENDED, "FORMAT: was damaged: written anew from the packs"});
    if (lists_mended)
        print_finding(
            &run, &(struct scrub_finding){SCRUB_MENDED, "mirrors, or its copy: was damaged: written anew from the other"});
    progress_bar_start(&run.bar);
    enum code code = scrub_run(&options, &summary, &why);
    progress_bar_end(&run.bar);
    summary.damages += (uint64_t)format_mended + lists_mended;
    summary.mended += (uint64_t)format_mended + lists_mended;
    if (code == CODE_OK && !store.catalog) {
        print_finding(&run, &(struct scrub_finding){SCRUB_DAMAGED, store.catalog_why.text});
        summary.damages++;
    }
    open_store_close(&store);
    print_summary(&run, &summary);
    if (code != CODE_OK)
        return command_fail(command, &why);
    return summary.damages > summary.mended || summary.away ? EXIT_REFUSED : EXIT_DONE;
}

int command_scrub(const struct command *command, int argc, char **argv)
{
    bool json = false, look_only = false;
    double rate = (double)SCRUB_RATE_DEFAULT / 1e6;
    const struct command_option options[] = {
        {"rate", 'r', OPTION_NUMBER, &rate, "MB/S", "read at most so much a second; 0: as fast as it goes (100)", 0, 1e6},
        {"look-only", 'n', OPTION_FLAG, &look_only, NULL, "mend nothing", 0, 0},
        {"json", 'j', OPTION_FLAG, &json, NULL, "print findings and figures as JSON", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 1, &arguments);
    if (status != -1)
        return status;
    const char *place = arguments.positional[0];
    if (!control_follow_is_lab(place, LAB_FILE))
        return scrub_store(command, place, (uint64_t)(rate * 1e6), look_only, json);
    if (json || look_only)
        return command_usage(command, "--json and --look-only are for a store that is not in use: cat %s/" LAB_FILE, place);
    char line[64];
    snprintf(line, sizeof line, "start %.0f", rate);
    return control_follow(command, place, LAB_FILE, line);
}
