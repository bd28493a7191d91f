/* Files: see relay_file.h.
 *
 * Opening a stored file to read it needs no message: the kernel has checked the mode bits, which say what this member may
 * do, and the contents are fetched by node.  What is opened to be written has a handle at the server; so have streams, files
 * that the server makes as they are read, and whatever is locked. */
#include "relay_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "relay_ahead.h"
#include "relay_durable.h"
#include "relay_folder.h"
#include "relay_fresh.h"
#include "relay_lock.h"
#include "relay_name.h"
#include "relay_state.h"

#define NEEDS_SERVER (O_ACCMODE | O_TRUNC | O_APPEND | O_DIRECT)

/* The handle that the body begins with. */
static struct relay_handle *handle_of(struct relay *relay, const struct relay_request *request)
{
    uint64_t key;
    if (relay_request_body_bytes(request) < sizeof key)
        return NULL;
    memcpy(&key, relay_request_body(request), sizeof key);
    struct relay_handle *handle = relay_handle_find(relay, key);
    return handle && !handle->folder ? handle : NULL;
}

static struct relay_handle *handle_or_finish(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    struct relay_handle *handle = handle_of(relay, request);
    if (!handle)
        relay_finish(relay, out, request, EBADF, NULL, 0);
    return handle;
}

struct relay_call *relay_file_forward(struct relay *relay, struct relay_output *out, struct relay_request *request,
                                      struct relay_handle *handle)
{
    memcpy(relay_request_body(request), &handle->server, sizeof handle->server);
    struct relay_call *call = relay_call_forward(relay, out, request, NULL);
    call->handle = handle;
    handle->busy++;
    return call;
}

/* Opening ----------------------------------------------------------------------------------------------------------- */

static struct relay_handle *adopt(struct relay *relay, struct relay_node *node, uint32_t flags, struct fuse_open_out *answer)
{
    struct relay_handle *handle = relay_handle_make(relay, node, flags, false);
    handle->state = HANDLE_SERVER;
    handle->server = answer->fh;
    handle->direct = answer->open_flags & FOPEN_DIRECT_IO;
    answer->fh = handle->key;
    return handle;
}

static void on_opened(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                      struct relay_output *out)
{
    const struct fuse_in_header *header = (const struct fuse_in_header *)call->message->data;
    const struct fuse_open_in *asked = (const struct fuse_open_in *)(header + 1);
    struct relay_node *node = relay_node_find(relay, header->nodeid);
    struct fuse_open_out answer;
    if (node && asked->flags & O_TRUNC)
        relay_node_changed(relay, node);
    if (reply->error || reply->bytes < sizeof answer || !node) {
        relay_call_pass(relay, call, reply, out);
        return;
    }
    memcpy(&answer, reply->body, sizeof answer);
    struct relay_handle *handle = adopt(relay, node, asked->flags, &answer);
    node->opened_version = 0;
    if (call->kernel_unique)
        relay_answer(relay, out, call->kernel_unique, 0, &answer, sizeof answer);
    else
        relay_handle_release(relay, out, handle);
}

static void open_here(struct relay *relay, struct relay_node *node, uint32_t flags, struct relay_request *request,
                      struct relay_output *out)
{
    struct relay_handle *handle = relay_handle_make(relay, node, flags, false);
    struct fuse_open_out answer = {.fh = handle->key, .open_flags = FOPEN_NOFLUSH};
    if (!node->fresh) {
        uint64_t version = relay_node_version(node);
        answer.open_flags |= node->opened_version == version ? FOPEN_KEEP_CACHE : 0;
        node->opened_version = version;
        relay_ahead_opened(relay, out, node);
    }
    relay->counters.answered_here++;
    relay_finish(relay, out, request, 0, &answer, sizeof answer);
}

void relay_file_open(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    const struct fuse_open_in *asked = relay_request_body(request);
    struct relay_node *node = relay_node_get(relay, relay_request_header(request)->nodeid);
    if (relay_request_body_bytes(request) < sizeof *asked || node->lost) {
        relay_finish(relay, out, request, node->lost ? EIO : EINVAL, NULL, 0);
        return;
    }
    /* The mode says what this member may do, which the kernel does not hold against root. */
    bool only_read = !(asked->flags & NEEDS_SERVER) && !node->writing && node->attr.mode & 0400;
    if (only_read && (node->fresh || (node->known && S_ISREG(node->attr.mode)))) {
        open_here(relay, node, asked->flags, request, out);
        return;
    }
    if (relay_name_settles(relay, out, node, request))
        return;
    if (asked->flags & O_TRUNC)
        relay_node_changed(relay, node);
    relay_call_forward(relay, out, request, on_opened);
}

