/* Messages: see relay_message.h.
 *
 * Nothing is written to the kernel or to the server while the relay's lock is held: whoever works under it collects messages
 * in a struct relay_output, gives the lock back, and flushes.  Order between threads does not matter: whatever must come
 * after something else is only begun when that was answered.
 *
 * Memory: these messages are small or bounded by the windows; where even that is not to be had, the program cannot go on,
 * and ends. */
#include "relay_message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "logging.h"
#include "relay_state.h"
#include "timing.h"

struct relay_bytes *relay_bytes_make(size_t count)
{
    struct relay_bytes *bytes = malloc(sizeof *bytes + count);
    if (!bytes)
        abort();
    atomic_init(&bytes->users, 1);
    bytes->count = count;
    return bytes;
}

struct relay_bytes *relay_bytes_share(struct relay_bytes *bytes)
{
    atomic_fetch_add_explicit(&bytes->users, 1, memory_order_relaxed);
    return bytes;
}

void relay_bytes_drop(struct relay_bytes *bytes)
{
    if (bytes && atomic_fetch_sub_explicit(&bytes->users, 1, memory_order_acq_rel) == 1)
        free(bytes);
}

struct relay_request *relay_request_make(const void *message, size_t length)
{
    struct relay_request *request = calloc(1, sizeof *request);
    if (!request)
        abort();
    request->came_ms = timing_monotonic_ms();
    request->bytes = relay_bytes_make(length);
    memcpy(request->bytes->data, message, length);
    return request;
}

void relay_request_free(struct relay_request *request)
{
    relay_bytes_drop(request->bytes);
    free(request);
}

const char *relay_request_name(const struct relay_request *request, size_t offset)
{
    size_t bytes = relay_request_body_bytes(request);
    const char *name = (const char *)relay_request_body(request) + offset;
    return offset < bytes && memchr(name, 0, bytes - offset) ? name : NULL;
}

void relay_queue_push(struct relay_queue *queue, struct relay_request *request)
{
    request->next = NULL;
    *(queue->last ? &queue->last->next : &queue->first) = request;
    queue->last = request;
}

struct relay_request *relay_queue_pop(struct relay_queue *queue)
{
    struct relay_request *request = queue->first;
    if (!request)
        return NULL;
    queue->first = request->next;
    if (!queue->first)
        queue->last = NULL;
    return request;
}

static struct relay_message *add(struct relay_output *out, size_t length)
{
    struct relay_message *message = calloc(1, sizeof *message + length);
    if (!message)
        abort();
    message->length = length;
    *(out->last ? &out->last->next : &out->first) = message;
    out->last = message;
    return message;
}

void relay_answer(struct relay *relay, struct relay_output *out, uint64_t unique, int error, const void *body, size_t bytes)
{
    (void)relay;
    if (!unique)
        return;
    struct fuse_out_header header = {.error = -error, .unique = unique};
    if (error)
        bytes = 0;
    header.len = (uint32_t)(sizeof header + bytes);
    struct relay_message *message = add(out, header.len);
    memcpy(message->head, &header, sizeof header);
    if (bytes)
        memcpy(message->head + sizeof header, body, bytes);
}

void relay_answer_bytes(struct relay_output *out, uint64_t unique, struct relay_bytes *bytes, size_t from, size_t count)
{
    struct fuse_out_header header = {.unique = unique, .len = (uint32_t)(sizeof header + count)};
    struct relay_message *message = add(out, sizeof header);
    memcpy(message->head, &header, sizeof header);
    message->tail = relay_bytes_share(bytes);
    message->tail_from = from;
    message->tail_count = count;
}

void relay_finish(struct relay *relay, struct relay_output *out, struct relay_request *request, int error, const void *body,
                  size_t bytes)
{
    relay_answer(relay, out, relay_request_header(request)->unique, error, body, bytes);
    relay_request_free(request);
}

void relay_output_notice(struct relay_output *out, const void *bytes, size_t length)
{
    struct relay_message *message = add(out, length);
    memcpy(message->head, bytes, length);
}

void relay_output_send(struct relay_output *out, struct relay_bytes *bytes)
{
    struct relay_message *message = add(out, 0);
    message->to_server = true;
    message->tail = relay_bytes_share(bytes);
    message->tail_count = bytes->count;
}

/* A request that was interrupted or came before an unmount has nobody who waits for its answer: ENOENT. */
static void write_to_kernel(struct relay *relay, const struct relay_message *message)
{
    struct iovec parts[2] = {{(void *)message->head, message->length}, {NULL, message->tail_count}};
    if (message->tail)
        parts[1].iov_base = message->tail->data + message->tail_from;
    ssize_t wrote;
    do
        wrote = writev(relay->device, parts, message->tail_count ? 2 : 1);
    while (wrote < 0 && errno == EINTR);
    if (wrote < 0)
        logging_trace(TRACE_SESSION, "an answer was not taken: %s", strerror(errno));
}

static void send_all(struct relay *relay, struct relay_output *out)
{
    struct relay_message *message = out->first;
    out->first = out->last = NULL;
    while (message) {
        struct relay_message *next = message->next;
        if (message->to_server)
            relay_send(relay, message->tail);
        else
            write_to_kernel(relay, message);
        relay_bytes_drop(message->tail);
        free(message);
        message = next;
    }
}

void relay_output_flush(struct relay *relay, struct relay_output *out)
{
    for (;;) {
        send_all(relay, out);
        struct relay_request *request = relay_queue_pop(&out->again);
        if (!request)
            return;
        pthread_mutex_lock(&relay->lock);
        do
            relay_dispatch(relay, request, out);
        while ((request = relay_queue_pop(&out->again)));
        pthread_mutex_unlock(&relay->lock);
    }
}
