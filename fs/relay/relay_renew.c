/* Renewal: see relay_renew.h.
 *
 * The server was restarted hard, like after a power cut: it knows neither us nor our handles, locks and lookups.  Node ids
 * are still good.  In this order, each step when all answers to the one before have come:
 *
 *   GREETING   INIT once more
 *   LENDING    the keys that we lend (relay_lend.c)
 *   REOPENING  a handle for each that we had (REOPEN)
 *   LOCKING    our locks, in the order in which they were taken
 *   (done)     what was under way and can be repeated without harm; all that came meanwhile
 *
 * What was under way and may not be repeated, since it may have been carried out (mkdir, rename, an append), is answered
 * with EIO. */
#include "relay_renew.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "extra.h"
#include "logging.h"
#include "relay_durable.h"
#include "relay_fresh.h"
#include "relay_interrupt.h"
#include "relay_lend.h"
#include "relay_lock.h"
#include "relay_push.h"
#include "relay_state.h"

enum phase { GREETING = 1, LENDING, REOPENING, LOCKING };

/* Whether carrying it out twice does what carrying it out once does. */
static bool may_repeat(struct relay *relay, const struct relay_call *call)
{
    const struct fuse_in_header *header = (const struct fuse_in_header *)call->message->data;
    const void *body = header + 1;
    const struct relay_node *node;
    switch (header->opcode) {
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR: /* it would make durable what is left, and say that it is all */
        node = relay_node_find(relay, header->nodeid);
        return !node || !relay_durable_is_doubtful(node);
    case FUSE_FLUSH: /* it tells what the restart has taken */
        return !call->handle->error;
    case FUSE_MKDIR:
    case FUSE_MKNOD:
    case FUSE_SYMLINK:
    case FUSE_LINK:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
        return false;
    case FUSE_CREATE:
        return !(((const struct fuse_create_in *)body)->flags & O_EXCL);
    case FUSE_WRITE:
        return !(call->handle->flags & O_APPEND);
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
        return call->handle != NULL; /* our own listings begin anew */
    default:
        return true;
    }
}

static void ignore(struct relay *relay, struct relay_call *call, const struct relay_reply *reply, struct relay_output *out)
{
    (void)relay;
    (void)call;
    (void)reply;
    (void)out;
}

/* One that is not to be repeated; NULL: all are. */
static struct relay_call *find_uncertain(struct relay *relay)
{
    for (size_t i = 0; i < RELAY_CALL_BUCKETS; i++)
        for (struct relay_call *call = relay->calls.buckets[i]; call; call = call->next) {
            uint32_t opcode = ((const struct fuse_in_header *)call->message->data)->opcode;
            if (call->of_renewal || opcode == FUSE_RELEASE || opcode == FUSE_RELEASEDIR || opcode == EXTRA_PUT ||
                opcode == EXTRA_RESERVE || (!call->waits && !may_repeat(relay, call)))
                return call;
            call->waits = true;
            call->denied = false;
        }
    return NULL;
}

static void settle_calls(struct relay *relay, struct relay_output *out)
{
    struct relay_call *call;
    while ((call = find_uncertain(relay))) {
        uint32_t opcode = ((const struct fuse_in_header *)call->message->data)->opcode;
        if (call->of_renewal || (opcode == EXTRA_PUT && !call->kernel_unique) || opcode == EXTRA_RESERVE)
            call->on_answer = ignore; /* begun anew by whoever began it */
        if ((opcode == FUSE_FSYNC || opcode == FUSE_FLUSH) && call->handle && call->kernel_unique)
            relay_durable_told(call->handle);
        relay_call_fail(relay, call, opcode == FUSE_RELEASE || opcode == FUSE_RELEASEDIR ? 0 : EIO, out);
    }
}

static void on_greeted(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                       struct relay_output *out)
{
    (void)call;
    if (reply->error)
        logging_warning("the server came back and does not take this mount again: %s", strerror(reply->error));
    relay_renew_step(relay, out);
}

/* A server has answered the kernel's INIT.  Until then it is sent once more like all else that was under way, and nothing
 * comes before it. */
static bool is_greeted(const struct relay *relay)
{
    return relay->usable || relay->init_answer;
}

