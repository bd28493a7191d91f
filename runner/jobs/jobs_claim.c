/* Claims and events of runs.
 *
 *   symlink(<node>, <run>/claim)
 *     admit     Does the plan give this run to this node now?  Then it is kept for the node
 *               (job_table_grant); else EAGAIN.
 *     (tree)    Makes the link, atomically.
 *     settled   Appends `claimed`; only then does symlink() return.
 *
 * Should the link fail to be made after it was admitted, the grant runs out by itself.  Should the process
 * die between link and event, the next start removes the link of a run that waits (jobs_restart.c).
 *
 * A node appends its events to the file; each time it closes it the table reads the file again.
 */
#include "jobs_claim.h"

#include <stdio.h>
#include <string.h>

#include "jobs_nodes.h"
#include "jobs_quota.h"
#include "jobs_run.h"
#include "logging.h"
#include "rule.h"

/* The folder that holds path. */
static bool folder_of(const char *path, char run[JOBS_PATH_MAX])
{
    int length = snprintf(run, JOBS_PATH_MAX, "%s", path);
    char *slash = length > 0 && length < JOBS_PATH_MAX ? strrchr(run, '/') : NULL;
    if (slash)
        *slash = 0;
    return slash != NULL;
}

static enum code admit_claim(void *context, const char *path, const char *target, struct failure *why)
{
    struct jobs *jobs = context;
    char run[JOBS_PATH_MAX];
    if (!folder_of(path, run))
        return failure_set(why, CODE_NAME_TOO_LONG, "%s: the path is too long", path);
    if (!target)
        return failure_set(why, CODE_NOT_PERMITTED, "%s: only a symbolic link that names a node can claim a run", path);
    jobs_nodes_refresh(jobs);
    jobs_quota_refresh(jobs);
    return job_table_grant(jobs->table, run, target, why);
}

static void settle_claim(void *context, const char *path)
{
    struct jobs *jobs = context;
    char run[JOBS_PATH_MAX];
    struct failure why;
    struct job_run known;
    SCOPE_BUFFER node = {0};
    if (!folder_of(path, run) || tree_path_read_link(jobs->tree, path, &node, NULL) != CODE_OK)
        return;
    if (!job_table_is_granted(jobs->table, run, buffer_text(&node)) || !job_table_find(jobs->table, run, &known)) {
        logging_warning("%s: a claim that was not granted is removed", path);
        if (tree_path_remove(jobs->tree, path, &why) != CODE_OK)
            logging_warning("%s", why.text);
        return;
    }
    struct run_event event = {.kind = RUN_EVENT_CLAIMED, .node = buffer_text(&node), .attempt = known.summary.attempt + 1};
    if (jobs_run_append(jobs, run, event, &why) != CODE_OK)
        logging_warning("%s", why.text);
}

static void settle_events(void *context, const char *path)
{
    char run[JOBS_PATH_MAX];
    if (folder_of(path, run))
        jobs_run_refresh(context, run);
}

/* Someone removed the run's history, with its folder most likely. */
static void remove_events(void *context, const char *path)
{
    struct jobs *jobs = context;
    char run[JOBS_PATH_MAX];
    if (folder_of(path, run))
        job_table_drop(jobs->table, run, "its folder was removed");
}

enum code jobs_claim_add_rules(struct jobs *jobs, struct failure *why)
{
    struct rule claim = {.kind = RULE_WATCH,
                         .pattern = "experiments/*/*/claim",
                         .context = jobs,
                         .admit = admit_claim,
                         .settled = settle_claim};
    enum code code = rule_add(jobs->tree, &claim, why);
    if (code != CODE_OK)
        return code;
    struct rule events = {.kind = RULE_WATCH,
                          .pattern = "experiments/*/*/events",
                          .context = jobs,
                          .settled = settle_events,
                          .removed = remove_events,
                          .append_only = true};
    return rule_add(jobs->tree, &events, why);
}
