/* One run's files: its events above all.
 *
 * The events file is the truth and the table its shadow: whoever appends refreshes afterwards, by reading the
 * file again. Two that do so at once may read in any order; the table keeps what it has where a reading is
 * shorter.
 *
 * After a crash the file may end in the middle of a line.  The next append of the server starts on a new
 * line, so that the torn one spoils nothing but itself.
 *
 * Any thread; no lock needed.
 */
#include "jobs_run.h"

#include <stdio.h>
#include <string.h>

#include "logging.h"
#include "spec.h"

#define PROGRESS_BYTES_MAX 256

bool jobs_run_path(const char *run, const char *name, char out[JOBS_PATH_MAX])
{
    int length = snprintf(out, JOBS_PATH_MAX, "%s/%s", run, name);
    return length > 0 && length < JOBS_PATH_MAX;
}

static bool ends_in_mid_line(struct tree *tree, const char *path)
{
    SCOPE_BUFFER last = {0};
    return tree_path_read_tail(tree, path, 1, &last, NULL) == CODE_OK && last.length == 1 && last.data[0] != '\n';
}

enum code jobs_run_append(struct jobs *jobs, const char *run, struct run_event event, struct failure *why)
{
    char path[JOBS_PATH_MAX];
    if (!jobs_run_path(run, "events", path))
        return failure_set(why, CODE_NAME_TOO_LONG, "%s: the path is too long", run);
    SCOPE_BUFFER line = {0};
    if (ends_in_mid_line(jobs->tree, path))
        buffer_append_text(&line, "\n");
    event.ms = jobs->clock_ms();
    run_event_format(&event, &line);
    enum code code = buffer_check(&line, "a line of events", why);
    if (code == CODE_OK)
        code = tree_path_append(jobs->tree, path, line.data, line.length, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "%s: writing down \"%s\"", run, run_event_name(event.kind));
    jobs_run_refresh(jobs, run);
    return CODE_OK;
}

static enum code read_events(struct jobs *jobs, const char *run, struct buffer *text, struct failure *why)
{
    char path[JOBS_PATH_MAX];
    if (!jobs_run_path(run, "events", path))
        return failure_set(why, CODE_NAME_TOO_LONG, "%s: the path is too long", run);
    return tree_path_read(jobs->tree, path, RUN_EVENTS_BYTES_MAX, text, why);
}

void jobs_run_refresh(struct jobs *jobs, const char *run)
{
    SCOPE_BUFFER text = {0};
    struct failure why;
    if (read_events(jobs, run, &text, &why) != CODE_OK) {
        logging_warning("%s: its events cannot be read: %s", run, why.text);
        return;
    }
    struct run_summary summary;
    run_summary_fold(buffer_text(&text), text.length, &summary);
    char claim[JOBS_PATH_MAX];
    struct job_run known;
    bool waits_again = summary.state == RUN_QUEUED && summary.attempt > 0 && job_table_find(jobs->table, run, &known) &&
                       run_state_is_held(known.summary.state);
    if (waits_again && jobs_run_path(run, "claim", claim) && tree_path_remove(jobs->tree, claim, &why) != CODE_OK)
        logging_warning("%s: its old claim cannot be removed: %s", run, why.text);
    job_table_update(jobs->table, run, buffer_text(&text), text.length);
}

void jobs_run_lose(struct jobs *jobs, const char *run, struct run_event lost)
{
    struct failure why;
    lost.kind = RUN_EVENT_LOST;
    if (jobs_run_append(jobs, run, lost, &why) != CODE_OK)
        logging_warning("%s", why.text);
    else
        logging_info("%s: lost: %s", run, lost.reason);
}

/* What the frozen spec asks for; a run whose spec cannot be read asks for nothing and fails on its node with
 * the reason. */
static struct job_needs read_needs(struct jobs *jobs, const char *run)
{
    struct job_needs needs = {-1, 0, 0};
    char path[JOBS_PATH_MAX];
    SCOPE_BUFFER text = {0};
    struct spec *spec = NULL;
    struct spec_findings findings;
    if (!jobs_run_path(run, "spec.yaml", path) || tree_path_read(jobs->tree, path, SPEC_BYTES_MAX, &text, NULL) != CODE_OK ||
        spec_parse(buffer_text(&text), text.length, "run", &spec, &findings, NULL) != CODE_OK)
        return needs;
    needs = (struct job_needs){spec->gpus, spec->cpus, spec->memory_bytes};
    spec_destroy(spec);
    return needs;
}

enum code jobs_run_take_up(struct jobs *jobs, const char *run, struct failure *why)
{
    SCOPE_BUFFER text = {0};
    enum code code = read_events(jobs, run, &text, why);
    if (code != CODE_OK)
        return code;
    struct job_needs needs = read_needs(jobs, run);
    return job_table_add(jobs->table, run, &needs, buffer_text(&text), text.length, why);
}

void jobs_run_progress(struct jobs *jobs, const char *run, char out[64])
{
    out[0] = 0;
    char path[JOBS_PATH_MAX], unit[32];
    SCOPE_BUFFER text = {0};
    double done, total, rate = 0;
    if (!jobs_run_path(run, "progress", path) ||
        tree_path_read(jobs->tree, path, PROGRESS_BYTES_MAX, &text, NULL) != CODE_OK)
        return;
    int fields = sscanf(buffer_text(&text), "%lf %lf %31s %lf", &done, &total, unit, &rate);
    if (fields < 2 || !(total > 0) || !(done >= 0) || !(done <= total))
        return;
    int length = snprintf(out, 64, "%d %%", (int)(100 * done / total));
    double left_s = fields == 4 && rate > 0 ? (total - done) / rate : -1;
    if (left_s < 0 || left_s > 30 * 86400.0)
        return;
    if (left_s < 90)
        snprintf(out + length, 64 - (size_t)length, ", about %d s left", (int)left_s + 1);
    else if (left_s < 5400)
        snprintf(out + length, 64 - (size_t)length, ", about %d min left", (int)(left_s / 60 + 0.5));
    else
        snprintf(out + length, 64 - (size_t)length, ", about %.1f h left", left_s / 3600);
}
