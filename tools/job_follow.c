/* Following a job: the run's own files, looked at twice a second.  The link jobs/JOB is followed anew each time, so a spec
 * that is saved again meanwhile is followed on to its new run. */
#include "job_follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "file.h"
#include "progress_bar.h"
#include "run_state.h"
#include "scope.h"

#define LOOK_INTERVAL_US 500000
#define APPEAR_PATIENCE  6 /* looks: a run appears moments after its spec was closed */
#define PROGRESS_MAX     256
#define STATUS_BYTES_MAX 65536

static bool read_part(const char *lab, const char *job, const char *part, size_t max, struct buffer *out)
{
    SCOPE_FREE char *path = NULL;
    if (asprintf(&path, "%s/jobs/%s%s%s", lab, job, part[0] ? "/" : "", part) < 0) {
        path = NULL;
        return false;
    }
    buffer_clear(out);
    return file_read(path, max, out, NULL) == CODE_OK;
}

static void draw_progress(struct progress_bar *bar, const char *lab, const char *job)
{
    SCOPE_BUFFER text = {.max = PROGRESS_MAX};
    long long done, total;
    char unit[32];
    if (read_part(lab, job, "progress", PROGRESS_MAX - 1, &text) &&
        sscanf(buffer_text(&text), "%lld %lld %31s", &done, &total, unit) == 3 && done >= 0 && total > 0)
        progress_bar_draw(bar, job, done, total, unit);
}

static void print_state(const char *job, const struct run_summary *summary)
{
    const char *detail = summary->state == RUN_RUNNING || summary->state == RUN_CLAIMED ? summary->node : summary->reason;
    printf("%s: %s%s%s\n", job, run_state_name(summary->state), detail[0] ? ": " : "", detail);
    fflush(stdout);
}

/* The end of a run: its whole status. */
static int print_end(const char *lab, const char *job, const struct run_summary *summary)
{
    SCOPE_BUFFER status = {0};
    if (read_part(lab, job, "status", STATUS_BYTES_MAX, &status))
        fputs(buffer_text(&status), stdout);
    return summary->state == RUN_FINISHED ? EXIT_DONE : EXIT_REFUSED;
}

/* What stands in jobs/JOB.error, for a job that has no run. */
static int explain_absence(const struct command *command, const char *lab, const char *job)
{
    SCOPE_BUFFER text = {0};
    SCOPE_FREE char *name = NULL;
    if (asprintf(&name, "%s.error", job) >= 0 && read_part(lab, name, "", STATUS_BYTES_MAX, &text)) {
        fputs(buffer_text(&text), stderr);
        return EXIT_REFUSED;
    }
    struct failure why;
    failure_set(&why, CODE_NOT_FOUND, "jobs/%s: no run of that name (see: ls %s/jobs)", job, lab);
    return command_fail(command, &why);
}

int job_follow(const struct command *command, const char *lab, const char *job)
{
    SCOPE_BUFFER events = {0};
    struct progress_bar bar;
    struct run_summary summary = {0};
    enum run_state shown = RUN_NONE;
    int absent = 0;
    progress_bar_start(&bar);
    for (;; usleep(LOOK_INTERVAL_US)) {
        if (!read_part(lab, job, "events", RUN_EVENTS_BYTES_MAX, &events)) {
            if (shown == RUN_NONE && ++absent < APPEAR_PATIENCE)
                continue;
            progress_bar_end(&bar);
            if (shown == RUN_NONE)
                return explain_absence(command, lab, job);
            printf("%s: its spec was removed\n", job);
            return EXIT_REFUSED;
        }
        run_summary_fold(buffer_text(&events), events.length, &summary);
        if (summary.state != shown) {
            progress_bar_end(&bar);
            shown = summary.state;
            print_state(job, &summary);
        }
        if (run_state_is_over(summary.state))
            return print_end(lab, job, &summary);
        draw_progress(&bar, lab, job);
    }
}
