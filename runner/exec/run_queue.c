/* See run_queue.h.  A plain list: a node looks at its front.  The node's thread. */
#include "run_queue.h"

#include <stdlib.h>
#include <string.h>

#include "logging.h"

static size_t find(const struct run_queue *queue, const char *path)
{
    size_t at = 0;
    while (at < queue->count && strcmp(queue->runs[at].path, path) != 0)
        at++;
    return at;
}

void run_queue_add(struct run_queue *queue, const char *path)
{
    if (find(queue, path) < queue->count)
        return;
    if (queue->count == queue->capacity && queue->capacity < RUN_QUEUE_MAX) {
        size_t capacity = queue->capacity ? queue->capacity * 2 : 64;
        capacity = capacity < RUN_QUEUE_MAX ? capacity : RUN_QUEUE_MAX;
        struct queued_run *grown = realloc(queue->runs, capacity * sizeof *grown);
        if (grown) {
            queue->runs = grown;
            queue->capacity = capacity;
        }
    }
    char *copy = queue->count < queue->capacity ? strdup(path) : NULL;
    if (copy)
        queue->runs[queue->count++] = (struct queued_run){.path = copy};
    else
        logging_warning("%s: too many runs are queued to remember this one", path);
}

void run_queue_remove(struct run_queue *queue, const char *path)
{
    size_t at = find(queue, path);
    if (at == queue->count)
        return;
    free(queue->runs[at].path);
    memmove(&queue->runs[at], &queue->runs[at + 1], (queue->count - at - 1) * sizeof *queue->runs);
    queue->count--;
}

void run_queue_free(struct run_queue *queue)
{
    for (size_t i = 0; i < queue->count; i++)
        free(queue->runs[i].path);
    free(queue->runs);
    *queue = (struct run_queue){0};
}
