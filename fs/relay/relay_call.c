/* Calls: see relay_call.h.
 *
 *   sent --answer--> on_answer, freed
 *        --nobody waits any more (relay_interrupt.c)--> the kernel is answered; the call stays until its answer comes, whose
 *                                                       effects (lookups, handles) are taken note of all the same
 *
 * A message is kept until it is answered: a server that was restarted hard may have to hear it again (relay_renew.c).  The
 * kernel's numbers are not used on the link: our own requests need numbers, too, and after a renewal nothing old may be
 * taken for something new. */
#include "relay_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "relay_durable.h"
#include "relay_interrupt.h"
#include "relay_lend.h"
#include "relay_state.h"
#include "timing.h"

#define SHARED_BYTES 1024 /* an answer of so much is not copied */

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
    call->interrupted = request->interrupted;
    relay_request_free(request);
    send(relay, out, call);
    relay_interrupt_tell(relay, out, call);
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

struct relay_call *relay_call_begin_now(struct relay *relay, struct relay_output *out,
                                        const struct relay_call_message *message, relay_on_answer *on_answer, void *subject)
{
    struct relay_call *call = enter(relay, compose(message), on_answer);
    call->subject = subject;
    call->of_renewal = true;
    relay_output_send(out, call->message);
    return call;
}

void relay_call_tell_as(struct relay *relay, struct relay_output *out, uint64_t unique,
                        const struct relay_call_message *message)
{
    if (relay->renewing)
        return; /* what is told so is about what the server has forgotten */
    struct relay_bytes *bytes = compose(message);
    ((struct fuse_in_header *)bytes->data)->unique = unique;
    relay_output_send(out, bytes);
    relay_bytes_drop(bytes);
}

void relay_call_tell(struct relay *relay, struct relay_output *out, const struct relay_call_message *message)
{
    relay_call_tell_as(relay, out, relay->calls.last_unique += 2, message);
}

struct relay_call *relay_call_find(struct relay *relay, uint64_t unique)
{
    struct relay_call *call = *bucket_of(relay, unique);
    while (call && call->unique != unique)
        call = call->next;
    return call;
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
    struct relay_call *call = relay_call_find(relay, header.unique);
    if (!call && header.error == -EAGAIN)
        relay_interrupt_again(relay, header.unique, out);
    if (!call)
        return; /* to that, or of before a renewal */
    const struct relay_reply reply = {.error = header.error < 0 && header.error > -4096 ? -header.error
                                               : header.error                           ? EIO
                                                                                        : 0,
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
