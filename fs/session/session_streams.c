/* Parked reads and poll: see session_streams.h.
 *
 *   READ, nothing there, not the first time --> parked on its handle --> watch the stream --> (wake | INTERRUPT) --> waker's
 * queue ^                                                               |
 *                                  +------- still nothing: watch again ---------------------- waker reads, answers
 *
 * Invariants
 * 1. A parked read borrows its handle; so a handle with parked reads does not go away.
 * 2. A stream with parked reads or a poller is watched, or is in the queue, or is being looked at by the waker.
 * 3. Wakes and interrupts only put the handle into the queue; all answers come from the waker.
 * 4. A request's interrupt function is taken back before its parked_read is freed: libfuse calls it under the request's own
 *    lock, which taking back waits for.  It takes our lock; hence ours is never held while setting or taking back.
 *
 * A stream calls its wake function from any thread, perhaps under a lock of its own, and never after its registration was
 * taken back; so the stream is never called under our lock, and the wake function calls nothing of the stream. */
#include "session_streams.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "scope.h"
#include "session_reply.h"
#include "session_state.h"

#define STREAM_READ_MAX ((size_t)64 << 10) /* bytes given to one READ */

struct parked_read {
    struct session_handle *handle; /* borrowed */
    fuse_req_t request;
    size_t count;
    bool interrupted;
    struct parked_read *next;
};

static struct session_streams *streams_of(const struct session_handle *handle)
{
    return &handle->session->streams;
}

/* With the lock held. */
static void enqueue(struct session_handle *handle)
{
    struct session_streams *streams = streams_of(handle);
    if (handle->stream.queued)
        return;
    handle->stream.queued = true;
    handle->stream.next_queued = NULL;
    if (streams->last_queued)
        streams->last_queued->stream.next_queued = handle;
    else
        streams->first_queued = handle;
    streams->last_queued = handle;
    pthread_cond_signal(&streams->work);
}

static void on_wake(void *context)
{
    struct session_handle *handle = context;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&streams_of(handle)->lock);
    enqueue(handle);
}

static void on_interrupt(fuse_req_t request, void *context)
{
    (void)request;
    struct parked_read *parked = context;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&streams_of(parked->handle)->lock);
    parked->interrupted = true;
    enqueue(parked->handle);
}

/* Watches the stream; where it is readable already, that counts as a wake. */
static void watch(struct session_handle *handle)
{
    if (tree_file_watch(handle->file, on_wake, handle))
        on_wake(handle);
}

/* The caller's borrowing stays its own: watch() needs the handle after the waker may have answered and put it back. */
static void park(struct session_handle *handle, fuse_req_t request, size_t count)
{
    struct parked_read *parked = malloc(sizeof *parked);
    if (!parked || !session_handles_borrow(handle)) {
        free(parked);
        fuse_reply_err(request, ENOMEM);
        return;
    }
    *parked = (struct parked_read){.handle = handle, .request = request, .count = count};
    fuse_req_interrupt_func(request, on_interrupt, parked);

    /* Once it is in the list the waker may answer and free it. */
    pthread_mutex_lock(&streams_of(handle)->lock);
    struct parked_read **end = &handle->stream.first_parked;
    while (*end)
        end = &(*end)->next;
    *end = parked;
    bool abandoned = handle->stream.abandoned;
    if (parked->interrupted)
        enqueue(handle); /* the interrupt came before it was in the list */
    pthread_mutex_unlock(&streams_of(handle)->lock);
    if (abandoned)
        session_streams_abandon(handle);
    else
        watch(handle);
}

/* Reads into `bytes`, which has room for STREAM_READ_MAX. */
static enum code read_stream(struct session_handle *handle, size_t count, char *bytes, size_t *got, struct failure *why)
{
    return tree_read(handle->file, 0, bytes, count < STREAM_READ_MAX ? count : STREAM_READ_MAX, got, why);
}

/* Whether this read, which found nothing, is the one that is told so. */
static bool is_end(struct session_handle *handle)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&streams_of(handle)->lock);
    bool end = !handle->stream.told_end;
    handle->stream.told_end = true;
    return end;
}

void session_streams_read(struct session_handle *handle, fuse_req_t request, size_t count, bool wait)
{
    struct failure why;
    size_t got = 0;
    SCOPE_FREE char *bytes = malloc(STREAM_READ_MAX);
    enum code code = bytes ? read_stream(handle, count, bytes, &got, &why)
                           : failure_set(&why, CODE_NO_MEMORY, "reading a stream: no memory");
    struct node_id node = handle->node;
    if (code == CODE_AGAIN && wait && is_end(handle))
        code = CODE_OK;
    if (code == CODE_AGAIN && wait)
        park(handle, request, count);
    session_handles_put(handle);
    if (code == CODE_OK)
        fuse_reply_buf(request, bytes, got);
    else if (code != CODE_AGAIN || !wait)
        session_reply_failure(request, code, &why, node, NULL);
}

void session_streams_poll(struct session_handle *handle, fuse_req_t request, struct fuse_pollhandle *poll)
{
    struct fuse_pollhandle *former = NULL;
    if (poll) {
        pthread_mutex_lock(&streams_of(handle)->lock);
        former = handle->stream.poll;
        handle->stream.poll = poll;
        pthread_mutex_unlock(&streams_of(handle)->lock);
    }
    if (former)
        fuse_pollhandle_destroy(former);
    bool readable = tree_file_watch(handle->file, on_wake, handle);
    session_handles_put(handle);
    fuse_reply_poll(request, readable ? POLLIN | POLLRDNORM : 0);
}

/* The waker ------------------------------------------------------------------------------------------------------- */

