/* Waiting, and its end: see relay_interrupt.h.
 *
 *                                 the link is up                       the link is lost
 *   caller was killed             EINTR at once                        EINTR at once
 *   caller has handled a signal   the server is told, and answers      EINTR, once it has been lost for a second
 *   too long (options.timeout_ms) -                                    options.timeout_errno
 *
 * What was parked here has not been begun, and never is.  What was sent may be carried out, once; nobody hears of it, and
 * its effects (lookups, handles) are taken note of when its answer comes.  FLUSH takes place in any case, since locks end
 * with it: it goes on without anyone who waits (its number becomes 0).
 *
 * Who exits closes its files, and the kernel waits for each such FLUSH whatever happens, without a word of an interrupt.  So
 * where the link is lost it is asked whether its caller is exiting.
 *
 * With several readers an INTERRUPT may be worked on before the request it is about.  It is remembered until that comes;
 * numbers are never used twice, so one that stays (its request was answered meanwhile) harms nothing and is overwritten in
 * time.  At the server the same can happen: the FUSE library there answers such a word with EAGAIN when it gets something
 * else to do.  The word's own number is the call's with the last bit set, as the kernel does it. */
#include "relay_interrupt.h"

#include <errno.h>

#include "relay_caller.h"
#include "relay_state.h"
#include "timing.h"

#define LOST_MS  1000 /* so long a cut is not worth breaking a call off for a program that goes on */
#define GOES_ON  (-1)
#define WORD_BIT 1u

void relay_interrupt_tell(struct relay *relay, struct relay_output *out, const struct relay_call *call)
{
    if (!call->interrupted || call->waits)
        return; /* it is told when the call is sent */
    const struct fuse_interrupt_in which = {call->unique};
    relay_call_tell_as(relay, out, call->unique | WORD_BIT,
                       &(struct relay_call_message){.opcode = FUSE_INTERRUPT, .fixed = &which, .fixed_bytes = sizeof which});
}

void relay_interrupt_again(struct relay *relay, uint64_t unique, struct relay_output *out)
{
    const struct relay_call *call = relay_call_find(relay, unique & ~(uint64_t)WORD_BIT);
    if (call)
        relay_interrupt_tell(relay, out, call);
}

/* Early ------------------------------------------------------------------------------------------------------------- */

static void remember(struct relay *relay, uint64_t kernel_unique)
{
    relay->early_interrupts[relay->early_interrupt_count++ % RELAY_EARLY_MAX] = kernel_unique;
}

bool relay_interrupt_was_early(struct relay *relay, struct relay_request *request)
{
    uint64_t unique = relay_request_header(request)->unique;
    for (size_t i = 0; unique && i < RELAY_EARLY_MAX && i < relay->early_interrupt_count; i++)
        if (relay->early_interrupts[i] == unique) {
            relay->early_interrupts[i] = 0;
            request->interrupted = relay->has_interrupted = true;
            return true;
        }
    return false;
}

void relay_interrupt_take(struct relay *relay, uint64_t kernel_unique, struct relay_output *out)
{
    bool known = false;
    for (struct relay_request *request = relay->parked_oldest; request; request = request->newer)
        if (relay_request_header(request)->unique == kernel_unique)
            known = request->interrupted = true;
    for (size_t i = 0; i < RELAY_CALL_BUCKETS && !known; i++)
        for (struct relay_call *call = relay->calls.buckets[i]; call; call = call->next)
            if (call->kernel_unique == kernel_unique) {
                known = call->interrupted = true;
                relay_interrupt_tell(relay, out, call);
            }
    if (known)
        relay->has_interrupted = true;
    else
        remember(relay, kernel_unique);
    relay_interrupt_give_up(relay, out);
}

/* The end ----------------------------------------------------------------------------------------------------------- */

/* What somebody who has waited since came_ms is to be answered with now; GOES_ON. */
static int verdict(const struct relay *relay, const struct fuse_in_header *header, int64_t came_ms, bool interrupted)
{
    bool lost = !relay->connected;
    int64_t now_ms = timing_monotonic_ms();
    if ((interrupted || (lost && header->opcode == FUSE_FLUSH)) && relay_caller_is_gone(header->pid))
        return EINTR;
    if (!lost)
        return GOES_ON;
    if (interrupted && now_ms - relay->lost_ms >= LOST_MS)
        return EINTR;
    int64_t since_ms = came_ms > relay->lost_ms ? came_ms : relay->lost_ms;
    if (relay->options.timeout_ms > 0 && now_ms - since_ms >= relay->options.timeout_ms)
        return relay->options.timeout_errno ? relay->options.timeout_errno : ETIMEDOUT;
    return GOES_ON;
}

static void leave_call(struct relay *relay, struct relay_call *call, int error, struct relay_output *out)
{
    relay_answer(relay, out, call->kernel_unique, error, NULL, 0);
    call->kernel_unique = 0;
}

static void leave_parked(struct relay *relay, struct relay_request *request, int error, struct relay_output *out)
{
    struct fuse_in_header *header = relay_request_header(request);
    if (header->opcode == FUSE_FLUSH) {
        relay_answer(relay, out, header->unique, error, NULL, 0);
        header->unique = 0;
        return;
    }
    relay_unpark(relay, request);
    relay_finish(relay, out, request, error, NULL, 0);
}

void relay_interrupt_give_up(struct relay *relay, struct relay_output *out)
{
    bool left = false;
    if (relay->connected && !relay->has_interrupted)
        return;
    for (size_t i = 0; i < RELAY_CALL_BUCKETS; i++)
        for (struct relay_call *call = relay->calls.buckets[i]; call; call = call->next) {
            const struct fuse_in_header *header = (const struct fuse_in_header *)call->message->data;
            int error = call->kernel_unique ? verdict(relay, header, call->came_ms, call->interrupted) : GOES_ON;
            if (error != GOES_ON)
                leave_call(relay, call, error, out);
            left = left || (call->kernel_unique && call->interrupted);
        }
    struct relay_request *newer;
    for (struct relay_request *request = relay->parked_oldest; request; request = newer) {
        newer = request->newer;
        const struct fuse_in_header *header = relay_request_header(request);
        int error = header->unique ? verdict(relay, header, request->came_ms, request->interrupted) : GOES_ON;
        if (error == GOES_ON || header->opcode == FUSE_RELEASE || header->opcode == FUSE_RELEASEDIR)
            left = left || (header->unique && request->interrupted);
        else
            leave_parked(relay, request, error, out);
    }
    relay->has_interrupted = left;
}
