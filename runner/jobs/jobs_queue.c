/* jobs/queue: what runs, what waits, and why.
 *
 * One row for each run that is not over, in order of submission.  It changes with the table, with lab/nodes/,
 * and with the progress files of the runs that nodes have; its stamp is the newest of their times.
 */
#include "jobs_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jobs_nodes.h"
#include "jobs_quota.h"
#include "jobs_run.h"
#include "rule.h"
#include "text_table.h"

#define MOMENT_MAX 32

static void format_moment(int64_t ms, char out[MOMENT_MAX])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || strftime(out, MOMENT_MAX, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
        snprintf(out, MOMENT_MAX, "-");
}

static void explain_held(struct jobs *jobs, const struct job_run *run, struct buffer *out)
{
    char progress[64];
    jobs_run_progress(jobs, run->path, progress);
    buffer_printf(out, "on %s", run->summary.node);
    if (*progress)
        buffer_printf(out, ", %s", progress);
    if (run->summary.attempt > 1)
        buffer_printf(out, ", attempt %d", run->summary.attempt);
    if (run->summary.state == RUN_CANCELLING)
        buffer_printf(out, ", %s", run->summary.reason);
}

static void explain_queued(struct jobs *jobs, const struct job_picture *picture, size_t index, struct buffer *out)
{
    const struct run_summary *summary = &picture->runs[index].summary;
    buffer_append_text(out, picture->explanations[index]);
    if (picture->blockers[index] >= 0) {
        char progress[64];
        jobs_run_progress(jobs, picture->runs[picture->blockers[index]].path, progress);
        if (*progress)
            buffer_printf(out, " (%s)", progress);
    }
    if (summary->attempt > 0)
        buffer_printf(out, "; attempt %d was lost: %s", summary->attempt, summary->reason);
}

static void add_run_row(struct jobs *jobs, const struct job_picture *picture, size_t index, struct text_table *table)
{
    const struct job_run *run = &picture->runs[index];
    char since[MOMENT_MAX];
    SCOPE_BUFFER why = {0};
    format_moment(run->summary.changed_ms, since);
    if (run->summary.state == RUN_QUEUED)
        explain_queued(jobs, picture, index, &why);
    else
        explain_held(jobs, run, &why);
    text_table_row(table, run_state_name(run->summary.state), run->summary.job, run->path, run->summary.member, since,
                   buffer_text(&why), NULL);
}

static enum code render_queue(void *context, const char *path, struct buffer *out, struct failure *why)
{
    struct jobs *jobs = context;
    struct job_picture picture;
    jobs_nodes_refresh(jobs);
    jobs_quota_refresh(jobs);
    enum code code = job_table_copy(jobs->table, &picture, why);
    if (code != CODE_OK)
        return code;
    SCOPE_TEXT_TABLE table = {0};
    text_table_row(&table, "STATE", "JOB", "RUN", "MEMBER", "SINCE", "WHERE OR WHY", NULL);
    for (size_t i = 0; i < picture.run_count; i++)
        add_run_row(jobs, &picture, i, &table);
    if (picture.run_count > 0)
        text_table_format(&table, out);
    else
        buffer_append_text(out, "Nothing runs and nothing waits.\n");
    job_picture_free(&picture);
    return buffer_check(out, path, why);
}

static void stamp_queue(void *context, const char *path, uint64_t *version, int64_t *modify_ns)
{
    (void)path;
    struct jobs *jobs = context;
    jobs_quota_refresh(jobs);
    int64_t newest = job_table_changed_ns(jobs->table), nodes_ns = jobs_nodes_changed_ns(jobs);
    if (nodes_ns > newest)
        newest = nodes_ns;
    struct job_paths held = {0};
    job_table_held(jobs->table, &held);
    for (size_t i = 0; i < held.count; i++) {
        char progress[JOBS_PATH_MAX];
        struct node_attributes attributes;
        if (jobs_run_path(held.paths[i], "progress", progress) &&
            tree_path_attributes(jobs->tree, progress, &attributes, NULL) == CODE_OK && attributes.modify_ns > newest)
            newest = attributes.modify_ns;
    }
    free(held.paths);
    *modify_ns = newest;
    *version = (uint64_t)newest;
}

enum code jobs_queue_add_rules(struct jobs *jobs, struct failure *why)
{
    struct rule queue = {
        .kind = RULE_DERIVED, .pattern = "jobs/queue", .context = jobs, .render = render_queue, .stamp = stamp_queue};
    return rule_add(jobs->tree, &queue, why);
}
