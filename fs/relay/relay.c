/* A relay's life: see relay.h.
 *
 * Threads
 *   readers   take requests from the kernel and work on them to the point where they are answered, forwarded or parked
 *   the link  (not ours) brings the server's answers and notices, works on them and on whatever they wake
 *   notifier  tells the kernel what changed; the only one that may wait for the kernel's locks
 *   ticker    sends what is due, answers what has waited too long, forgets what nobody uses
 *
 * Ending.  An unmount makes every read fail with ENODEV.  Where files are still open after a lazy unmount the kernel keeps
 * the connection; then the readers are nudged with a signal until they have seen that it is over (as in session.c). */
#include "relay.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "logging.h"
#include "relay_fresh.h"
#include "relay_interrupt.h"
#include "relay_lock.h"
#include "relay_name.h"
#include "relay_push.h"
#include "relay_lend.h"
#include "relay_renew.h"
#include "relay_state.h"
#include "scope.h"
#include "timing.h"

#define READERS_DEFAULT 4
#define MEMORY_DEFAULT  ((size_t)512 << 20)
#define PENDING_DEFAULT ((size_t)48 << 20) /* below WIRE_WINDOW_MAX: there must be room for other messages */
#define NODES_DEFAULT   ((size_t)300000)
#define TICK_MS         250
#define RETRY_MS        2
#define NUDGE_SIGNAL    SIGURG
#define NUDGE_MS        2

/* The way to the server --------------------------------------------------------------------------------------------- */

static enum code send_now(struct relay *relay, const struct relay_bytes *bytes)
{
    struct failure why;
    const struct iovec part = {(void *)bytes->data, bytes->count};
    return relay->options.send(relay->options.send_context, &part, 1, &why);
}

void relay_send(struct relay *relay, struct relay_bytes *bytes)
{
    const struct fuse_in_header *header = (const struct fuse_in_header *)bytes->data;
    logging_trace(TRACE_SESSION, "to the server %llu: opcode %u, node %llu, %u bytes", (unsigned long long)header->unique,
                  header->opcode, (unsigned long long)header->nodeid, header->len);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&relay->send_lock);
    relay->sent_messages++;
    relay->sent_bytes += bytes->count;
    if (!relay->unsent_first && send_now(relay, bytes) != CODE_AGAIN)
        return;
    struct relay_message *unsent = calloc(1, sizeof *unsent);
    if (!unsent)
        abort();
    unsent->tail = relay_bytes_share(bytes);
    *(relay->unsent_last ? &relay->unsent_last->next : &relay->unsent_first) = unsent;
    relay->unsent_last = unsent;
}

bool relay_send_rest(struct relay *relay)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&relay->send_lock);
    while (relay->unsent_first && send_now(relay, relay->unsent_first->tail) != CODE_AGAIN) {
        struct relay_message *sent = relay->unsent_first;
        relay->unsent_first = sent->next;
        if (!sent->next)
            relay->unsent_last = NULL;
        relay_bytes_drop(sent->tail);
        free(sent);
    }
    return relay->unsent_first != NULL;
}

static void drop_unsent(struct relay *relay)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&relay->send_lock);
    while (relay->unsent_first) {
        struct relay_message *next = relay->unsent_first->next;
        relay_bytes_drop(relay->unsent_first->tail);
        free(relay->unsent_first);
        relay->unsent_first = next;
    }
    relay->unsent_last = NULL;
}

void relay_take_message(struct relay *relay, const void *bytes, size_t length)
{
    struct relay_output out = {0};
    if (length < sizeof(struct fuse_out_header))
        return;
    struct relay_bytes *message = relay_bytes_make(length);
    memcpy(message->data, bytes, length);
    const struct fuse_out_header *header = (const struct fuse_out_header *)message->data;
    logging_trace(TRACE_SESSION, "from the server %llu: error %d, %u bytes", (unsigned long long)header->unique,
                  header->error, header->len);
    pthread_mutex_lock(&relay->lock);
    relay->counters.messages_received++;
    relay->counters.bytes_received += length;
    if (header->unique == 0)
        relay_push_take(relay, message->data, length, &out);
    else
        relay_call_answered(relay, message, &out);
    pthread_mutex_unlock(&relay->lock);
    relay_bytes_drop(message);
    relay_output_flush(relay, &out);
}

