/* Calls: see relay_call.h.
 *
 *   sent --answer--> on_answer, freed
 *        --interrupted, or too long without a connection--> the kernel is answered; the call stays until its answer comes, whose
 *                                                           effects (lookups, handles) are taken note of all the same
 *
 * A message is kept until it is answered: a server that was restarted hard may have to hear it again (relay_renew.c).  The kernel's numbers
 * are not used on the link: our own requests need numbers, too, and after a renewal nothing old may be taken for something new. */
#include "relay_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "relay_durable.h"
#include "relay_lend.h"
#include "relay_state.h"
#include "timing.h"

#define SHARED_BYTES       1024 /* an answer of so much is not copied */
#define INTERRUPT_AFTER_MS 1000 /* lost for so long: an interrupted request is not waited for */

static struct relay_call **bucket_of(struct relay *relay, uint64_t unique)
{
    return &relay->calls.buckets[unique / 2 % RELAY_CALL_BUCKETS];
}

static struct relay_call *enter(struct relay *relay, struct relay_bytes *message, relay_on_answer *on_answer)
{
    struct relay_call *call = calloc(1, sizeof *call);
    if (!call)
        abort();
    struct fuse_in_header *header = (struct fuse_in_header *)message->data;
    call->unique = header->unique = relay->calls.last_unique += 2;
    call->stamp = relay->stamp;
    call->changes = relay->changes;
    call->came_ms = timing_monotonic_ms();
    call->message = message;
    call->on_answer = on_answer ? on_answer : relay_call_pass;
    struct relay_call **bucket = bucket_of(relay, call->unique);
    call->next = *bucket;
    *bucket = call;
    relay->calls.count++;
    return call;
}

static void send(struct relay *relay, struct relay_output *out, struct relay_call *call)
{
    call->waits = relay->renewing;
    if (!call->waits)
        relay_output_send(out, call->message);
}

struct relay_call *relay_call_forward(struct relay *relay, struct relay_output *out, struct relay_request *request,
                                      relay_on_answer *on_answer)
{
    uint64_t kernel_unique = relay_request_header(request)->unique;
    struct relay_call *call = enter(relay, relay_bytes_share(request->bytes), on_answer);
    call->kernel_unique = kernel_unique;
    call->came_ms = request->came_ms;
    relay_request_free(request);
    send(relay, out, call);
    return call;
}

static struct relay_bytes *compose(const struct relay_call_message *message)
{
    struct fuse_in_header header = {
        .opcode = message->opcode,
        .nodeid = message->node,
        .len = (uint32_t)(sizeof header + message->fixed_bytes + message->first_bytes + message->second_bytes),
    };
    struct relay_bytes *bytes = relay_bytes_make(header.len);
    uint8_t *at = bytes->data;
    memcpy(at, &header, sizeof header);
    at += sizeof header;
    if (message->fixed_bytes)
        memcpy(at, message->fixed, message->fixed_bytes);
    at += message->fixed_bytes;
    if (message->first_bytes)
        memcpy(at, message->first, message->first_bytes);
    at += message->first_bytes;
    if (message->second_bytes)
        memcpy(at, message->second, message->second_bytes);
    return bytes;
}

struct relay_call *relay_call_begin(struct relay *relay, struct relay_output *out, const struct relay_call_message *message,
                                    relay_on_answer *on_answer, void *subject)
{
    struct relay_call *call = enter(relay, compose(message), on_answer);
    call->subject = subject;
    send(relay, out, call);
    return call;
}

struct relay_call *relay_call_begin_now(struct relay *relay, struct relay_output *out, const struct relay_call_message *message,
                                        relay_on_answer *on_answer, void *subject)
{
    struct relay_call *call = enter(relay, compose(message), on_answer);
    call->subject = subject;
    call->of_renewal = true;
    relay_output_send(out, call->message);
    return call;
}

void relay_call_tell(struct relay *relay, struct relay_output *out, const struct relay_call_message *message)
{
    if (relay->renewing)
        return; /* what is told so is about what the server has forgotten */
    struct relay_bytes *bytes = compose(message);
    ((struct fuse_in_header *)bytes->data)->unique = relay->calls.last_unique += 2;
    relay_output_send(out, bytes);
    relay_bytes_drop(bytes);
}