void relay_renew(struct relay *relay, struct relay_output *out)
{
    logging_warning("the server was restarted and has forgotten this mount: opening its files and taking its locks again");
    relay->counters.renewals++;
    for (size_t i = 0; i < RELAY_NODE_BUCKETS; i++)
        for (struct relay_node *node = relay->nodes.buckets[i]; node; node = node->next)
            node->server_lookups = 0;
    relay_push_everything(relay); /* what it told nobody, and what it lost */
    relay->forget_count = 0;
    relay->reserving = relay->lending = false;
    relay->reserved_first = relay->reserved_end = 0;
    relay_fresh_owe(relay);
    relay->renew_phase = GREETING;
    relay->renewing = 1;
    relay_durable_renewed(relay);
    settle_calls(relay, out);
    if (!is_greeted(relay)) {
        relay_renew_step(relay, out);
        return;
    }
    relay_call_begin_now(relay, out,
                         &(struct relay_call_message){.opcode = FUSE_INIT,
                                                      .fixed = relay->init->data + sizeof(struct fuse_in_header),
                                                      .fixed_bytes = relay->init->count - sizeof(struct fuse_in_header)},
                         on_greeted, NULL);
}

/* Handles ----------------------------------------------------------------------------------------------------------- */

static void on_reopened(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                        struct relay_output *out)
{
    struct relay_handle *handle = call->handle;
    struct fuse_open_out answer;
    if (reply->error || reply->bytes < sizeof answer) {
        relay_node_path_warn(handle->node, reply->error ? reply->error : EIO);
        handle->state = HANDLE_LOST;
    } else {
        memcpy(&answer, reply->body, sizeof answer);
        handle->server = answer.fh;
    }
    relay_renew_step(relay, out);
}

static void reopen_all(struct relay *relay, struct relay_output *out)
{
    for (uint32_t i = 0; i < relay->handles.count; i++) {
        struct relay_handle *handle = relay->handles.slots[i].handle;
        if (!handle || handle->state != HANDLE_SERVER)
            continue;
        const struct extra_reopen_in body = {.flags = handle->flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC),
                                             .folder = handle->folder};
        relay->renewing++;
        struct relay_call *call = relay_call_begin_now(
            relay, out,
            &(struct relay_call_message){
                .opcode = EXTRA_REOPEN, .node = handle->node->id, .fixed = &body, .fixed_bytes = sizeof body},
            on_reopened, NULL);
        call->handle = handle;
        handle->busy++;
    }
}

/* One that is about a file that could not be opened again; NULL: none.  Its handle's number means nothing to the server, or
 * something else. */
static struct relay_call *find_lost(struct relay *relay)
{
    for (size_t i = 0; i < RELAY_CALL_BUCKETS; i++)
        for (struct relay_call *call = relay->calls.buckets[i]; call; call = call->next)
            if (call->waits && call->handle && call->handle->state == HANDLE_LOST)
                return call;
    return NULL;
}

/* All that waits is sent, with the handles of now. */
static void resume(struct relay *relay, struct relay_output *out)
{
    struct relay_call *lost;
    while ((lost = find_lost(relay)))
        relay_call_fail(relay, lost, EIO, out);
    for (size_t i = 0; i < RELAY_CALL_BUCKETS; i++)
        for (struct relay_call *call = relay->calls.buckets[i]; call; call = call->next) {
            struct fuse_in_header *header = (struct fuse_in_header *)call->message->data;
            bool carries = call->handle && header->opcode != EXTRA_REOPEN;
            if (!call->waits)
                continue;
            call->waits = false;
            call->stamp = relay->stamp;
            call->changes = relay->changes;
            if (carries)
                memcpy(header + 1, &call->handle->server, sizeof call->handle->server);
            relay_output_send(out, call->message);
            relay_interrupt_tell(relay, out, call);
        }
    relay_fresh_renew(relay, out);
}

void relay_renew_lent(struct relay *relay, struct relay_output *out)
{
    if (relay->renewing && relay->renew_phase == LENDING)
        relay_renew_step(relay, out);
}

void relay_renew_step(struct relay *relay, struct relay_output *out)
{
    while (relay->renewing && --relay->renewing == 0) {
        relay->renewing = 1; /* this step itself */
        if (relay->renew_phase == GREETING && is_greeted(relay) && relay_lend_begin(relay, out)) {
            relay->renew_phase = LENDING;
            return; /* relay_renew_lent */
        }
        if (relay->renew_phase <= LENDING) {
            reopen_all(relay, out);
            relay->renew_phase = REOPENING;
        } else if (relay->renew_phase == REOPENING) {
            relay_lock_take_again(relay, out);
            relay->renew_phase = LOCKING;
        } else {
            relay->renewing = 0;
            resume(relay, out);
        }
    }
}