/* Takes an interrupted read off the list or, where there is none and `any`, the oldest. */
static struct parked_read *take_parked(struct session_handle *handle, bool any)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&streams_of(handle)->lock);
    struct parked_read **link = &handle->stream.first_parked;
    while (*link && !(*link)->interrupted)
        link = &(*link)->next;
    if (!*link && any)
        link = &handle->stream.first_parked;
    struct parked_read *parked = *link;
    if (parked)
        *link = parked->next;
    return parked;
}

static void give_back_parked(struct parked_read *parked)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&streams_of(parked->handle)->lock);
    parked->next = parked->handle->stream.first_parked;
    parked->handle->stream.first_parked = parked;
}

static void finish_parked(struct parked_read *parked, enum code code, const char *bytes, size_t got,
                          const struct failure *why)
{
    struct node_id node = parked->handle->node;
    fuse_req_interrupt_func(parked->request, NULL, NULL);
    session_handles_put(parked->handle);
    if (code == CODE_OK)
        fuse_reply_buf(parked->request, bytes, got);
    else
        session_reply_failure(parked->request, code, why, node, NULL);
    free(parked);
}

static bool has_poller(struct session_handle *handle)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&streams_of(handle)->lock);
    return handle->stream.poll != NULL;
}

static void notify_poller(struct session_handle *handle)
{
    pthread_mutex_lock(&streams_of(handle)->lock);
    struct fuse_pollhandle *poll = handle->stream.poll;
    handle->stream.poll = NULL;
    pthread_mutex_unlock(&streams_of(handle)->lock);
    if (!poll)
        return;
    fuse_lowlevel_notify_poll(poll);
    fuse_pollhandle_destroy(poll);
}

/* Answers what can be answered on a handle that was in the queue. */
static void attend(struct session_handle *handle, char *bytes)
{
    struct failure why;
    struct parked_read *parked;
    while ((parked = take_parked(handle, false)))
        finish_parked(parked, CODE_INTERRUPTED, NULL, 0, &why);
    while ((parked = take_parked(handle, true))) {
        size_t got = 0;
        enum code code = read_stream(handle, parked->count, bytes, &got, &why);
        if (code == CODE_AGAIN) {
            give_back_parked(parked);
            watch(handle);
            break;
        }
        finish_parked(parked, code, bytes, got, &why);
    }
    if (has_poller(handle) && tree_file_watch(handle->file, on_wake, handle))
        notify_poller(handle);
}

static struct session_handle *next_queued(struct session_streams *streams)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&streams->lock);
    for (;;) {
        while (!streams->first_queued && !streams->stopping)
            pthread_cond_wait(&streams->work, &streams->lock);
        if (streams->stopping)
            return NULL;
        struct session_handle *handle = streams->first_queued;
        streams->first_queued = handle->stream.next_queued;
        if (!streams->first_queued)
            streams->last_queued = NULL;
        handle->stream.queued = false;
        /* One that is just being closed waits for our lock in session_streams_detach. */
        if (session_handles_borrow(handle))
            return handle;
    }
}

static void *run_waker(void *argument)
{
    struct session_streams *streams = argument;
    SCOPE_FREE char *bytes = malloc(STREAM_READ_MAX);
    struct session_handle *handle;
    while (bytes && (handle = next_queued(streams))) {
        attend(handle, bytes);
        session_handles_put(handle);
    }
    return NULL;
}

/* Life ------------------------------------------------------------------------------------------------------------ */

void session_streams_init(struct session_streams *streams)
{
    *streams = (struct session_streams){0};
    pthread_mutex_init(&streams->lock, NULL);
    pthread_cond_init(&streams->work, NULL);
}

enum code session_streams_start(struct session_streams *streams, struct failure *why)
{
    int error = pthread_create(&streams->waker, NULL, run_waker, streams);
    if (error)
        return failure_set_errno(why, error, "starting the thread that answers waiting readers");
    streams->running = true;
    return CODE_OK;
}

void session_streams_stop(struct session_streams *streams)
{
    if (!streams->running)
        return;
    pthread_mutex_lock(&streams->lock);
    streams->stopping = true;
    pthread_cond_signal(&streams->work);
    pthread_mutex_unlock(&streams->lock);
    pthread_join(streams->waker, NULL);
    streams->running = false;
}

void session_streams_destroy(struct session_streams *streams)
{
    pthread_mutex_destroy(&streams->lock);
    pthread_cond_destroy(&streams->work);
}

void session_streams_abandon(struct session_handle *handle)
{
    pthread_mutex_lock(&streams_of(handle)->lock);
    handle->stream.abandoned = true;
    pthread_mutex_unlock(&streams_of(handle)->lock);
    struct failure why;
    struct parked_read *parked;
    while ((parked = take_parked(handle, true)))
        finish_parked(parked, CODE_INTERRUPTED, NULL, 0, &why);
}

void session_streams_detach(struct session_handle *handle)
{
    struct session_streams *streams = streams_of(handle);
    tree_file_watch(handle->file, NULL, NULL); /* no wake comes after this */
    pthread_mutex_lock(&streams->lock);
    struct session_handle **link = &streams->first_queued;
    struct session_handle *before = NULL;
    while (handle->stream.queued && *link != handle) {
        before = *link;
        link = &before->stream.next_queued;
    }
    if (handle->stream.queued) {
        *link = handle->stream.next_queued;
        if (streams->last_queued == handle)
            streams->last_queued = before;
    }
    pthread_mutex_unlock(&streams->lock);
    if (handle->stream.poll)
        fuse_pollhandle_destroy(handle->stream.poll);
}
