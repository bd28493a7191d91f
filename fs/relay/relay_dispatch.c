/* The kernel's requests, one by one, and where they wait.
 *
 * Each is answered here, forwarded, or parked with others that wait for the same thing; whatever is woken is looked at again
 * from the start, as if it had come just now: so a request never depends on what was true when it was parked. */
#include <errno.h>
#include <string.h>

#include "relay_file.h"
#include "relay_folder.h"
#include "relay_fresh.h"
#include "relay_interrupt.h"
#include "relay_lend.h"
#include "relay_name.h"
#include "relay_state.h"
#include "relay_write.h"

/* Parking ----------------------------------------------------------------------------------------------------------- */

void relay_park(struct relay *relay, struct relay_queue *queue, struct relay_request *request)
{
    relay_queue_push(queue, request);
    request->queue = queue;
    request->older = relay->parked_newest;
    request->newer = NULL;
    *(relay->parked_newest ? &relay->parked_newest->newer : &relay->parked_oldest) = request;
    relay->parked_newest = request;
}

static void leave_parked(struct relay *relay, struct relay_request *request)
{
    *(request->older ? &request->older->newer : &relay->parked_oldest) = request->newer;
    *(request->newer ? &request->newer->older : &relay->parked_newest) = request->older;
    request->older = request->newer = NULL;
    request->queue = NULL;
}

void relay_unpark(struct relay *relay, struct relay_request *request)
{
    struct relay_queue *queue = request->queue;
    struct relay_request **link = &queue->first, *before = NULL;
    while (*link != request) {
        before = *link;
        link = &before->next;
    }
    *link = request->next;
    if (queue->last == request)
        queue->last = before;
    leave_parked(relay, request);
}

void relay_wake(struct relay *relay, struct relay_queue *queue, struct relay_output *out)
{
    struct relay_request *request;
    while ((request = relay_queue_pop(queue))) {
        leave_parked(relay, request);
        relay_queue_push(&out->again, request);
    }
}

void relay_wake_with_error(struct relay *relay, struct relay_queue *queue, struct relay_output *out, int error)
{
    struct relay_request *request;
    while ((request = relay_queue_pop(queue))) {
        leave_parked(relay, request);
        relay_finish(relay, out, request, error, NULL, 0);
    }
}

/* Requests ---------------------------------------------------------------------------------------------------------- */

static void on_greeted(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                       struct relay_output *out)
{
    relay_fresh_reserve(relay, out);
    if (relay->options.member && !reply->error && call->kernel_unique) {
        struct relay_bytes *kept = relay_bytes_make(reply->bytes);
        memcpy(kept->data, reply->body, reply->bytes);
        relay_lend_greet(relay, call->kernel_unique, kept, out);
        return;
    }
    relay_call_pass(relay, call, reply, out);
    relay->usable = !reply->error;
    pthread_cond_broadcast(&relay->changed);
}

static void greet(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    relay_bytes_drop(relay->init);
    relay->init = relay_bytes_make(request->bytes->count);
    memcpy(relay->init->data, request->bytes->data, request->bytes->count);
    relay_call_forward(relay, out, request, on_greeted);
}

static void forget(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    const struct fuse_forget_in *body = relay_request_body(request);
    if (relay_request_body_bytes(request) >= sizeof *body)
        relay_node_forget(relay, out, relay_request_header(request)->nodeid, body->nlookup);
    relay_request_free(request);
}

static void forget_many(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    const struct fuse_batch_forget_in *body = relay_request_body(request);
    const struct fuse_forget_one *each = (const struct fuse_forget_one *)(body + 1);
    size_t bytes = relay_request_body_bytes(request);
    for (uint32_t i = 0; bytes >= sizeof *body && i < body->count && i < (bytes - sizeof *body) / sizeof *each; i++)
        relay_node_forget(relay, out, each[i].nodeid, each[i].nlookup);
    relay_request_free(request);
}

static void interrupt(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    const struct fuse_interrupt_in *body = relay_request_body(request);
    if (relay_request_body_bytes(request) >= sizeof *body)
        relay_interrupt_take(relay, body->unique, out);
    relay_request_free(request);
}

static void pass_on(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    relay_call_forward(relay, out, request, NULL);
}

typedef void take_request(struct relay *relay, struct relay_request *request, struct relay_output *out);

static take_request *const requests[] = {
    [FUSE_INIT] = greet,
    [FUSE_LOOKUP] = relay_name_lookup,
    [FUSE_FORGET] = forget,
    [FUSE_BATCH_FORGET] = forget_many,
    [FUSE_INTERRUPT] = interrupt,
    [FUSE_GETATTR] = relay_name_getattr,
    [FUSE_SETATTR] = relay_name_setattr,
    [FUSE_READLINK] = pass_on,
    [FUSE_STATFS] = pass_on,
    [FUSE_ACCESS] = pass_on,
    [FUSE_SYMLINK] = relay_name_make,
    [FUSE_MKNOD] = relay_name_make,
    [FUSE_MKDIR] = relay_name_make,
    [FUSE_LINK] = relay_name_make,
    [FUSE_UNLINK] = relay_name_remove,
    [FUSE_RMDIR] = relay_name_remove,
    [FUSE_RENAME] = relay_name_rename,
    [FUSE_RENAME2] = relay_name_rename,
    [FUSE_SETXATTR] = relay_name_xattr,
    [FUSE_GETXATTR] = relay_name_xattr,
    [FUSE_LISTXATTR] = relay_name_xattr,
    [FUSE_REMOVEXATTR] = relay_name_xattr,
    [FUSE_OPENDIR] = relay_folder_open,
    [FUSE_READDIR] = relay_folder_read,
    [FUSE_READDIRPLUS] = relay_folder_read,
    [FUSE_RELEASEDIR] = relay_folder_release,
    [FUSE_FSYNCDIR] = relay_folder_sync,
    [FUSE_OPEN] = relay_file_open,
    [FUSE_CREATE] = relay_file_create,
    [FUSE_READ] = relay_file_read,
    [FUSE_WRITE] = relay_write,
    [FUSE_FLUSH] = relay_file_flush,
    [FUSE_RELEASE] = relay_file_release,
    [FUSE_FSYNC] = relay_file_by_handle,
    [FUSE_FALLOCATE] = relay_file_by_handle,
    [FUSE_LSEEK] = relay_file_by_handle,
    [FUSE_POLL] = relay_file_poll,
    [FUSE_COPY_FILE_RANGE] = relay_file_copy,
    [FUSE_GETLK] = relay_file_lock,
    [FUSE_SETLK] = relay_file_lock,
    [FUSE_SETLKW] = relay_file_lock,
};

void relay_dispatch(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    uint32_t opcode = relay_request_header(request)->opcode;
    take_request *take = opcode < sizeof requests / sizeof *requests ? requests[opcode] : NULL;
    bool interrupted = relay_interrupt_was_early(relay, request);
    if (!take)
        relay_finish(relay, out, request, ENOSYS, NULL, 0); /* the server would say so, too */
    else if (relay->link_ended && opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT)
        relay_finish(relay, out, request, ENOTCONN, NULL, 0);
    else
        take(relay, request, out);
    if (interrupted || (opcode == FUSE_FLUSH && !relay->connected))
        relay_interrupt_give_up(relay, out);
}
