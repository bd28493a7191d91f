/* From a saved spec to a queued run.
 *
 *   FLUSH     check_spec: the answer of close(2).  Nothing changes.
 *   RELEASE   (or a rename onto the name) settle: where the text has no findings and is not that of the
 *             job's latest run, a run is made (run_folder.c), then the link jobs/<job>, then tree_sync.
 *
 * Exactly once: settling is done one at a time (jobs->acting), and compares with the run that jobs/<job>
 * links to.  So an editor may save in as many steps as it likes.  Until `submitted` is in its events a run
 * folder means nothing; what a failure leaves is removed, and what a crash leaves is removed at the next
 * start (jobs_restart.c), which then settles every spec again.
 *
 * An empty file is no mistake: a shell's `>` closes the file once before it writes.
 */
#include "jobs_submission.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs_cancel.h"
#include "jobs_nodes.h"
#include "jobs_quota.h"
#include "jobs_run.h"
#include "jobs_spec.h"
#include "logging.h"
#include "rule.h"
#include "run_folder.h"
#include "scope.h"

/* Answering ------------------------------------------------------------------------------------ */

/* Whether jobs/<job> links to a run that was made of this very text. */
static bool is_submitted(struct jobs *jobs, const struct jobs_spec *spec)
{
    char link[JOBS_PATH_MAX], path[JOBS_PATH_MAX];
    SCOPE_BUFFER target = {0}, text = {0};
    if (!jobs_run_path("jobs", spec->job, link) || tree_path_read_link(jobs->tree, link, &target, NULL) != CODE_OK ||
        strncmp(buffer_text(&target), "../", 3) != 0 || !jobs_run_path(target.data + 3, "spec.yaml", path))
        return false;
    if (tree_path_read(jobs->tree, path, SPEC_BYTES_MAX, &text, NULL) != CODE_OK)
        return false;
    return text.length == spec->text.length && memcmp(text.data, spec->text.data, text.length) == 0;
}

static enum code check_spec(void *context, const char *path, struct failure *why)
{
    struct jobs *jobs = context;
    struct jobs_spec spec;
    enum code code = jobs_spec_read(jobs->tree, path, &spec, why);
    if (code == CODE_OK && spec.findings.count > 0) {
        SCOPE_BUFFER text = {0};
        spec_format_findings(&spec.findings, path, buffer_text(&spec.text), spec.text.length, &text);
        code = failure_set(why, CODE_INVALID, "not submitted, %zu mistake%s (see jobs/%s.error)\n%.*s", spec.findings.count,
                           spec.findings.count == 1 ? "" : "s", spec.job, text.length ? (int)text.length - 1 : 0,
                           buffer_text(&text));
    }
    if (code == CODE_OK && spec.spec && !is_submitted(jobs, &spec)) {
        code = jobs_quota_admit(jobs, spec.maker.name, why);
        if (code != CODE_OK)
            failure_wrap(why, code, "%s: not submitted", path);
    }
    jobs_spec_free(&spec);
    return code == CODE_NO_DATA || code == CODE_NOT_FOUND ? CODE_OK : code;
}

static enum code refuse_yml(void *context, const char *path, struct failure *why)
{
    (void)context;
    return failure_set(why, CODE_INVALID, "the name of a spec ends in .yaml: call it %.*s.yaml",
                       (int)(strlen(path) - strlen(".yml")), path);
}

/* Acting --------------------------------------------------------------------------------------- */

/* The exact snapshot that the run will see: the one named (by label, number or moment), or one of the dataset as it is now.
 * "" for no dataset. */
static enum code fix_dataset(struct jobs *jobs, const struct spec *spec, char out[JOBS_PATH_MAX], struct failure *why)
{
    snprintf(out, JOBS_PATH_MAX, "%s", spec->dataset);
    if (!*spec->dataset)
        return CODE_OK;
    const char *snap = strstr(spec->dataset, "/.snap/");
    if (snap) {
        /* A number or a moment leads to a label by a link; the label is what is recorded. */
        SCOPE_BUFFER found = {0};
        if (tree_path_read_link(jobs->tree, spec->dataset, &found, NULL) == CODE_OK)
            snprintf(out, JOBS_PATH_MAX, "%.*s/.snap/%s", (int)(snap - spec->dataset), spec->dataset, buffer_text(&found));
        return CODE_OK;
    }
    char label[TREE_NAME_MAX + 1] = "";
    enum code code = tree_path_snapshot(jobs->tree, spec->dataset, true, label, why);
    if (code == CODE_OK)
        snprintf(out, JOBS_PATH_MAX, "%s/.snap/%s", spec->dataset, label);
    return code;
}

