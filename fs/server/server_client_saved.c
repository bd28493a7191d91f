/* A client as bytes, for a server that is stopped and started again: see server_client.h.
 *
 *     since (8) | greeted (1) | length (8), the session (session_saved.c) | count (4), requests: each length (4), bytes |
 * count (4), polls: each key (8)
 *
 * The requests are those that were not answered, the parked ones first: they are asked again, as if they had just come.
 * Whoever polls is woken, and asks again. */
#include <linux/fuse.h>

#include "bytes.h"
#include "scope.h"
#include "server_client.h"
#include "session_saved.h"

#define HEAD_BYTES 17

static void put_messages(const struct client_messages *list, struct buffer *out)
{
    for (const struct client_message *message = list->first; message; message = message->next) {
        buffer_append32(out, (uint32_t)message->length);
        buffer_append(out, message->bytes, message->length);
    }
}

void client_save(struct client *client, struct buffer *out)
{
    SCOPE_BUFFER session = {.max = out->max};
    const uint8_t greeted = client->greeted;
    session_save(client->session, &session);
    out->failed = out->failed || session.failed;
    buffer_append64(out, (uint64_t)client->since_ms);
    buffer_append(out, &greeted, 1);
    buffer_append64(out, session.length);
    buffer_append(out, buffer_text(&session), session.length);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&client->lock);
    buffer_append32(out, (uint32_t)(client->open.count + client->queue.count));
    put_messages(&client->open, out);
    put_messages(&client->queue, out);
    buffer_append32(out, (uint32_t)client->poll_count);
    for (size_t i = 0; i < client->poll_count; i++)
        buffer_append64(out, client->polls[i]);
}

static enum code damaged(struct failure *why)
{
    return failure_set(why, CODE_CORRUPT, "a client's saved state is damaged");
}

static enum code restore_requests(struct client *client, const uint8_t **at, const uint8_t *end, struct failure *why)
{
    if (end - *at < 4)
        return damaged(why);
    uint32_t count = bytes_load32(*at);
    *at += 4;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length = end - *at < 4 ? 0 : bytes_load32(*at);
        if (length < sizeof(struct fuse_in_header) || length > WIRE_MESSAGE_MAX || (size_t)(end - *at) - 4 < length)
            return damaged(why);
        if (!client_push(client, *at + 4, length))
            return failure_set(why, CODE_NO_MEMORY, "a client's saved state: no memory");
        *at += 4 + length;
    }
    return CODE_OK;
}

/* Wakes whoever polled. */
static enum code restore_polls(struct client *client, const uint8_t *at, const uint8_t *end, struct failure *why)
{
    if (end - at < 4 || (size_t)(end - at) - 4 != (size_t)bytes_load32(at) * 8)
        return damaged(why);
    for (at += 4; at < end; at += 8) {
        struct fuse_notify_poll_wakeup_out poll = {.kh = bytes_load64(at)};
        struct fuse_out_header notice = {.len = sizeof notice + sizeof poll, .error = FUSE_NOTIFY_POLL};
        struct iovec parts[] = {{&notice, sizeof notice}, {&poll, sizeof poll}};
        if (wire_link_send(client->link, parts, 2, why) != CODE_OK)
            return why->code;
    }
    return CODE_OK;
}

enum code client_restore(struct client *client, const void *bytes, size_t count, struct failure *why)
{
    const uint8_t *at = bytes, *end = at + count;
    uint64_t session = count < HEAD_BYTES ? 0 : bytes_load64(at + 9);
    if (count < HEAD_BYTES || session > count - HEAD_BYTES)
        return damaged(why);
    client->since_ms = (int64_t)bytes_load64(at);
    client->greeted = at[8] != 0;
    at += HEAD_BYTES;
    enum code code = session_restore(client->session, at, session, why);
    at += session;
    if (code == CODE_OK)
        code = restore_requests(client, &at, end, why);
    return code == CODE_OK ? restore_polls(client, at, end, why) : code;
}
