/* Lending: see relay_lend.h.
 *
 *   idle --greeted, connected again, renewed, or EACCES--> KEYS --wrapped keys--> opened here, LEND --answered--> idle
 *
 * The server forgets lent keys when it is restarted, and learns of new spaces that only we can open: so EACCES, at most once
 * in a while, is a reason to ask again, and what it was about is sent once more if anything was lent. */
#include "relay_lend.h"

#include <errno.h>
#include <string.h>

#include "extra.h"
#include "key_lending.h"
#include "logging.h"
#include "relay_renew.h"
#include "relay_state.h"
#include "secret.h"
#include "timing.h"

#define AGAIN_MS 5000 /* after a time when nothing was missing */

/* Sends what was kept once more, or lets it fail. */
static void settle_kept(struct relay *relay, bool lent, struct relay_output *out)
{
    for (size_t i = 0; i < RELAY_CALL_BUCKETS; i++)
        for (struct relay_call *call = relay->calls.buckets[i], *next; call; call = next) {
            next = call->next;
            if (!call->denied)
                continue;
            call->denied = false;
            if (!lent)
                relay_call_fail(relay, call, EACCES, out);
            else if (relay->renewing)
                call->waits = true;
            else
                relay_output_send(out, call->message);
        }
}

static void finish(struct relay *relay, bool lent, struct relay_output *out)
{
    relay->lending = false;
    relay->lent_ms = timing_monotonic_ms();
    settle_kept(relay, lent, out);
    if (relay->init_answer) {
        relay_answer(relay, out, relay->init_unique, 0, relay->init_answer->data, relay->init_answer->count);
        relay_bytes_drop(relay->init_answer);
        relay->init_answer = NULL;
        relay->usable = true;
        pthread_cond_broadcast(&relay->changed);
    }
    relay_renew_lent(relay, out);
}

static void on_lent(struct relay *relay, struct relay_call *call, const struct relay_reply *reply, struct relay_output *out)
{
    secret_wipe(call->message->data, call->message->count);
    if (reply->error)
        logging_warning("the server does not take your keys: your home stays closed: %s", strerror(reply->error));
    finish(relay, !reply->error, out);
}

static void on_keys(struct relay *relay, struct relay_call *call, const struct relay_reply *reply, struct relay_output *out)
{
    (void)call;
    struct failure why;
    struct buffer lent = {0};
    enum code code = reply->error ? failure_set(&why, CODE_IO, "the server does not name the keys that it lacks: %s",
                                                strerror(reply->error))
                                  : key_lending_open(relay->options.member, reply->body, reply->bytes, &lent, &why);
    if (code != CODE_OK)
        logging_warning("%s", why.text);
    if (code == CODE_OK && lent.length)
        relay_call_begin_now(
            relay, out, &(struct relay_call_message){.opcode = EXTRA_LEND, .fixed = lent.data, .fixed_bytes = lent.length},
            on_lent, NULL);
    else
        finish(relay, false, out);
    key_lending_wipe(&lent);
}

bool relay_lend_begin(struct relay *relay, struct relay_output *out)
{
    if (!relay->options.member)
        return false;
    if (relay->lending)
        return true;
    relay->lending = true;
    relay_call_begin_now(relay, out, &(struct relay_call_message){.opcode = EXTRA_KEYS}, on_keys, NULL);
    return true;
}

void relay_lend_greet(struct relay *relay, uint64_t kernel_unique, struct relay_bytes *answer, struct relay_output *out)
{
    relay->init_unique = kernel_unique;
    relay->init_answer = answer;
    relay_lend_begin(relay, out);
}

bool relay_lend_keep(struct relay *relay, struct relay_call *call, struct relay_output *out)
{
    bool soon = timing_monotonic_ms() - relay->lent_ms < AGAIN_MS;
    if (call->lent_for || call->of_renewal || (soon && !relay->lending) || !relay_lend_begin(relay, out))
        return false;
    call->denied = call->lent_for = true;
    return true;
}
