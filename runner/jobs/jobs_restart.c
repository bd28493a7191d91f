/* A restart is a replay.  Nothing is served yet, so no node is present, and what says otherwise is left over:
 *
 *   lab/nodes/<node>             removed
 *   a run folder without events  what a crash left of a submission: removed
 *   a run that is over           left alone
 *   a run that waits             its claim (made in the moment of the crash) is removed; into the table
 *   a run that a node had        `lost`, which queues it again, or ends it; if queued, into the table
 *   jobs/<job>.yaml              submitted, unless it was before
 *
 * Every step may be done again after a crash in the middle of it.
 */
#include "jobs_restart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs_run.h"
#include "jobs_submission.h"
#include "logging.h"
#include "run_folder.h"

#define REASON "the file server restarted"

/* Names ---------------------------------------------------------------------------------------- */

struct name_list {
    char **names;
    size_t count, capacity;
    bool failed;
};

static bool collect(void *context, const char *name, const struct node_attributes *attributes)
{
    (void)attributes;
    struct name_list *list = context;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        char **grown = realloc(list->names, capacity * sizeof *grown);
        if (!grown) {
            list->failed = true;
            return false;
        }
        list->names = grown;
        list->capacity = capacity;
    }
    list->names[list->count] = strdup(name);
    list->failed = !list->names[list->count];
    list->count += !list->failed;
    return !list->failed;
}

static void free_names(struct name_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->names[i]);
    free(list->names);
    *list = (struct name_list){0};
}

static enum code list_names(struct tree *tree, const char *folder, struct name_list *list, struct failure *why)
{
    enum code code = tree_path_list(tree, folder, collect, list, why);
    if (code == CODE_NOT_FOUND || code == CODE_NOT_DIRECTORY)
        return CODE_OK;
    return list->failed ? failure_set(why, CODE_NO_MEMORY, "%s: not enough memory", folder) : code;
}

/* Calls each(jobs, "<folder>/<name>") for every entry. */
static enum code for_each(struct jobs *jobs, const char *folder,
                          enum code (*each)(struct jobs *jobs, const char *path, struct failure *why), struct failure *why)
{
    struct name_list list = {0};
    enum code code = list_names(jobs->tree, folder, &list, why);
    for (size_t i = 0; code == CODE_OK && i < list.count; i++) {
        char path[JOBS_PATH_MAX];
        if (list.names[i][0] != '.' && jobs_run_path(folder, list.names[i], path))
            code = each(jobs, path, why);
    }
    free_names(&list);
    return code;
}

/* Runs ----------------------------------------------------------------------------------------- */

static bool has(struct jobs *jobs, const char *run, const char *name)
{
    char path[JOBS_PATH_MAX];
    return jobs_run_path(run, name, path) && tree_path_exists(jobs->tree, path);
}

static bool is_number(const char *name)
{
    return *name && !name[strspn(name, "0123456789")];
}

static enum code read_summary(struct jobs *jobs, const char *run, struct run_summary *summary, struct failure *why)
{
    char path[JOBS_PATH_MAX];
    SCOPE_BUFFER text = {0};
    if (!jobs_run_path(run, "events", path))
        return failure_set(why, CODE_NAME_TOO_LONG, "%s: the path is too long", run);
    enum code code = tree_path_read(jobs->tree, path, RUN_EVENTS_BYTES_MAX, &text, why);
    if (code == CODE_OK)
        run_summary_fold(buffer_text(&text), text.length, summary);
    return code;
}

static enum code take_up_run(struct jobs *jobs, const char *run, struct failure *why)
{
    struct run_summary summary;
    char claim[JOBS_PATH_MAX];
    if (!has(jobs, run, "events")) {
        if (is_number(strrchr(run, '/') + 1) && has(jobs, run, "spec.yaml"))
            run_folder_discard(jobs->tree, run);
        return CODE_OK;
    }
    if (read_summary(jobs, run, &summary, why) != CODE_OK) {
        logging_warning("%s: its events cannot be read, so it is left alone: %s", run, why->text);
        return CODE_OK;
    }
    if (run_state_is_over(summary.state) || summary.state == RUN_NONE || strlen(run) >= JOB_PATH_MAX)
        return CODE_OK;
    enum code code = jobs_run_path(run, "claim", claim) ? tree_path_remove(jobs->tree, claim, why) : CODE_OK;
    if (code != CODE_OK)
        return code;
    if (run_state_is_held(summary.state))
        jobs_run_lose(jobs, run, (struct run_event){.attempt = summary.attempt, .reason = REASON, .orderly = true});
    return CODE_OK;
}