/* Creating ---------------------------------------------------------------------------------------------------------- */

static void on_created(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                       struct relay_output *out)
{
    const struct fuse_in_header *header = (const struct fuse_in_header *)call->message->data;
    const struct fuse_create_in *asked = (const struct fuse_create_in *)(header + 1);
    struct relay_node *folder = relay_node_find(relay, header->nodeid);
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } answer;
    bool quiet = relay_node_left_alone_since(relay, header->nodeid, call->stamp);
    relay_node_changed_id(relay, header->nodeid);
    relay_folder_touch(folder, (const char *)(asked + 1));
    if (folder)
        folder->known = false;
    if (reply->error || reply->bytes < sizeof answer) {
        if (folder && reply->error == EEXIST)
            relay_folder_doubt(folder);
        relay_call_pass(relay, call, reply, out);
        return;
    }
    memcpy(&answer, reply->body, sizeof answer);
    struct relay_node *node = relay_node_learn(relay, &answer.entry, call->stamp);
    if (asked->flags & O_TRUNC)
        relay_node_changed(relay, node); /* it may have been there */
    bool kept = folder && quiet && node->stored && !relay->options.plain;
    if (kept)
        relay_entry_set(relay, folder, (const char *)(asked + 1), node);
    else if (folder)
        relay_folder_doubt(folder);
    struct relay_handle *handle = adopt(relay, node, asked->flags, &answer.open);
    node->opened_version = 0;
    if (!call->kernel_unique) {
        relay_handle_release(relay, out, handle);
        return;
    }
    relay_name_tell(relay, node, &answer.entry, kept);
    relay_answer(relay, out, call->kernel_unique, 0, &answer, sizeof answer);
}

void relay_file_create(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    const struct fuse_create_in *asked = relay_request_body(request);
    const char *name = relay_request_name(request, sizeof *asked);
    struct relay_node *folder = relay_node_find(relay, relay_request_header(request)->nodeid);
    int error = relay_name_check(name, folder);
    if (error) {
        relay_finish(relay, out, request, error, NULL, 0);
        return;
    }
    struct relay_entry *entry = relay_entry_find(relay, folder, name);
    if (!entry && relay_fresh_create(relay, out, folder, request))
        return;
    if (entry && relay_name_settles(relay, out, entry->child, request))
        return;
    relay_node_changed_id(relay, folder->id);
    folder->known = false;
    if (entry)
        relay_node_changed(relay, entry->child);
    relay_call_forward(relay, out, request, on_created);
}

/* Using ------------------------------------------------------------------------------------------------------------- */

void relay_file_read(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    struct relay_handle *handle = handle_or_finish(relay, request, out);
    if (!handle)
        return;
    struct relay_node *node = handle->node;
    if (node->lost) {
        relay_finish(relay, out, request, EIO, NULL, 0);
    } else if (node->fresh) {
        relay_fresh_read(relay, out, node, request);
    } else if (node->writing) {
        relay_park(relay, &node->waiting, request);
    } else if (handle->state == HANDLE_LOCAL && !(handle->flags & NEEDS_SERVER)) {
        relay_piece_read(relay, out, handle, request);
    } else if (relay_handle_ensure(relay, out, handle, request)) {
        relay_file_forward(relay, out, request, handle);
    }
}

/* What was written through the handle is answered first; true: it waits for that. */
static bool drains(struct relay *relay, struct relay_handle *handle, struct relay_request *request)
{
    if (!handle->writing)
        return false;
    relay_park(relay, &handle->waiting, request);
    return true;
}

/* The error of something that was written behind, told once; true: the request is answered with it. */
static bool tells_error(struct relay *relay, struct relay_handle *handle, struct relay_request *request,
                        struct relay_output *out)
{
    int error = handle->node->lost ? EIO : handle->error;
    if (!error || !relay_request_header(request)->unique)
        return false; /* or nobody would hear it */
    relay_durable_told(handle);
    relay_finish(relay, out, request, error, NULL, 0);
    return true;
}

