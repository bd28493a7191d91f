/* Reading jobs/events: see job_stream.h.  Lines come from the server, but a path in them is used to make files, so it is
 * held to its form: experiments/<experiment>/<run> and nothing that climbs.  The node's thread. */
#include "job_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "scope.h"

#define LINE_BYTES_MAX 65536
#define READ_BYTES     65536

enum code job_stream_open(struct job_stream *stream, const char *lab, struct failure *why)
{
    SCOPE_FREE char *path = file_join(lab, "jobs/events");
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", lab);
    *stream = (struct job_stream){.pending = {.max = LINE_BYTES_MAX + READ_BYTES}};
    stream->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (stream->fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened (is a lab mounted at %s?)", path, lab);
    return CODE_OK;
}

void job_stream_close(struct job_stream *stream)
{
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
    buffer_free(&stream->pending);
}

/* One component of a path, up to the next '/' or the end; 0 where it is empty or hidden. */
static size_t component_length(const char *text)
{
    return text[0] == '.' ? 0 : strcspn(text, "/");
}

static bool is_run_path(const char *path)
{
    static const char top[] = "experiments/";
    if (strncmp(path, top, sizeof top - 1) != 0)
        return false;
    const char *experiment = path + sizeof top - 1;
    size_t length = component_length(experiment);
    if (length == 0 || experiment[length] != '/')
        return false;
    const char *run = experiment + length + 1;
    return component_length(run) > 0 && run[component_length(run)] == 0;
}

static bool copy_member(const json_t *object, const char *name, char *text, size_t size)
{
    const char *value = json_string_value(json_object_get(object, name));
    if (!value || strlen(value) >= size)
        return false;
    strcpy(text, value);
    return true;
}

bool job_change_parse(const char *line, size_t count, struct job_change *change)
{
    json_error_t error;
    json_t *object = json_loadb(line, count, 0, &error);
    *change = (struct job_change){0};
    bool good = json_is_object(object) && copy_member(object, "run", change->run, sizeof change->run) &&
                copy_member(object, "state", change->state, sizeof change->state) && is_run_path(change->run);
    if (good && !copy_member(object, "node", change->node, sizeof change->node))
        change->node[0] = 0;
    json_decref(object);
    return good;
}

static void take_lines(struct buffer *pending, void (*each)(void *context, const struct job_change *change), void *context)
{
    size_t start = 0;
    for (const char *feed;
         start < pending->length && (feed = memchr(pending->data + start, '\n', pending->length - start));) {
        size_t length = (size_t)(feed - pending->data) - start;
        struct job_change change;
        if (job_change_parse(pending->data + start, length, &change))
            each(context, &change);
        start += length + 1;
    }
    size_t rest = pending->length - start;
    if (rest > LINE_BYTES_MAX) /* no line is that long: skip to the next */
        rest = 0;
    if (rest)
        memmove(pending->data, pending->data + pending->length - rest, rest);
    pending->length = rest;
}

enum code job_stream_read(struct job_stream *stream, void (*each)(void *context, const struct job_change *change),
                          void *context, struct failure *why)
{
    char *end = buffer_reserve(&stream->pending, READ_BYTES);
    if (!end)
        return buffer_check(&stream->pending, "jobs/events", why);
    ssize_t got = read(stream->fd, end, READ_BYTES);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return CODE_OK;
    if (got < 0)
        return failure_set_errno(why, errno, "jobs/events: cannot be read: the lab is gone");
    if (got == 0)
        return failure_set(why, CODE_IO, "jobs/events: has ended: the lab is gone");
    stream->pending.length += (size_t)got;
    take_lines(&stream->pending, each, context);
    return CODE_OK;
}
