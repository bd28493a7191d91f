/* The newest failures, for lab/last-error: a ring of TREE_FAILURES_KEPT notes under a lock of its own. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "timing.h"
#include "tree_internal.h"
#include "tree_path.h"

void tree_note_failure(struct tree *tree, const char *path, const struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->failures_lock);
    struct tree_failure_note *note = &tree->failures[tree->failure_count++ % TREE_FAILURES_KEPT];
    note->wall_ms = timing_wall_ms();
    snprintf(note->path, sizeof note->path, "%s", path);
    note->failure = *why;
}

void tree_recent_failures(struct tree *tree, struct buffer *out)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->failures_lock);
    size_t kept = tree->failure_count < TREE_FAILURES_KEPT ? tree->failure_count : TREE_FAILURES_KEPT;
    for (size_t i = 1; i <= kept; i++) {
        const struct tree_failure_note *note = &tree->failures[(tree->failure_count - i) % TREE_FAILURES_KEPT];
        time_t seconds = (time_t)(note->wall_ms / 1000);
        struct tm local;
        char when[32];
        localtime_r(&seconds, &local);
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
        bool names_it = strncmp(note->failure.text, note->path, strlen(note->path)) == 0; /* a text often does itself */
        buffer_printf(out, "%s  %s%s%s\n", when, names_it ? "" : note->path, names_it ? "" : ": ", note->failure.text);
    }
}