/* Below datasets/ and home/ no rule of the lab acts on closing a file, so the server need not be asked, unless locks end
 * with it. */
static bool needs_flush(struct relay *relay, const struct relay_handle *handle)
{
    if (handle->state == HANDLE_LOCAL)
        return false;
    const struct relay_entry *name = handle->node->names;
    return !name || !relay_node_is_plain(relay, name->folder) || relay_lock_is_held(relay, handle->node->id);
}

void relay_file_flush(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    struct relay_handle *handle = handle_or_finish(relay, request, out);
    if (!handle || drains(relay, handle, request) || tells_error(relay, handle, request, out))
        return;
    if (handle->node->fresh || !needs_flush(relay, handle)) {
        relay->counters.answered_here++;
        relay_finish(relay, out, request, 0, NULL, 0);
        return;
    }
    if (!relay_handle_ensure(relay, out, handle, request))
        return;
    const struct fuse_flush_in *asked = relay_request_body(request);
    if (relay_request_body_bytes(request) >= sizeof *asked)
        relay_lock_closed(relay, handle, asked->lock_owner);
    relay_file_forward(relay, out, request, handle);
}

void relay_file_release(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    struct relay_handle *handle = handle_or_finish(relay, request, out);
    if (!handle)
        return;
    if (handle->error)
        relay_node_path_warn(handle->node, handle->error);
    relay_lock_released(relay, handle);
    struct relay_node *node = handle->node;
    relay_handle_release(relay, out, handle);
    if (node->fresh)
        relay_fresh_closed(relay, out, node);
    relay_finish(relay, out, request, 0, NULL, 0);
}

void relay_file_poll(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    struct relay_handle *handle = handle_or_finish(relay, request, out);
    if (!handle)
        return;
    const struct fuse_poll_out ready = {.revents = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM};
    if (handle->state == HANDLE_LOCAL || handle->node->fresh)
        relay_finish(relay, out, request, 0, &ready, sizeof ready);
    else if (relay_handle_ensure(relay, out, handle, request))
        relay_file_forward(relay, out, request, handle);
}

void relay_file_by_handle(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    struct relay_handle *handle = handle_or_finish(relay, request, out);
    if (!handle || relay_name_settles(relay, out, handle->node, request) || tells_error(relay, handle, request, out))
        return;
    if (relay_request_header(request)->opcode == FUSE_FSYNC && relay_durable_tells(relay, handle->node, request, out))
        return;
    if (!relay_handle_ensure(relay, out, handle, request))
        return;
    if (relay_request_header(request)->opcode == FUSE_FALLOCATE)
        relay_node_changed(relay, handle->node);
    relay_file_forward(relay, out, request, handle)->on_answer = relay_lock_pass_changed;
}

void relay_file_lock(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    struct relay_handle *handle = handle_or_finish(relay, request, out);
    if (!handle || relay_name_settles(relay, out, handle->node, request) ||
        !relay_handle_ensure(relay, out, handle, request))
        return;
    relay_file_forward(relay, out, request, handle)->on_answer = relay_lock_answered;
}

static void on_copied(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                      struct relay_output *out)
{
    const struct fuse_in_header *header = (const struct fuse_in_header *)call->message->data;
    const struct fuse_copy_file_range_in *body = (const struct fuse_copy_file_range_in *)(header + 1);
    struct relay_node *target = relay_node_find(relay, body->nodeid_out);
    if (target)
        relay_node_changed(relay, target);
    relay_call_pass(relay, call, reply, out);
}

void relay_file_copy(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    struct fuse_copy_file_range_in *body = relay_request_body(request);
    struct relay_handle *from = handle_or_finish(relay, request, out);
    if (!from)
        return;
    struct relay_handle *to =
        relay_request_body_bytes(request) >= sizeof *body ? relay_handle_find(relay, body->fh_out) : NULL;
    if (!to || to->folder) {
        relay_finish(relay, out, request, EBADF, NULL, 0);
        return;
    }
    if (relay_name_settles(relay, out, from->node, request) || relay_name_settles(relay, out, to->node, request) ||
        !relay_handle_ensure(relay, out, from, request) || !relay_handle_ensure(relay, out, to, request))
        return;
    relay_node_changed(relay, to->node);
    body->fh_out = to->server;
    struct relay_call *call = relay_file_forward(relay, out, request, from);
    call->on_answer = on_copied;
}
