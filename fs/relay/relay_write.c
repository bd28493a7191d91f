/* Writing behind: see relay_write.h.
 *
 * A WRITE is acknowledged as soon as it is on its way, while all that is under way stays below limits.pending.  Order: the
 * server may carry out requests that it has at the same time in any order, so nothing is sent that touches the same bytes as
 * something that was not answered yet, and everything else that concerns the file (its size, its attributes, reading it)
 * waits until its writes were answered (node->waiting).
 *
 * Not written behind: files opened with O_APPEND, whose end only the server knows, and control files, whose write(2) is a
 * command. */
#include "relay_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "logging.h"
#include "relay_file.h"
#include "relay_fresh.h"
#include "relay_state.h"

#define RANGES_MAX 1024 /* of one file, on their way */

struct relay_write {
    struct relay_write *next;
    uint64_t from, end;
};

static bool overlaps(const struct relay_node *node, uint64_t from, uint64_t end)
{
    for (const struct relay_write *range = node->writes; range; range = range->next)
        if (from < range->end && end > range->from)
            return true;
    return false;
}

static void enter(struct relay *relay, struct relay_handle *handle, struct relay_write *range)
{
    struct relay_node *node = handle->node;
    range->next = node->writes;
    node->writes = range;
    node->writing++;
    handle->writing++;
    relay->pending_bytes += range->end - range->from;
    relay_node_changed(relay, node);
}

static void leave(struct relay *relay, struct relay_output *out, struct relay_handle *handle, struct relay_write *range)
{
    struct relay_node *node = handle->node;
    struct relay_write **link = &node->writes;
    while (*link != range)
        link = &(*link)->next;
    *link = range->next;
    relay->pending_bytes -= range->end - range->from;
    free(range);
    node->writing--;
    handle->writing--;
    relay_node_changed(relay, node);
    relay_wake(relay, &node->waiting, out);
    if (!handle->writing)
        relay_wake(relay, &handle->waiting, out);
    relay_wake(relay, &relay->pending_waiting, out);
    if (!relay->pending_bytes)
        pthread_cond_broadcast(&relay->changed);
}

static void on_written(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                       struct relay_output *out)
{
    struct relay_write *range = call->subject;
    struct relay_handle *handle = call->handle;
    struct fuse_write_out answer = {0};
    if (!reply->error && reply->bytes >= sizeof answer)
        memcpy(&answer, reply->body, sizeof answer);
    int error = reply->error ? reply->error : answer.size != range->end - range->from ? EIO : 0;
    if (error) {
        if (!handle->error)
            handle->error = error;
        if (handle->released)
            relay_node_path_warn(handle->node, error);
    }
    leave(relay, out, handle, range);
}

static void on_written_through(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                               struct relay_output *out)
{
    relay_node_changed(relay, call->handle->node);
    relay_call_pass(relay, call, reply, out);
}

static void write_behind(struct relay *relay, struct relay_handle *handle, struct relay_request *request,
                         struct relay_output *out)
{
    const struct fuse_write_in *asked = relay_request_body(request);
    struct relay_write *range = malloc(sizeof *range);
    if (!range)
        abort();
    *range = (struct relay_write){.from = asked->offset, .end = asked->offset + asked->size};
    const struct fuse_write_out answer = {.size = asked->size};
    relay->counters.answered_here++;
    relay_answer(relay, out, relay_request_header(request)->unique, 0, &answer, sizeof answer);
    enter(relay, handle, range);
    request->interrupted = false; /* it is answered */
    struct relay_call *call = relay_file_forward(relay, out, request, handle);
    call->kernel_unique = 0;
    call->on_answer = on_written;
    call->subject = range;
}

static bool is_behind(const struct relay *relay, const struct relay_handle *handle)
{
    return !relay->options.plain && !handle->direct && !(handle->flags & O_APPEND) && !(handle->node->id & RELAY_DERIVED) &&
           handle->node->stored;
}

void relay_write(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    const struct fuse_write_in *asked = relay_request_body(request);
    size_t bytes = relay_request_body_bytes(request);
    struct relay_handle *handle = bytes >= sizeof *asked ? relay_handle_find(relay, asked->fh) : NULL;
    if (!handle || handle->folder || asked->size > bytes - sizeof *asked || asked->offset > UINT64_MAX - asked->size) {
        relay_finish(relay, out, request, EBADF, NULL, 0);
        return;
    }
    struct relay_node *node = handle->node;
    int error = node->lost ? EIO : handle->error;
    if (error) {
        relay_finish(relay, out, request, error, NULL, 0);
        return;
    }
    if (node->fresh && relay_fresh_write(relay, out, handle, request))
        return;
    if (node->fresh) { /* too large for one message, or on its way already */
        relay_fresh_send(relay, out, node);
        relay_park(relay, &node->waiting, request);
        return;
    }
    if (!relay_handle_ensure(relay, out, handle, request))
        return;
    if (!is_behind(relay, handle)) {
        relay_node_changed(relay, node);
        relay_file_forward(relay, out, request, handle)->on_answer = on_written_through;
    } else if (node->waiting.first || node->writing >= RANGES_MAX ||
               overlaps(node, asked->offset, asked->offset + asked->size)) {
        relay_park(relay, &node->waiting, request); /* also behind those that wait for the file to be quiet */
    } else if (relay->pending_bytes && relay->pending_bytes + asked->size > relay->options.limits.pending) {
        relay_park(relay, &relay->pending_waiting, request);
    } else {
        write_behind(relay, handle, request, out);
    }
}