static void end(struct relay *relay, struct relay_call *call, const struct relay_reply *reply, struct relay_output *out)
{
    struct relay_call **link = bucket_of(relay, call->unique);
    while (*link != call)
        link = &(*link)->next;
    *link = call->next;
    if (--relay->calls.count == 0)
        pthread_cond_broadcast(&relay->changed);
    if (!reply->error)
        relay_durable_answered(relay, call);
    call->on_answer(relay, call, reply, out);
    if (call->handle) {
        call->handle->busy--;
        relay_handle_settle(relay, out, call->handle);
    }
    relay_bytes_drop(call->message);
    free(call);
}

void relay_call_answered(struct relay *relay, struct relay_bytes *message, struct relay_output *out)
{
    struct fuse_out_header header;
    memcpy(&header, message->data, sizeof header);
    struct relay_call *call = *bucket_of(relay, header.unique);
    while (call && call->unique != header.unique)
        call = call->next;
    if (!call)
        return; /* of before a renewal */
    const struct relay_reply reply = {.error = header.error < 0 && header.error > -4096 ? -header.error : header.error ? EIO : 0,
                                      .body = message->data + sizeof header,
                                      .bytes = message->count - sizeof header,
                                      .whole = message};
    if (reply.error == EACCES && relay_lend_keep(relay, call, out))
        return;
    end(relay, call, &reply, out);
}

void relay_call_fail(struct relay *relay, struct relay_call *call, int error, struct relay_output *out)
{
    const struct relay_reply reply = {.error = error};
    end(relay, call, &reply, out);
}

void relay_call_pass(struct relay *relay, struct relay_call *call, const struct relay_reply *reply, struct relay_output *out)
{
    if (!call->kernel_unique)
        return;
    if (!reply->error && reply->bytes >= SHARED_BYTES)
        relay_answer_bytes(out, call->kernel_unique, reply->whole, sizeof(struct fuse_out_header), reply->bytes);
    else
        relay_answer(relay, out, call->kernel_unique, reply->error, reply->body, reply->bytes);
}

/* Nobody waits for it any more. */
static void abandon(struct relay *relay, struct relay_call *call, int error, struct relay_output *out)
{
    relay_answer(relay, out, call->kernel_unique, error, NULL, 0);
    call->kernel_unique = 0;
}

void relay_call_interrupt(struct relay *relay, uint64_t kernel_unique, struct relay_output *out)
{
    for (struct relay_request *request = relay->parked_oldest; request; request = request->newer)
        if (relay_request_header(request)->unique == kernel_unique)
            request->interrupted = true;
    for (size_t i = 0; i < RELAY_CALL_BUCKETS; i++)
        for (struct relay_call *call = relay->calls.buckets[i]; call; call = call->next)
            if (call->kernel_unique == kernel_unique) {
                const struct fuse_interrupt_in which = {call->unique};
                call->interrupted = true;
                relay_call_tell(relay, out,
                                &(struct relay_call_message){
                                    .opcode = FUSE_INTERRUPT, .fixed = &which, .fixed_bytes = sizeof which});
            }
}

/* What a request that has waited since came_ms is to be answered with now; 0: it goes on waiting. */
static int verdict(const struct relay *relay, int64_t came_ms, bool interrupted, int64_t now_ms)
{
    if (interrupted && now_ms - relay->lost_ms >= INTERRUPT_AFTER_MS)
        return EINTR;
    int64_t since = came_ms > relay->lost_ms ? came_ms : relay->lost_ms;
    if (relay->options.timeout_ms > 0 && now_ms - since >= relay->options.timeout_ms)
        return relay->options.timeout_errno ? relay->options.timeout_errno : ETIMEDOUT;
    return 0;
}

void relay_call_give_up(struct relay *relay, struct relay_output *out)
{
    if (relay->connected)
        return;
    int64_t now_ms = timing_monotonic_ms();
    for (size_t i = 0; i < RELAY_CALL_BUCKETS; i++)
        for (struct relay_call *call = relay->calls.buckets[i]; call; call = call->next) {
            int error = call->kernel_unique ? verdict(relay, call->came_ms, call->interrupted, now_ms) : 0;
            if (error)
                abandon(relay, call, error, out);
        }
    struct relay_request *newer;
    for (struct relay_request *request = relay->parked_oldest; request; request = newer) {
        newer = request->newer;
        int error = verdict(relay, request->came_ms, request->interrupted, now_ms);
        uint32_t opcode = relay_request_header(request)->opcode;
        if (!error || opcode == FUSE_RELEASE || opcode == FUSE_RELEASEDIR)
            continue; /* those must take place, whenever */
        relay_unpark(relay, request);
        relay_finish(relay, out, request, error, NULL, 0);
    }
}
