/* cytofs evaluate: how good a detector is on annotated images. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "dataset.h"
#include "detector.h"
#include "detector_place.h"
#include "evaluation.h"
#include "evaluation_report.h"
#include "progress_bar.h"
#include "scoring.h"

const char command_evaluate_details[] =
    "Runs the model on one split of an annotated dataset and prints AP50, AP75, mAP 0.50:0.95, precision, recall, F1, the\n"
    "error of counts, for each class and together; how far its probabilities can be believed; and how outlines match\n"
    "label maps, where both are there.";

static enum code parse_split(const char *name, enum dataset_split *split, struct failure *why)
{
    static const struct {
        const char *name;
        enum dataset_split split;
    } splits[] = {{"train", SPLIT_TRAIN}, {"val", SPLIT_VAL}, {"test", SPLIT_TEST}, {"all", SPLIT_COUNT}};
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (strcmp(name, splits[i].name) == 0) {
            *split = splits[i].split;
            return CODE_OK;
        }
    return failure_set(why, CODE_INVALID, "split: \"%s\" is not known (write train, val, test or all)", name);
}

static void show_progress(void *context, size_t done, size_t total)
{
    progress_bar_draw(context, "evaluating", (int64_t)done, (int64_t)total, "images");
}

static enum code evaluate(struct detector *detector, const char *folder, enum dataset_split split, bool json,
                          struct failure *why)
{
    SCOPE_BUFFER warnings = {0};
    SCOPE_BUFFER report = {0};
    struct dataset *dataset = NULL;
    struct scoring scoring = {0};
    struct evaluation evaluation;
    struct progress_bar bar;
    const struct model_info *info = detector_info(detector);
    const struct scoring_options options = {
        .split = split, .warnings = &warnings, .on_progress = show_progress, .context = &bar};
    progress_bar_start(&bar);
    enum code code = dataset_load(folder, &dataset, &warnings, why);
    if (code == CODE_OK)
        code = scoring_run(detector, dataset, &options, &scoring, why);
    progress_bar_end(&bar);
    if (code == CODE_OK && scoring.count == 0)
        code = failure_set(why, CODE_NOT_FOUND, "%s: no image in this split (try --split all)", folder);
    if (code == CODE_OK)
        code = scoring_evaluate(&scoring, dataset, info, &evaluation, why);
    if (code == CODE_OK) {
        (json ? evaluation_report_json : evaluation_report_table)(&evaluation, info, &report);
        code = buffer_check(&report, "the report", why);
    }
    fputs(buffer_text(&warnings), stderr);
    fputs(buffer_text(&report), stdout);
    scoring_free(&scoring);
    dataset_destroy(dataset);
    return code;
}

int command_evaluate(const struct command *command, int argc, char **argv)
{
    const char *split_name = "test";
    const char *precision = "auto";
    const char *device = "auto";
    bool json = false;
    int64_t threads = 0;
    const struct command_option options[] = {
        {"split", 's', OPTION_TEXT, &split_name, "NAME", "train, val, test (default) or all", 0, 0},
        {"json", 'J', OPTION_FLAG, &json, NULL, "print one JSON object", 0, 0},
        {"threads", 'j', OPTION_INTEGER, &threads, "N", "CPU cores to use (default: all)", 1, 4096},
        {"precision", 'p', OPTION_TEXT, &precision, "P", "f32, bf16 or auto (default)", 0, 0},
        {"device", 'D', OPTION_TEXT, &device, "NAME", "auto (default), cuda, cpu or ref; see cytofs version", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 2, 2, &arguments);
    if (status != -1)
        return status;

    struct failure why;
    struct detector_place place = {0};
    enum dataset_split split = SPLIT_TEST;
    enum code code = parse_split(split_name, &split, &why);
    if (code == CODE_OK)
        code = detector_place_open(arguments.positional[0], device, precision, (int)threads, &place, &why);
    if (code == CODE_OK)
        code = evaluate(place.detector, arguments.positional[1], split, json, &why);
    detector_place_close(&place);
    return code == CODE_OK ? EXIT_DONE : command_fail(command, &why);
}