static enum code take_up_experiment(struct jobs *jobs, const char *experiment, struct failure *why)
{
    return for_each(jobs, experiment, take_up_run, why);
}

/* The table ------------------------------------------------------------------------------------ */

struct waiting {
    char path[JOB_PATH_MAX];
    int64_t submitted_ms;
};

struct waiting_list {
    struct waiting *runs;
    size_t count, capacity;
};

static enum code collect_waiting(struct jobs *jobs, const char *experiment, struct waiting_list *list, struct failure *why)
{
    struct name_list names = {0};
    enum code code = list_names(jobs->tree, experiment, &names, why);
    for (size_t i = 0; code == CODE_OK && i < names.count; i++) {
        char run[JOBS_PATH_MAX];
        struct run_summary summary;
        if (!jobs_run_path(experiment, names.names[i], run) || strlen(run) >= JOB_PATH_MAX || !has(jobs, run, "events") ||
            read_summary(jobs, run, &summary, why) != CODE_OK || summary.state != RUN_QUEUED)
            continue;
        if (list->count == list->capacity) {
            size_t capacity = list->capacity ? 2 * list->capacity : 64;
            struct waiting *grown = realloc(list->runs, capacity * sizeof *grown);
            if (!grown) {
                code = failure_set(why, CODE_NO_MEMORY, "listing the runs: not enough memory");
                break;
            }
            list->runs = grown;
            list->capacity = capacity;
        }
        memcpy(list->runs[list->count].path, run, strlen(run) + 1);
        list->runs[list->count++].submitted_ms = summary.submitted_ms;
    }
    free_names(&names);
    return code;
}

static int compare_waiting(const void *left, const void *right)
{
    const struct waiting *a = left, *b = right;
    if (a->submitted_ms != b->submitted_ms)
        return a->submitted_ms < b->submitted_ms ? -1 : 1;
    return strcmp(a->path, b->path);
}

static enum code fill_table(struct jobs *jobs, struct failure *why)
{
    struct name_list experiments = {0};
    struct waiting_list waiting = {0};
    enum code code = list_names(jobs->tree, "experiments", &experiments, why);
    for (size_t i = 0; code == CODE_OK && i < experiments.count; i++) {
        char path[JOBS_PATH_MAX];
        if (experiments.names[i][0] != '.' && jobs_run_path("experiments", experiments.names[i], path))
            code = collect_waiting(jobs, path, &waiting, why);
    }
    if (waiting.count > 0)
        qsort(waiting.runs, waiting.count, sizeof *waiting.runs, compare_waiting);
    for (size_t i = 0; code == CODE_OK && i < waiting.count; i++)
        code = jobs_run_take_up(jobs, waiting.runs[i].path, why);
    free(waiting.runs);
    free_names(&experiments);
    return code;
}

/* The rest ------------------------------------------------------------------------------------- */

static enum code remove_node(struct jobs *jobs, const char *path, struct failure *why)
{
    return tree_path_remove(jobs->tree, path, why);
}

static enum code settle_spec(struct jobs *jobs, const char *path, struct failure *why)
{
    (void)why;
    size_t length = strlen(path), ending = strlen(".yaml");
    if (length > ending && !strcmp(path + length - ending, ".yaml"))
        jobs_submission_run(jobs, path);
    return CODE_OK;
}

/* On a full disk what was settled stays in memory, for the next start to settle again: a lab must open, so that something
 * can be removed. */
static enum code keep_settled(struct jobs *jobs, struct failure *why)
{
    enum code code = tree_sync(jobs->tree, why);
    if (code != CODE_NO_SPACE)
        return code;
    logging_warning("the lab is opened, though %s", why->text);
    return CODE_OK;
}

enum code jobs_restart_run(struct jobs *jobs, struct failure *why)
{
    enum code code = tree_path_make_folders(jobs->tree, "lab/nodes", why);
    if (code == CODE_OK)
        code = for_each(jobs, "lab/nodes", remove_node, why);
    if (code == CODE_OK)
        code = for_each(jobs, "experiments", take_up_experiment, why);
    if (code == CODE_OK)
        code = fill_table(jobs, why);
    if (code == CODE_OK)
        code = for_each(jobs, "jobs", settle_spec, why);
    return code == CODE_OK ? keep_settled(jobs, why) : code;
}
