/* A connection with its buffers: see wire_connection.h.
 *
 * Output.  Small frames are collected, so that an answer with many of them costs one record of TLS and one system call; a
 * large message passes through the same buffer in pieces.
 *
 * Acknowledgements.  They ride with whatever goes out; without anything to ride with, they wait until there is enough to
 * acknowledge or TELL_AFTER_MS have passed. */
#include "wire_connection.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "timing.h"

#define INPUT_FIRST_BYTES (WIRE_FRAME_HEAD_BYTES + WIRE_ASK_MAX)
#define INPUT_BYTES       (2 * (size_t)WIRE_FRAME_MAX)
#define OUTPUT_BYTES      (256 << 10)
#define OUTPUT_SPARE      4096      /* of it, for frames that are not the ledger's */
#define SHARE_BYTES       (4 << 20) /* that one connection may take in before the others have their turn */
#define TELL_AFTER_MS     20
#define TELL_AFTER_BYTES  (256 << 10)

enum code wire_connection_make(struct wire_channel *channel, struct wire_connection **out, struct failure *why)
{
    struct wire_connection *connection = calloc(1, sizeof *connection);
    if (!connection) {
        wire_channel_close(channel);
        return failure_set(why, CODE_NO_MEMORY, "a connection: no memory");
    }
    connection->channel = channel;
    connection->input_size = INPUT_FIRST_BYTES;
    connection->input = malloc(INPUT_FIRST_BYTES);
    connection->output = malloc(OUTPUT_BYTES);
    connection->heard_ms = connection->said_ms = connection->begun_ms = timing_monotonic_ms();
    if (!connection->input || !connection->output) {
        wire_connection_destroy(connection);
        return failure_set(why, CODE_NO_MEMORY, "a connection: no memory");
    }
    *out = connection;
    return CODE_OK;
}

void wire_connection_destroy(struct wire_connection *connection)
{
    if (!connection)
        return;
    wire_channel_close(connection->channel);
    free(connection->input);
    free(connection->output);
    free(connection);
}

enum code wire_connection_admit(struct wire_connection *connection, struct failure *why)
{
    uint8_t *larger = realloc(connection->input, INPUT_BYTES);
    if (!larger)
        return failure_set(why, CODE_NO_MEMORY, "a connection: no memory");
    connection->input = larger;
    connection->input_size = INPUT_BYTES;
    return CODE_OK;
}

/* In ------------------------------------------------------------------------------------------------------------- */

/* Hands over the frames that are there whole. */
static enum code parse(struct wire_connection *connection, wire_take_frame *take, void *context, struct failure *why)
{
    for (;;) {
        struct wire_frame frame;
        size_t taken;
        const uint8_t *at = connection->input + connection->parsed;
        enum code code = wire_frame_take(at, connection->received - connection->parsed, &frame, &taken, why);
        if (code != CODE_OK)
            return code == CODE_AGAIN ? CODE_OK : code;
        if (taken > connection->input_size)
            return failure_set(why, CODE_CORRUPT, "the other side sent too much before it said who it is");
        connection->parsed += taken;
        if (frame.kind == WIRE_MESSAGE)
            connection->untold_bytes += taken;
        code = take(context, &frame, why);
        if (code != CODE_OK)
            return code;
    }
}

/* Moves the frame that has only begun to the front, so that it fits. */
static enum code make_room(struct wire_connection *connection, struct failure *why)
{
    memmove(connection->input, connection->input + connection->parsed, connection->received - connection->parsed);
    connection->received -= connection->parsed;
    connection->parsed = 0;
    if (connection->received == connection->input_size)
        return failure_set(why, CODE_CORRUPT, "the other side sent too much before it said who it is");
    return CODE_OK;
}

enum code wire_connection_receive(struct wire_connection *connection, wire_take_frame *take, void *context,
                                  struct failure *why)
{
    size_t share = 0;
    connection->unread = false;
    for (;;) {
        enum code code = parse(connection, take, context, why);
        if (code != CODE_OK) {
            connection->unread = code == CODE_BUSY;
            return code == CODE_BUSY ? CODE_OK : code;
        }
        if (share > SHARE_BYTES) {
            connection->unread = true;
            return CODE_OK;
        }
        code = make_room(connection, why);
        size_t moved = 0;
        enum wire_want want = WIRE_NOTHING;
        if (code == CODE_OK)
            code = wire_channel_read(connection->channel, connection->input + connection->received,
                                     connection->input_size - connection->received, &moved, &want, why);
        if (code == CODE_AGAIN)
            return CODE_OK;
        if (code != CODE_OK)
            return code;
        connection->received += moved;
        share += moved;
        connection->heard_ms = timing_monotonic_ms();
    }
}

/* Out ------------------------------------------------------------------------------------------------------------ */

void wire_connection_put(struct wire_connection *connection, const void *frame, size_t length)
{
    assert(connection->copied == 0); /* never between the parts of a message */
    if (length > OUTPUT_BYTES - connection->filled) {
        memmove(connection->output, connection->output + connection->gone, connection->filled - connection->gone);
        connection->filled -= connection->gone;
        connection->gone = 0;
    }
    if (length > OUTPUT_BYTES - connection->filled)
        return; /* only acknowledgements and signs of life ever meet a full buffer; they are repeated */
    memcpy(connection->output + connection->filled, frame, length);
    connection->filled += length;
}

