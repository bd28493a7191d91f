/* A link's end: see wire_link.h, and wire_end.h for what its thread does.
 *
 * Messages are handed to the thread by the ledger alone: whoever sends appends to it and wakes the thread, once.  The thread
 * holds the lock only while it copies between ledger and buffers, never in an event or a system call. */
#include "wire_end.h"

#include <string.h>

#include "bytes.h"
#include "scope.h"
#include "timing.h"

#define BYE_MS 2000 /* how long BYE waits for the other side to close */

static void wake_with_lock(struct wire_link *link)
{
    if (link->woken)
        return;
    link->woken = true;
    link->wake(link);
}

enum code wire_link_send(struct wire_link *link, const struct iovec *parts, int count, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->lock);
    if (link->ended || link->closing)
        return failure_set(why, CODE_IO, "the connection to the other side has ended");
    enum code code = wire_ledger_add(&link->ledger, parts, count, why);
    if (code == CODE_OK)
        wake_with_lock(link);
    return code;
}

size_t wire_link_backlog(struct wire_link *link)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->lock);
    return link->ledger.bytes;
}

void wire_link_pause(struct wire_link *link, bool paused)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->lock);
    if (link->paused == paused)
        return;
    link->paused = paused;
    wake_with_lock(link);
}

void wire_link_close(struct wire_link *link)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->lock);
    link->closing = true;
    wake_with_lock(link);
}

void wire_link_destroy(struct wire_link *link)
{
    if (link)
        link->destroy(link);
}

/* The thread's side ------------------------------------------------------------------------------------------------- */

void wire_end_init(struct wire_link *link, const struct wire_events *events, void *context)
{
    pthread_mutex_init(&link->lock, NULL);
    link->events = *events;
    link->context = context;
}

void wire_end_clear(struct wire_link *link)
{
    wire_connection_destroy(link->connection);
    wire_ledger_clear(&link->ledger);
    pthread_mutex_destroy(&link->lock);
}

static bool is_paused(struct wire_link *link)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->lock);
    return link->paused;
}

static enum code take_message(struct wire_link *link, const struct wire_frame *frame)
{
    link->events.message(link->context, frame->bytes, frame->length);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->lock);
    link->ledger.received++;
    return link->paused ? CODE_BUSY : CODE_OK;
}

static enum code take_acknowledgement(struct wire_link *link, const struct wire_frame *frame, struct failure *why)
{
    pthread_mutex_lock(&link->lock);
    bool was_full = link->ledger.bytes > WIRE_WINDOW_MAX / 2;
    enum code code = wire_ledger_acknowledge(&link->ledger, bytes_load64(frame->bytes), why);
    bool is_full = link->ledger.bytes > WIRE_WINDOW_MAX / 2;
    pthread_mutex_unlock(&link->lock);
    if (was_full && !is_full && link->events.room)
        link->events.room(link->context);
    return code;
}

static enum code take_frame(void *context, const struct wire_frame *frame, struct failure *why)
{
    struct wire_link *link = context;
    switch (frame->kind) {
    case WIRE_MESSAGE:
        return take_message(link, frame);
    case WIRE_ACK:
        return take_acknowledgement(link, frame, why);
    case WIRE_PING:
        return CODE_OK;
    case WIRE_BYE:
        link->heard_bye = true;
        return failure_set(why, CODE_NO_DATA, "the other side has said good-bye");
    case WIRE_REFUSED:
        return wire_frame_read_refusal(frame, why);
    default:
        return failure_set(why, CODE_CORRUPT, "the other side sent a frame of kind %d in the middle of a link", frame->kind);
    }
}

/* Whether there is anything to send.  BYE goes out when everything before it was acknowledged. */
static bool fill(struct wire_link *link)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->lock);
    link->woken = false;
    if (link->closing && !link->ledger.first && !link->said_bye) {
        wire_connection_put_empty(link->connection, WIRE_BYE);
        link->said_bye = true;
        link->bye_ms = timing_monotonic_ms();
    }
    return wire_connection_fill(link->connection, &link->ledger);
}

enum code wire_end_pump(struct wire_link *link, struct failure *why)
{
    bool paused = is_paused(link);
    enum code code = CODE_OK;
    if (!paused)
        code = wire_connection_receive(link->connection, take_frame, link, why);
    if (code == CODE_OK)
        code = wire_connection_keep_alive(link->connection, paused, why);
    while (code == CODE_OK && fill(link)) {
        code = wire_connection_flush(link->connection, why);
        if (link->connection->want != WIRE_NOTHING)
            break;
    }
    if (code == CODE_OK && link->said_bye && timing_monotonic_ms() - link->bye_ms > BYE_MS)
        code = failure_set(why, CODE_NO_DATA, "the other side did not answer good-bye");
    return code;
}

short wire_end_wait(struct wire_link *link, int64_t *deadline_ms)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->lock);
    *deadline_ms = wire_connection_deadline(link->connection, link->ledger.received);
    if (!link->paused && (link->connection->unread || wire_channel_holds(link->connection->channel)))
        *deadline_ms = 0;
    if (link->said_bye && link->bye_ms + BYE_MS < *deadline_ms)
        *deadline_ms = link->bye_ms + BYE_MS;
    return wire_connection_events(link->connection, link->paused);
}

void wire_link_session(struct wire_link *link, uint8_t session[WIRE_SESSION_BYTES])
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->lock);
    memcpy(session, link->session, WIRE_SESSION_BYTES);
}

enum code wire_end_attach(struct wire_link *link, struct wire_connection *connection, uint64_t received, bool renewed,
                          struct failure *why)
{
    wire_end_cut(link);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->lock);
    if (renewed)
        wire_ledger_clear(&link->ledger);
    enum code code = renewed ? CODE_OK : wire_ledger_rewind(&link->ledger, received, why);
    if (code == CODE_OK)
        code = wire_connection_admit(connection, why);
    if (code != CODE_OK)
        return code;
    connection->told = link->ledger.received;
    link->connection = connection;
    link->said_bye = false;
    return CODE_OK;
}

void wire_end_cut(struct wire_link *link)
{
    wire_connection_destroy(link->connection);
    link->connection = NULL;
}

void wire_end_finish(struct wire_link *link, const struct failure *why)
{
    wire_end_cut(link);
    pthread_mutex_lock(&link->lock);
    bool again = link->ended;
    link->ended = true;
    wire_ledger_clear(&link->ledger);
    pthread_mutex_unlock(&link->lock);
    if (!again)
        link->events.state(link->context, WIRE_ENDED, why);
}
