/* Inside fs/relay: bytes that several may hold, requests of the kernel's, and what is to be sent once the lock is given
 * back. */
#ifndef CYTOFS_RELAY_MESSAGE_H
#define CYTOFS_RELAY_MESSAGE_H

#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay;
struct relay_queue;

/* Counted bytes. */
struct relay_bytes {
    atomic_int users;
    size_t count;
    _Alignas(8) uint8_t data[];
};

struct relay_bytes *relay_bytes_make(size_t count); /* aborts the program without memory, as all of this module */
struct relay_bytes *relay_bytes_share(struct relay_bytes *bytes);
void relay_bytes_drop(struct relay_bytes *bytes); /* NULL is fine */

/* A request of the kernel's, whole, while it waits or is worked on. */
struct relay_request {
    struct relay_request *next;          /* in its queue */
    struct relay_queue *queue;           /* where it is parked; NULL: nowhere */
    struct relay_request *older, *newer; /* among all that are parked */
    int64_t came_ms;
    bool interrupted;
    bool tried; /* what it waited for came to nothing: the server is asked */
    struct relay_bytes *bytes;
};

struct relay_queue {
    struct relay_request *first, *last;
};

struct relay_request *relay_request_make(const void *message, size_t length);
void relay_request_free(struct relay_request *request);

static inline struct fuse_in_header *relay_request_header(const struct relay_request *request)
{
    return (struct fuse_in_header *)request->bytes->data;
}

static inline void *relay_request_body(const struct relay_request *request)
{
    return request->bytes->data + sizeof(struct fuse_in_header);
}

static inline size_t relay_request_body_bytes(const struct relay_request *request)
{
    return request->bytes->count - sizeof(struct fuse_in_header);
}

/* The NUL-terminated name at `offset` of the body; NULL where there is none. */
const char *relay_request_name(const struct relay_request *request, size_t offset);

/* What is to be done after the lock: messages, in order, and requests to be looked at again. */
struct relay_message {
    struct relay_message *next;
    bool to_server;
    struct relay_bytes *tail; /* its bytes from tail_from on follow; NULL: none */
    size_t tail_from, tail_count;
    size_t length;
    _Alignas(8) uint8_t head[];
};

struct relay_output {
    struct relay_message *first, *last;
    struct relay_queue again;
};

void relay_queue_push(struct relay_queue *queue, struct relay_request *request);
struct relay_request *relay_queue_pop(struct relay_queue *queue);

/* To the kernel: an answer.  error: 0 or a positive errno, then without a body.  unique 0: nobody waits, nothing is sent. */
void relay_answer(struct relay *relay, struct relay_output *out, uint64_t unique, int error, const void *body, size_t bytes);
/* The same with a body of counted bytes. */
void relay_answer_bytes(struct relay_output *out, uint64_t unique, struct relay_bytes *bytes, size_t from, size_t count);
/* Answers the request and frees it. */
void relay_finish(struct relay *relay, struct relay_output *out, struct relay_request *request, int error, const void *body,
                  size_t bytes);

/* To the kernel: a notice as it came. */
void relay_output_notice(struct relay_output *out, const void *message, size_t length);

/* To the server: the counted bytes, whole. */
void relay_output_send(struct relay_output *out, struct relay_bytes *bytes);

/* Sends it all, looks at requests again, until nothing is left.  Without the lock. */
void relay_output_flush(struct relay *relay, struct relay_output *out);

#endif
