/* jobs/events: one line a change, over all runs.  See runner/README.md for the lines.
 *
 * Each open stream has a queue of bytes of its own.  The table calls jobs_events_publish with its lock held,
 * so all streams get the changes in their order.  A new stream is first put into the list and then given a
 * line for each run that is not over; it may so see a state twice, but never misses one.
 *
 * The file's size, as stat(2) shows it, is the most that a stream was given: no reader has read more, and it grows with each
 * line that anybody waits for, which is how `tail -f` learns of one.
 *
 * A reader that does not read falls behind at most STREAM_BYTES_MAX; then its queue is thrown away and it
 * starts over with a line for each run that is not over.
 *
 * Invariants
 *  1. first_stream, and everything in each stream, is guarded by the lock.  It ranks behind the table's.
 *  2. wake is called with the lock held, and at most once for each registration; so once a registration was
 *     taken back no wake runs any more.  It must not call back.
 */
#include "jobs_events.h"

#include <stdlib.h>
#include <string.h>

#include "rule.h"
#include "scope.h"

#define STREAM_BYTES_MAX ((size_t)4 << 20)

struct jobs_events {
    pthread_mutex_t lock;
    struct stream *first_stream;
    uint64_t given_most; /* bytes */
};

struct stream {
    struct jobs *jobs;
    struct buffer pending;
    size_t taken;   /* bytes of pending that were read */
    uint64_t given; /* bytes, since it was opened */
    bool fell_behind;
    void (*wake)(void *wake_context);
    void *wake_context;
    struct stream *next;
};

struct jobs_events *jobs_events_create(void)
{
    struct jobs_events *events = calloc(1, sizeof *events);
    if (events)
        pthread_mutex_init(&events->lock, NULL);
    return events;
}

void jobs_events_destroy(struct jobs_events *events)
{
    if (!events)
        return;
    pthread_mutex_destroy(&events->lock);
    free(events);
}

static void append_member(struct buffer *out, const char *key, const char *value)
{
    buffer_printf(out, ",\"%s\":", key);
    buffer_append_json(out, value);
}

static void format_line(const struct job_run *run, const char *explanation, struct buffer *out)
{
    buffer_printf(out, "{\"ms\":%lld", (long long)run->summary.changed_ms);
    append_member(out, "job", run->summary.job);
    append_member(out, "run", run->path);
    append_member(out, "state", run_state_name(run->summary.state));
    append_member(out, "node", run->summary.node);
    append_member(out, "why", explanation);
    buffer_append_text(out, "}\n");
}

/* With the lock held. */
static void give_line(struct stream *stream, const struct buffer *line)
{
    if (stream->taken == stream->pending.length) {
        buffer_clear(&stream->pending);
        stream->taken = 0;
    }
    buffer_append(&stream->pending, line->data, line->length);
    stream->given += line->length;
    if (stream->given > stream->jobs->events->given_most)
        stream->jobs->events->given_most = stream->given;
    if (stream->pending.failed) {
        stream->fell_behind = true;
        stream->pending.failed = false;
        buffer_clear(&stream->pending);
        stream->taken = 0;
    }
    if (stream->wake) {
        void (*wake)(void *) = stream->wake;
        stream->wake = NULL;
        wake(stream->wake_context);
    }
}

void jobs_events_publish(void *context, const struct job_run *run, const char *explanation)
{
    struct jobs_events *events = context;
    SCOPE_BUFFER line = {0};
    format_line(run, explanation, &line);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&events->lock);
    for (struct stream *stream = events->first_stream; stream; stream = stream->next)
        give_line(stream, &line);
}

/* A job_table_changed for one stream alone. */
static void give_present(void *context, const struct job_run *run, const char *explanation)
{
    struct stream *stream = context;
    SCOPE_BUFFER line = {0};
    format_line(run, explanation, &line);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&stream->jobs->events->lock);
    give_line(stream, &line);
}

static enum code open_stream(void *context, const char *path, struct stream **out, struct failure *why)
{
    struct jobs *jobs = context;
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return failure_set(why, CODE_NO_MEMORY, "%s: not enough memory", path);
    stream->jobs = jobs;
    stream->pending.max = STREAM_BYTES_MAX;
    pthread_mutex_lock(&jobs->events->lock);
    stream->next = jobs->events->first_stream;
    jobs->events->first_stream = stream;
    pthread_mutex_unlock(&jobs->events->lock);
    job_table_visit(jobs->table, give_present, stream);
    *out = stream;
    return CODE_OK;
}

/* How much of the queue to give: whole lines, or a part of the first where it alone is longer than count. */
static size_t whole_lines(const struct stream *stream, size_t count)
{
    size_t left = stream->pending.length - stream->taken;
    if (left <= count)
        return left;
    const char *start = stream->pending.data + stream->taken;
    const char *last = memrchr(start, '\n', count);
    return last ? (size_t)(last - start) + 1 : count;
}

static enum code read_stream(struct stream *stream, char *bytes, size_t count, size_t *got, struct failure *why)
{
    (void)why;
    struct jobs *jobs = stream->jobs;
    pthread_mutex_lock(&jobs->events->lock);
    bool start_over = stream->fell_behind;
    stream->fell_behind = false;
    pthread_mutex_unlock(&jobs->events->lock);
    if (start_over)
        job_table_visit(jobs->table, give_present, stream);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&jobs->events->lock);
    *got = whole_lines(stream, count);
    if (*got > 0)
        memcpy(bytes, stream->pending.data + stream->taken, *got);
    stream->taken += *got;
    return CODE_OK;
}

static bool watch_stream(struct stream *stream, void (*wake)(void *wake_context), void *wake_context)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&stream->jobs->events->lock);
    stream->wake = wake;
    stream->wake_context = wake_context;
    return stream->fell_behind || stream->taken < stream->pending.length;
}

static void close_stream(struct stream *stream)
{
    struct jobs_events *events = stream->jobs->events;
    pthread_mutex_lock(&events->lock);
    struct stream **at = &events->first_stream;
    while (*at != stream)
        at = &(*at)->next;
    *at = stream->next;
    pthread_mutex_unlock(&events->lock);
    buffer_free(&stream->pending);
    free(stream);
}

static uint64_t size_of_stream(void *context, const char *path)
{
    (void)path;
    struct jobs *jobs = context;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&jobs->events->lock);
    return jobs->events->given_most;
}

enum code jobs_events_add_rules(struct jobs *jobs, struct failure *why)
{
    struct rule stream = {.kind = RULE_STREAM,
                          .pattern = "jobs/events",
                          .context = jobs,
                          .open = open_stream,
                          .read = read_stream,
                          .watch = watch_stream,
                          .close = close_stream,
                          .size = size_of_stream};
    return rule_add(jobs->tree, &stream, why);
}