static void end_link(struct relay *relay, struct relay_output *out)
{
    relay->link_ended = true;
    for (size_t i = 0; i < RELAY_CALL_BUCKETS; i++)
        while (relay->calls.buckets[i])
            relay_call_fail(relay, relay->calls.buckets[i], ENOTCONN, out);
    while (relay->parked_oldest) {
        struct relay_request *request = relay->parked_oldest;
        relay_unpark(relay, request);
        relay_finish(relay, out, request, ENOTCONN, NULL, 0);
    }
    pthread_cond_broadcast(&relay->changed);
}

void relay_take_state(struct relay *relay, enum wire_state state, const struct failure *why)
{
    struct relay_output out = {0};
    if (state == WIRE_RENEWED)
        drop_unsent(relay);
    pthread_mutex_lock(&relay->lock);
    relay->connected = state == WIRE_CONNECTED || state == WIRE_RENEWED;
    if (state == WIRE_LOST) {
        relay->lost_ms = timing_monotonic_ms();
        logging_info("the connection to the server is lost and will be taken up again: %s",
                     why ? why->text : "no reason known");
    } else if (state == WIRE_ENDED) {
        if (why)
            logging_warning("the server ended this mount: %s", why->text);
        end_link(relay, &out);
    } else if (state == WIRE_RENEWED) {
        relay_renew(relay, &out);
    } else if (relay->usable) {
        relay_lend_begin(relay, &out); /* the server may have been restarted */
    }
    pthread_cond_signal(&relay->tick);
    pthread_mutex_unlock(&relay->lock);
    relay_output_flush(relay, &out);
}

/* The kernel -------------------------------------------------------------------------------------------------------- */

static void on_nudge(int number)
{
    (void)number;
}

static void accept_nudges(void)
{
    const struct sigaction action = {.sa_handler = on_nudge}; /* without SA_RESTART: it interrupts */
    sigset_t nudge;
    sigaction(NUDGE_SIGNAL, &action, NULL);
    sigemptyset(&nudge);
    sigaddset(&nudge, NUDGE_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &nudge, NULL);
}

static bool is_stopping(struct relay *relay)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&relay->lock);
    return relay->stopping;
}

static void take_request(struct relay *relay, const void *message, size_t length)
{
    struct relay_output out = {0};
    const struct fuse_in_header *header = message;
    if (length < sizeof *header || header->len != length)
        return;
    struct relay_request *request = relay_request_make(message, length);
    if (relay_name_describes(relay, request, &out)) {
        relay_output_flush(relay, &out);
        return;
    }
    pthread_mutex_lock(&relay->lock);
    relay->counters.requests++;
    relay_dispatch(relay, request, &out);
    pthread_mutex_unlock(&relay->lock);
    relay_output_flush(relay, &out);
}

static void *run_reader(void *argument)
{
    struct relay *relay = argument;
    SCOPE_FREE void *message = malloc(RELAY_MESSAGE_MAX);
    accept_nudges();
    while (message && !is_stopping(relay)) {
        ssize_t got = read(relay->device, message, RELAY_MESSAGE_MAX);
        if (got > 0)
            take_request(relay, message, (size_t)got);
        else if (got == 0 || (errno != EINTR && errno != EAGAIN && errno != ENOENT))
            break; /* unmounted */
    }
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&relay->lock);
    relay->readers_left--;
    relay->gone = true;
    pthread_cond_broadcast(&relay->changed);
    return NULL;
}

/* The ticker -------------------------------------------------------------------------------------------------------- */

static void wait_for_tick(struct relay *relay, bool unsent)
{
    int64_t now_ms = timing_monotonic_ms(), until_ms = now_ms + (unsent ? RETRY_MS : TICK_MS);
    int64_t due_ms = relay_fresh_due(relay);
    if (due_ms < until_ms)
        until_ms = due_ms;
    if (until_ms <= now_ms || relay->stopping)
        return;
    const struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
    pthread_cond_timedwait(&relay->tick, &relay->lock, &until);
}

