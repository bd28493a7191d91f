/* Left-over runs: see stray_runs.h.
 *
 * A node that was killed leaves claims in its name.  The server calls them lost when it sees the lease go; this is the
 * second pair of eyes, for a server that was down at that moment.  It waits a little, and then believes the run's own events
 * rather than what the stream said earlier, because in between the run may have been given to someone else.
 * The node's thread.
 */
#include "stray_runs.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "logging.h"
#include "run_journal.h"
#include "run_state.h"
#include "scope.h"
#include "timing.h"

static size_t find(const struct stray_runs *strays, const char *path)
{
    size_t at = 0;
    while (at < strays->count && strcmp(strays->runs[at].path, path) != 0)
        at++;
    return at;
}

void stray_runs_add(struct stray_runs *strays, const char *path)
{
    if (find(strays, path) < strays->count || strays->count == STRAY_RUNS_MAX)
        return;
    char *copy = strdup(path);
    if (copy)
        strays->runs[strays->count++] = (struct stray_run){copy, timing_monotonic_ms() + STRAY_RUNS_GRACE_MS};
}

void stray_runs_remove(struct stray_runs *strays, const char *path)
{
    size_t at = find(strays, path);
    if (at == strays->count)
        return;
    free(strays->runs[at].path);
    strays->runs[at] = strays->runs[--strays->count];
}

static enum code settle(const char *lab, const char *path, const char *node, struct failure *why)
{
    struct run_summary summary;
    SCOPE_FREE char *folder = file_join(lab, path);
    if (!folder)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    enum code code = run_journal_read(folder, &summary, why);
    if (code != CODE_OK || !run_state_is_held(summary.state) || strcmp(summary.node, node) != 0)
        return code;
    logging_info("%s: was left behind by an earlier node of this name", path);
    struct run_event event = {.kind = RUN_EVENT_LOST, .attempt = summary.attempt, .reason = "the node was started anew"};
    if (summary.state == RUN_CANCELLING)
        event = (struct run_event){.kind = RUN_EVENT_CANCELLED, .attempt = summary.attempt};
    return run_journal_append(folder, event, why);
}

int stray_runs_settle(struct stray_runs *strays, const char *lab, const char *node)
{
    int64_t now = timing_monotonic_ms();
    int due = -1;
    for (size_t i = 0; i < strays->count;) {
        struct stray_run *stray = &strays->runs[i];
        struct failure why;
        int64_t left = stray->due_ms - now;
        if (left <= 0 && settle(lab, stray->path, node, &why) == CODE_OK) {
            free(stray->path);
            strays->runs[i] = strays->runs[--strays->count];
            continue;
        }
        if (left <= 0) {
            logging_warning("%s: cannot be given back: %s: trying again", stray->path, why.text);
            stray->due_ms = now + STRAY_RUNS_GRACE_MS;
            left = STRAY_RUNS_GRACE_MS;
        }
        due = due < 0 || left < due ? (int)left : due;
        i++;
    }
    return due;
}

void stray_runs_free(struct stray_runs *strays)
{
    for (size_t i = 0; i < strays->count; i++)
        free(strays->runs[i].path);
    strays->count = 0;
}