void wire_connection_put_empty(struct wire_connection *connection, enum wire_kind kind)
{
    uint8_t head[WIRE_FRAME_HEAD_BYTES];
    wire_frame_put_head(head, kind, 0);
    wire_connection_put(connection, head, sizeof head);
}

/* Copies as much of the message, or of its head, as there is room for; true where it is whole. */
static bool copy_message(struct wire_connection *connection, const struct wire_kept *kept)
{
    size_t room = OUTPUT_BYTES - OUTPUT_SPARE - connection->filled;
    if (connection->copied == 0) {
        if (room < WIRE_FRAME_HEAD_BYTES)
            return false;
        wire_frame_put_head(connection->output + connection->filled, WIRE_MESSAGE, kept->length);
        connection->filled += WIRE_FRAME_HEAD_BYTES;
        connection->copied = WIRE_FRAME_HEAD_BYTES;
        room -= WIRE_FRAME_HEAD_BYTES;
    }
    size_t left = kept->length - (connection->copied - WIRE_FRAME_HEAD_BYTES);
    size_t count = left < room ? left : room;
    memcpy(connection->output + connection->filled, kept->bytes + (kept->length - left), count);
    connection->filled += count;
    connection->copied += count;
    return count == left;
}

static bool is_due(const struct wire_connection *connection, uint64_t received)
{
    return received > connection->told &&
           (connection->filled > connection->gone || connection->untold_bytes >= TELL_AFTER_BYTES ||
            timing_monotonic_ms() - connection->heard_ms >= TELL_AFTER_MS);
}

static void tell(struct wire_connection *connection, uint64_t received)
{
    uint8_t frame[WIRE_FRAME_HEAD_BYTES + WIRE_ACK_BYTES];
    wire_frame_put_head(frame, WIRE_ACK, WIRE_ACK_BYTES);
    bytes_store64(frame + WIRE_FRAME_HEAD_BYTES, received);
    wire_connection_put(connection, frame, sizeof frame);
    connection->told = received;
    connection->untold_bytes = 0;
}

bool wire_connection_fill(struct wire_connection *connection, struct wire_ledger *ledger)
{
    if (connection->gone == connection->filled)
        connection->gone = connection->filled = 0;
    /* A message that has begun goes on before anything else, so no frame can be put between its parts. */
    if (ledger && connection->copied == 0 && is_due(connection, ledger->received))
        tell(connection, ledger->received);
    while (ledger && ledger->next && connection->filled < OUTPUT_BYTES - OUTPUT_SPARE) {
        if (!copy_message(connection, ledger->next))
            break;
        connection->copied = 0;
        wire_ledger_mark_written(ledger);
    }
    if (ledger && connection->copied == 0 && connection->filled > connection->gone && ledger->received > connection->told)
        tell(connection, ledger->received);
    return connection->filled > connection->gone;
}

enum code wire_connection_flush(struct wire_connection *connection, struct failure *why)
{
    connection->want = WIRE_NOTHING;
    while (connection->gone < connection->filled) {
        size_t moved;
        enum code code = wire_channel_write(connection->channel, connection->output + connection->gone,
                                            connection->filled - connection->gone, &moved, &connection->want, why);
        if (code == CODE_AGAIN)
            return CODE_OK;
        if (code != CODE_OK)
            return code;
        connection->gone += moved;
        connection->said_ms = timing_monotonic_ms();
    }
    return CODE_OK;
}

/* Waiting ---------------------------------------------------------------------------------------------------------- */

short wire_connection_events(const struct wire_connection *connection, bool paused)
{
    short events = 0;
    if (!paused || connection->want == WIRE_READ)
        events |= POLLIN;
    if (connection->want == WIRE_WRITE)
        events |= POLLOUT;
    return events;
}

int64_t wire_connection_deadline(const struct wire_connection *connection, uint64_t received)
{
    int64_t soonest = connection->said_ms + WIRE_SILENCE_MS / 3;
    if (connection->heard_ms + WIRE_SILENCE_MS < soonest)
        soonest = connection->heard_ms + WIRE_SILENCE_MS;
    if (received > connection->told && connection->heard_ms + TELL_AFTER_MS < soonest)
        soonest = connection->heard_ms + TELL_AFTER_MS;
    return soonest;
}

enum code wire_connection_keep_alive(struct wire_connection *connection, bool paused, struct failure *why)
{
    int64_t now = timing_monotonic_ms();
    if (paused)
        connection->heard_ms = now; /* it is us who do not listen */
    if (now - connection->heard_ms >= WIRE_SILENCE_MS)
        return failure_set(why, CODE_IO, "nothing was heard from the other side for %d s", WIRE_SILENCE_MS / 1000);
    if (connection->copied == 0 && now - connection->said_ms >= WIRE_SILENCE_MS / 3 &&
        connection->gone == connection->filled) {
        wire_connection_put_empty(connection, WIRE_PING);
        connection->said_ms = now;
    }
    return CODE_OK;
}
