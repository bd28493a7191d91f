/* The newest failures, for lab/last-error: a ring of TREE_FAILURES_KEPT notes under a lock of its own.  Each viewer sees his
 * own, since texts and paths tell of what others do; whoever opened the store sees all. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "timing.h"
#include "tree_internal.h"
#include "tree_path.h"
#include "viewer.h"

void tree_note_failure(struct tree *tree, const char *path, const struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->failures_lock);
    struct tree_failure_note *note = &tree->failures[tree->failure_count++ % TREE_FAILURES_KEPT];
    note->wall_ms = timing_wall_ms();
    snprintf(note->path, sizeof note->path, "%s", path);
    note->failure = *why;
    const struct viewer *viewer = viewer_current();
    note->viewer = viewer ? viewer_owner(&viewer->id) : TREE_MOUNTER;
}

static bool shows(const struct tree_failure_note *note, const struct viewer *viewer)
{
    return !viewer || note->viewer == viewer_owner(&viewer->id);
}

void tree_failures_stamp(struct tree *tree, uint64_t *version, int64_t *modify_ns)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->failures_lock);
    size_t kept = tree->failure_count < TREE_FAILURES_KEPT ? tree->failure_count : TREE_FAILURES_KEPT;
    const struct viewer *viewer = viewer_current();
    *version = tree->failure_count; /* where the oldest of them was dropped, the text is another too */
    *modify_ns = tree->opened_ns;
    for (size_t i = 1; i <= kept; i++) {
        const struct tree_failure_note *note = &tree->failures[(tree->failure_count - i) % TREE_FAILURES_KEPT];
        if (shows(note, viewer)) {
            *modify_ns = note->wall_ms * 1000000;
            return;
        }
    }
}

void tree_recent_failures(struct tree *tree, struct buffer *out)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->failures_lock);
    const struct viewer *viewer = viewer_current();
    size_t kept = tree->failure_count < TREE_FAILURES_KEPT ? tree->failure_count : TREE_FAILURES_KEPT;
    for (size_t i = 1; i <= kept; i++) {
        const struct tree_failure_note *note = &tree->failures[(tree->failure_count - i) % TREE_FAILURES_KEPT];
        if (!shows(note, viewer))
            continue;
        time_t seconds = (time_t)(note->wall_ms / 1000);
        struct tm local;
        char when[32];
        localtime_r(&seconds, &local);
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
        bool names_it = strncmp(note->failure.text, note->path, strlen(note->path)) == 0; /* a text often does itself */
        buffer_printf(out, "%s  %s%s%s\n", when, names_it ? "" : note->path, names_it ? "" : ": ", note->failure.text);
    }
}
