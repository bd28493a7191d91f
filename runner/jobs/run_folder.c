/* The folder of a new run: see run_folder.h and the table in runner/README.md.
 *
 * Runs are numbered 001, 002, ... within their experiment: one more than the largest number there, so a
 * number is not given again while any later run exists.  Called with jobs->acting held, so two never take the
 * same number.
 */
#include "run_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs_run.h"
#include "logging.h"
#include "run_event.h"
#include "tree_path.h"

#define RUN_NUMBER_MAX    999999
#define DISCARD_DEPTH_MAX 4

static bool find_largest(void *context, const char *name, const struct node_attributes *attributes)
{
    (void)attributes;
    int *largest = context;
    size_t digits = strspn(name, "0123456789");
    if (digits == 0 || name[digits] || digits > 6)
        return true;
    int number = atoi(name);
    if (number > *largest)
        *largest = number;
    return true;
}

static enum code take_number(struct tree *tree, const char *experiment, char run[JOB_PATH_MAX], struct failure *why)
{
    char folder[JOB_PATH_MAX];
    snprintf(folder, sizeof folder, "experiments/%s", experiment);
    int largest = 0;
    enum code code = tree_path_make_folders(tree, folder, why);
    if (code == CODE_OK)
        code = tree_path_list(tree, folder, find_largest, &largest, why);
    if (code != CODE_OK)
        return code;
    if (largest >= RUN_NUMBER_MAX)
        return failure_set(why, CODE_TOO_LARGE, "%s has its largest run number: use another experiment", folder);
    snprintf(run, JOB_PATH_MAX, "experiments/%s/%03d", experiment, largest + 1);
    return CODE_OK;
}

static enum code write_value(struct tree *tree, const char *run, const char *name, const char *value, struct failure *why)
{
    char path[JOBS_PATH_MAX], text[JOBS_PATH_MAX];
    if (!jobs_run_path(run, name, path))
        return failure_set(why, CODE_NAME_TOO_LONG, "%s: the path is too long", run);
    int length = snprintf(text, sizeof text, "%s\n", value);
    return tree_path_write(tree, path, 0644, text, (size_t)length, why);
}

/* params/<key> for each value that the spec gives.  What it leaves to the trainer the trainer writes itself.
 */
static enum code write_params(struct tree *tree, const char *run, const struct spec_train *train, struct failure *why)
{
    char epochs[24], steps[24], batch[24], image_size[24], seed[24], lr[32], weight_decay[32];
    snprintf(epochs, sizeof epochs, "%d", train->epochs);
    snprintf(steps, sizeof steps, "%d", train->steps);
    snprintf(batch, sizeof batch, "%d", train->batch);
    snprintf(image_size, sizeof image_size, "%d", train->image_size);
    snprintf(seed, sizeof seed, "%lld", (long long)train->seed);
    snprintf(lr, sizeof lr, "%.10g", train->lr);
    snprintf(weight_decay, sizeof weight_decay, "%.10g", train->weight_decay);
    const struct {
        const char *name, *value;
        bool given;
    } params[] = {
        {"params/network", train->network, train->network[0] != 0},
        {"params/epochs", epochs, train->epochs > 0},
        {"params/steps", steps, train->steps > 0},
        {"params/batch", batch, train->batch > 0},
        {"params/image_size", image_size, train->image_size > 0},
        {"params/lr", lr, train->lr > 0},
        {"params/weight_decay", weight_decay, train->weight_decay >= 0},
        {"params/seed", seed, train->seed >= 0},
        {"params/precision", train->precision, train->precision[0] && strcmp(train->precision, "auto") != 0},
    };
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++)
        if (params[i].given) {
            enum code code = write_value(tree, run, params[i].name, params[i].value, why);
            if (code != CODE_OK)
                return code;
        }
    return CODE_OK;
}

static enum code make_folders(struct tree *tree, const char *run, struct failure *why)
{
    static const char *const names[] = {"metrics", "params", "tags", "artifacts", "plots"};
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < sizeof names / sizeof names[0]; i++) {
        char path[JOBS_PATH_MAX];
        jobs_run_path(run, names[i], path);
        code = tree_path_make_folders(tree, path, why);
    }
    return code;
}

static enum code write_submitted(struct tree *tree, const char *run, const struct run_folder_request *request,
                                 struct failure *why)
{
    struct run_event event = {.kind = RUN_EVENT_SUBMITTED,
                              .ms = request->ms,
                              .job = request->job,
                              .member = request->member,
                              .spec_bytes = (int64_t)request->count,
                              .dataset = request->dataset};
    char path[JOBS_PATH_MAX];
    SCOPE_BUFFER line = {0};
    run_event_format(&event, &line);
    enum code code = buffer_check(&line, "a line of events", why);
    jobs_run_path(run, "events", path);
    return code == CODE_OK ? tree_path_append(tree, path, line.data, line.length, why) : code;
}

static enum code fill(struct tree *tree, const char *run, const struct run_folder_request *request, struct failure *why)
{
    char spec_path[JOBS_PATH_MAX], dataset_path[JOBS_PATH_MAX], target[JOBS_PATH_MAX + 16];
    jobs_run_path(run, "spec.yaml", spec_path);
    jobs_run_path(run, "dataset", dataset_path);
    snprintf(target, sizeof target, "../../../%s", request->dataset);
    enum code code = make_folders(tree, run, why);
    if (code == CODE_OK)
        code = tree_path_write(tree, spec_path, 0444, request->text, request->count, why);
    if (code == CODE_OK && *request->dataset)
        code = tree_path_link(tree, dataset_path, target, why);
    if (code == CODE_OK && request->spec->action == SPEC_TRAIN)
        code = write_params(tree, run, &request->spec->train, why);
    if (code == CODE_OK)
        code = write_value(tree, run, "tags/member", request->member, why);
    if (code == CODE_OK)
        code = write_value(tree, run, "tags/job", request->job, why);
    return code == CODE_OK ? write_submitted(tree, run, request, why) : code;
}

enum code run_folder_make(struct tree *tree, const struct run_folder_request *request, char run[JOB_PATH_MAX],
                          struct failure *why)
{
    enum code code = take_number(tree, request->spec->experiment, run, why);
    if (code != CODE_OK)
        return code;
    code = fill(tree, run, request, why);
    if (code != CODE_OK)
        run_folder_discard(tree, run);
    return code;
}

/* Removing ------------------------------------------------------------------------------------- */

struct discarding {
    struct tree *tree;
    const char *folder;
    int depth;
};

static void discard(struct tree *tree, const char *path, int depth);

static bool discard_entry(void *context, const char *name, const struct node_attributes *attributes)
{
    const struct discarding *discarding = context;
    char path[JOBS_PATH_MAX];
    if (!jobs_run_path(discarding->folder, name, path))
        return true;
    if (attributes->kind == NODE_FOLDER)
        discard(discarding->tree, path, discarding->depth + 1);
    else if (tree_path_remove(discarding->tree, path, NULL) != CODE_OK)
        logging_warning("%s: cannot be removed", path);
    return true;
}

static void discard(struct tree *tree, const char *path, int depth)
{
    struct discarding discarding = {tree, path, depth};
    struct failure why;
    if (depth <= DISCARD_DEPTH_MAX && tree_path_list(tree, path, discard_entry, &discarding, &why) == CODE_OK &&
        tree_path_remove(tree, path, &why) == CODE_OK)
        return;
    logging_warning("%s: cannot be removed: %s", path, depth > DISCARD_DEPTH_MAX ? "it is nested too deep" : why.text);
}

void run_folder_discard(struct tree *tree, const char *run)
{
    discard(tree, run, 0);
}