static enum code link_job(struct jobs *jobs, const char *job, const char *run, struct failure *why)
{
    char path[JOBS_PATH_MAX], target[JOBS_PATH_MAX];
    struct node_attributes attributes;
    SCOPE_BUFFER old = {0};
    if (!jobs_run_path("jobs", job, path) || !jobs_run_path("..", run, target))
        return failure_set(why, CODE_NAME_TOO_LONG, "%s: the name is too long", job);
    if (tree_path_read_link(jobs->tree, path, &old, NULL) != CODE_OK &&
        tree_path_attributes(jobs->tree, path, &attributes, NULL) == CODE_OK)
        return failure_set(why, CODE_EXISTS, "%s: is in the way of the link to the run: remove it", path);
    return tree_path_link(jobs->tree, path, target, why);
}

static enum code submit(struct jobs *jobs, const struct jobs_spec *spec, struct failure *why)
{
    if (job_table_is_full(jobs->table))
        return failure_set(why, CODE_BUSY, "too many runs wait already: try again when some are over");
    enum code code = jobs_quota_admit(jobs, spec->maker.name, why);
    if (code != CODE_OK)
        return code;
    struct run_folder_request request = {.job = spec->job,
                                         .member = spec->maker.name,
                                         .spec = spec->spec,
                                         .text = spec->text.data,
                                         .count = spec->text.length,
                                         .ms = jobs->clock_ms()};
    char dataset[JOBS_PATH_MAX], run[JOB_PATH_MAX];
    code = fix_dataset(jobs, spec->spec, dataset, why);
    if (code != CODE_OK)
        return code;
    request.dataset = dataset;
    code = run_folder_make(jobs->tree, &request, run, why);
    if (code != CODE_OK)
        return code;
    code = link_job(jobs, spec->job, run, why);
    if (code != CODE_OK) {
        run_folder_discard(jobs->tree, run);
        return code;
    }
    /* A full disk may have room again later: the run waits all the same, and the user is told. */
    code = tree_sync(jobs->tree, why);
    jobs_nodes_refresh(jobs);
    enum code taken = jobs_run_take_up(jobs, run, code == CODE_OK ? why : NULL);
    logging_trace(TRACE_JOBS, "jobs/%s.yaml: submitted as %s", spec->job, run);
    return code == CODE_OK ? taken : code;
}

/* The run belongs to who made the spec, also where the server found the spec when it started. */
static enum code submit_as_maker(struct jobs *jobs, const struct jobs_spec *spec, struct failure *why)
{
    bool alone = !viewer_current() && !spec->is_local;
    if (alone)
        viewer_enter(&spec->maker);
    enum code code = submit(jobs, spec, why);
    if (alone)
        viewer_leave();
    return code;
}

void jobs_submission_run(struct jobs *jobs, const char *path)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&jobs->acting);
    struct jobs_spec spec;
    struct failure why;
    enum code code = jobs_spec_read(jobs->tree, path, &spec, &why);
    if (code == CODE_OK && spec.spec && !is_submitted(jobs, &spec))
        code = submit_as_maker(jobs, &spec, &why);
    jobs_spec_free(&spec);
    if (code == CODE_OK || code == CODE_NOT_FOUND || code == CODE_NO_DATA)
        return;
    failure_wrap(&why, code, "%s: could not be submitted", path);
    tree_note_failure(jobs->tree, path, &why);
    logging_warning("%s", why.text);
}

static void settle(void *context, const char *path)
{
    jobs_submission_run(context, path);
}

enum code jobs_submission_add_rules(struct jobs *jobs, struct failure *why)
{
    struct rule yml = {.kind = RULE_WATCH, .pattern = "jobs/*.yml", .context = jobs, .check = refuse_yml};
    enum code code = rule_add(jobs->tree, &yml, why);
    if (code != CODE_OK)
        return code;
    struct rule yaml = {.kind = RULE_WATCH,
                        .pattern = "jobs/*.yaml",
                        .context = jobs,
                        .check = check_spec,
                        .settled = settle,
                        .removed = jobs_cancel_removed};
    return rule_add(jobs->tree, &yaml, why);
}