static void *run_ticker(void *argument)
{
    struct relay *relay = argument;
    int64_t swept_ms = 0;
    pthread_mutex_lock(&relay->lock);
    while (!relay->stopping) {
        struct relay_output out = {0};
        relay_fresh_send_due(relay, &out, relay->gone);
        relay_interrupt_give_up(relay, &out);
        if (timing_monotonic_ms() - swept_ms >= TICK_MS) {
            relay_node_sweep(relay, &out);
            swept_ms = timing_monotonic_ms();
        }
        pthread_mutex_unlock(&relay->lock);
        relay_output_flush(relay, &out);
        bool unsent = relay_send_rest(relay);
        pthread_mutex_lock(&relay->lock);
        wait_for_tick(relay, unsent);
    }
    pthread_mutex_unlock(&relay->lock);
    return NULL;
}

/* Life -------------------------------------------------------------------------------------------------------------- */

static struct relay *make(const struct relay_options *options)
{
    struct relay *relay = calloc(1, sizeof *relay);
    if (!relay)
        return NULL;
    relay->options = *options;
    struct relay_limits *limits = &relay->options.limits;
    limits->memory = limits->memory ? limits->memory : MEMORY_DEFAULT;
    limits->pending = limits->pending ? limits->pending : PENDING_DEFAULT;
    limits->nodes = limits->nodes ? limits->nodes : NODES_DEFAULT;
    relay->device = options->device;
    relay->owner = geteuid();
    relay->group = getegid();
    relay->connected = true;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&relay->lock, NULL);
    pthread_cond_init(&relay->changed, &monotonic);
    pthread_cond_init(&relay->tick, &monotonic);
    pthread_mutex_init(&relay->send_lock, NULL);
    pthread_mutex_init(&relay->notice_lock, NULL);
    pthread_cond_init(&relay->notice_changed, NULL);
    pthread_condattr_destroy(&monotonic);
    struct relay_node *root = relay_node_get(relay, FUSE_ROOT_ID);
    root->kernel_lookups = 1;
    root->attr.mode = 0040000;
    return relay;
}

static enum code start_threads(struct relay *relay, struct failure *why)
{
    int count = relay->options.threads > 0 ? relay->options.threads : READERS_DEFAULT;
    if (count > RELAY_THREADS_MAX)
        count = RELAY_THREADS_MAX;
    int error = pthread_create(&relay->notifier, NULL, relay_push_run, relay);
    relay->notifier_runs = !error;
    if (!error) {
        error = pthread_create(&relay->ticker, NULL, run_ticker, relay);
        relay->ticker_runs = !error;
    }
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&relay->lock);
    while (!error && relay->reader_count < count) {
        error = pthread_create(&relay->readers[relay->reader_count], NULL, run_reader, relay);
        if (error)
            break;
        relay->reader_count++;
        relay->readers_left++;
    }
    return error ? failure_set_errno(why, error, "starting the threads of a mount") : CODE_OK;
}

enum code relay_start(const struct relay_options *options, struct relay **out, struct failure *why)
{
    struct relay *relay = make(options);
    if (!relay) {
        close(options->device);
        return failure_set(why, CODE_NO_MEMORY, "mounting: no memory");
    }
    enum code code = start_threads(relay, why);
    if (code == CODE_OK)
        *out = relay;
    else
        relay_destroy(relay);
    return code;
}

bool relay_wait_usable(struct relay *relay)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&relay->lock);
    while (!relay->usable && !relay->gone && !relay->link_ended)
        pthread_cond_wait(&relay->changed, &relay->lock);
    return relay->usable;
}

void relay_wait(struct relay *relay)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&relay->lock);
    while (!relay->gone && !relay->link_ended)
        pthread_cond_wait(&relay->changed, &relay->lock);
}

bool relay_is_unmounted(struct relay *relay)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&relay->lock);
    return relay->gone;
}

