/* rm jobs/<job>.yaml cancels the runs of this job that are not over, and removes the link jobs/<job>, so that
 * the same text written again is a new run.
 *
 * A run that waits is cancelled with the event; one that a node has becomes "cancelling", and its node ends
 * it (SIGTERM, then SIGKILL) and says `cancelled`.  Holds jobs->acting, so that a save that goes on at the
 * same time comes before or after.
 */
#include "jobs_cancel.h"

#include <stdio.h>
#include <string.h>

#include "jobs_run.h"
#include "logging.h"
#include "scope.h"

static void cancel_run(struct jobs *jobs, const struct job_run *run)
{
    struct failure why;
    struct run_event event = {.kind = RUN_EVENT_CANCEL_REQUESTED, .member = tree_viewer_name(jobs->tree)};
    if (jobs_run_append(jobs, run->path, event, &why) != CODE_OK)
        logging_warning("%s: could not be cancelled: %s", run->path, why.text);
}

static void cancel_runs(struct jobs *jobs, const char *job)
{
    struct job_picture picture;
    struct failure why;
    if (job_table_copy(jobs->table, &picture, &why) != CODE_OK) {
        logging_warning("jobs/%s.yaml: its runs could not be cancelled: %s", job, why.text);
        return;
    }
    for (size_t i = 0; i < picture.run_count; i++)
        if (!strcmp(picture.runs[i].summary.job, job))
            cancel_run(jobs, &picture.runs[i]);
    job_picture_free(&picture);
}

static void remove_link(struct jobs *jobs, const char *job)
{
    char path[JOBS_PATH_MAX];
    struct failure why;
    SCOPE_BUFFER target = {0};
    if (!jobs_run_path("jobs", job, path) || tree_path_read_link(jobs->tree, path, &target, NULL) != CODE_OK)
        return;
    enum code code = tree_path_remove(jobs->tree, path, &why);
    if (code == CODE_OK)
        code = tree_sync(jobs->tree, &why);
    if (code != CODE_OK)
        logging_warning("%s: the link could not be removed: %s", path, why.text);
}

void jobs_cancel_removed(void *context, const char *path)
{
    struct jobs *jobs = context;
    char job[JOBS_PATH_MAX];
    snprintf(job, sizeof job, "%s", path + strlen("jobs/"));
    job[strlen(job) - strlen(".yaml")] = 0;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&jobs->acting);
    if (tree_path_exists(jobs->tree, path)) /* it is back already: the save that follows decides */
        return;
    cancel_runs(jobs, job);
    remove_link(jobs, job);
}