bool relay_drain(struct relay *relay, int limit_ms)
{
    int64_t until_ms = timing_monotonic_ms() + limit_ms;
    const struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
    struct relay_output out = {0};
    pthread_mutex_lock(&relay->lock);
    relay_fresh_send_due(relay, &out, true);
    pthread_mutex_unlock(&relay->lock);
    relay_output_flush(relay, &out);
    pthread_mutex_lock(&relay->lock);
    bool done;
    while (!(done = !relay->pending_bytes && !relay->fresh_count && !relay->calls.count) && !relay->link_ended)
        if (pthread_cond_timedwait(&relay->changed, &relay->lock, &until) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&relay->lock);
    return done;
}

void relay_counters(struct relay *relay, struct relay_counters *out)
{
    pthread_mutex_lock(&relay->send_lock);
    uint64_t messages = relay->sent_messages, bytes = relay->sent_bytes;
    pthread_mutex_unlock(&relay->send_lock);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&relay->lock);
    *out = relay->counters;
    out->messages_sent = messages;
    out->bytes_sent = bytes;
}

void relay_describe(struct relay *relay, char *text, size_t size)
{
    struct relay_counters counters;
    relay_counters(relay, &counters);
    const struct {
        const char *name;
        uint64_t value;
    } lines[] = {
        {"messages sent", counters.messages_sent},
        {"messages received", counters.messages_received},
        {"bytes sent", counters.bytes_sent},
        {"bytes received", counters.bytes_received},
        {"requests", counters.requests},
        {"requests answered here", counters.answered_here},
        {"content bytes fetched", counters.contents_fetched},
        {"content bytes from memory", counters.contents_from_memory},
        {"content bytes from disk", counters.contents_from_disk},
        {"files put", counters.puts},
        {"changes pushed", counters.invalidations},
        {"renewals", counters.renewals},
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof lines / sizeof *lines && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s %llu\n", lines[i].name, (unsigned long long)lines[i].value);
}

static void stop_readers(struct relay *relay)
{
    shutdown(relay->device, SHUT_RDWR); /* where it is a socket */
    pthread_mutex_lock(&relay->lock);
    relay->stopping = true;
    pthread_cond_broadcast(&relay->tick);
    while (relay->readers_left > 0) {
        for (int i = 0; i < relay->reader_count; i++)
            pthread_kill(relay->readers[i], NUDGE_SIGNAL);
        int64_t until_ms = timing_monotonic_ms() + NUDGE_MS;
        const struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
        pthread_cond_timedwait(&relay->changed, &relay->lock, &until);
    }
    pthread_mutex_unlock(&relay->lock);
    for (int i = 0; i < relay->reader_count; i++)
        pthread_join(relay->readers[i], NULL);
}

static void stop_others(struct relay *relay)
{
    if (relay->ticker_runs)
        pthread_join(relay->ticker, NULL);
    pthread_mutex_lock(&relay->notice_lock);
    relay->notices_end = true;
    pthread_cond_signal(&relay->notice_changed);
    pthread_mutex_unlock(&relay->notice_lock);
    if (relay->notifier_runs)
        pthread_join(relay->notifier, NULL);
}

void relay_destroy(struct relay *relay)
{
    if (!relay)
        return;
    struct relay_output out = {0};
    stop_readers(relay);
    pthread_mutex_lock(&relay->lock);
    end_link(relay, &out);
    pthread_mutex_unlock(&relay->lock);
    relay_output_flush(relay, &out);
    stop_others(relay);
    drop_unsent(relay);
    relay_push_clear(relay);
    relay_fresh_clear(relay);
    relay_handle_clear(relay);
    relay_lock_clear(relay);
    relay_node_clear(relay);
    relay_bytes_drop(relay->init_answer);
    relay_bytes_drop(relay->init);
    close(relay->device);
    pthread_cond_destroy(&relay->changed);
    pthread_cond_destroy(&relay->tick);
    pthread_cond_destroy(&relay->notice_changed);
    pthread_mutex_destroy(&relay->lock);
    pthread_mutex_destroy(&relay->send_lock);
    pthread_mutex_destroy(&relay->notice_lock);
    free(relay);
}
