/* What a link keeps: see wire_ledger.h. */
#include "wire_ledger.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"

#define SAVED_HEAD_BYTES 24 /* acknowledged, received, messages kept */

static size_t cost_of(size_t length)
{
    return length + sizeof(struct wire_kept);
}

static enum code measure(const struct iovec *parts, int count, size_t *length, struct failure *why)
{
    *length = 0;
    for (int i = 0; i < count; i++)
        if (!bytes_add(*length, parts[i].iov_len, length))
            return failure_set(why, CODE_INVALID, "a message is too long");
    if (*length == 0 || *length > WIRE_MESSAGE_MAX)
        return failure_set(why, CODE_INVALID, "a message of %zu bytes: from 1 to %u are possible", *length,
                           WIRE_MESSAGE_MAX);
    return CODE_OK;
}

/* Room for a message behind the last; its bytes are the caller's to fill.  NULL: no memory. */
static struct wire_kept *append(struct wire_ledger *ledger, size_t length)
{
    struct wire_kept *kept = malloc(sizeof *kept + length);
    if (!kept)
        return NULL;
    kept->next = NULL;
    kept->length = (uint32_t)length;
    if (ledger->last)
        ledger->last->next = kept;
    else
        ledger->first = kept;
    ledger->last = kept;
    if (!ledger->next)
        ledger->next = kept;
    ledger->sent++;
    ledger->bytes += cost_of(length);
    return kept;
}

enum code wire_ledger_add(struct wire_ledger *ledger, const struct iovec *parts, int count, struct failure *why)
{
    size_t length;
    enum code code = measure(parts, count, &length, why);
    if (code != CODE_OK)
        return code;
    if (ledger->first && ledger->bytes + cost_of(length) > WIRE_WINDOW_MAX)
        return failure_set(why, CODE_AGAIN, "%zu MiB wait to be acknowledged", ledger->bytes >> 20);
    struct wire_kept *kept = append(ledger, length);
    if (!kept)
        return failure_set(why, CODE_NO_MEMORY, "sending a message: no memory");
    uint8_t *to = kept->bytes;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len)
            memcpy(to, parts[i].iov_base, parts[i].iov_len);
        to += parts[i].iov_len;
    }
    return CODE_OK;
}

void wire_ledger_mark_written(struct wire_ledger *ledger)
{
    ledger->next = ledger->next->next;
    ledger->written++;
}

static void drop_first(struct wire_ledger *ledger)
{
    struct wire_kept *kept = ledger->first;
    ledger->first = kept->next;
    if (!ledger->first)
        ledger->last = NULL;
    ledger->bytes -= cost_of(kept->length);
    ledger->acknowledged++;
    free(kept);
}

enum code wire_ledger_acknowledge(struct wire_ledger *ledger, uint64_t count, struct failure *why)
{
    if (count > ledger->written)
        return failure_set(why, CODE_CORRUPT, "the other side acknowledges messages that were not sent");
    while (ledger->acknowledged < count)
        drop_first(ledger);
    return CODE_OK;
}

bool wire_ledger_reaches(const struct wire_ledger *ledger, uint64_t count)
{
    return count >= ledger->acknowledged && count <= ledger->sent;
}

enum code wire_ledger_rewind(struct wire_ledger *ledger, uint64_t count, struct failure *why)
{
    if (!wire_ledger_reaches(ledger, count))
        return failure_set(why, CODE_CORRUPT, "the other side counts our messages otherwise than we do");
    ledger->written = ledger->sent;
    enum code code = wire_ledger_acknowledge(ledger, count, why);
    ledger->written = count;
    ledger->next = ledger->first;
    return code;
}

void wire_ledger_clear(struct wire_ledger *ledger)
{
    while (ledger->first)
        drop_first(ledger);
    *ledger = (struct wire_ledger){0};
}

void wire_ledger_save(const struct wire_ledger *ledger, struct buffer *out)
{
    buffer_append64(out, ledger->acknowledged);
    buffer_append64(out, ledger->received);
    buffer_append64(out, ledger->sent - ledger->acknowledged);
    for (const struct wire_kept *kept = ledger->first; kept; kept = kept->next) {
        buffer_append32(out, kept->length);
        buffer_append(out, kept->bytes, kept->length);
    }
}

enum code wire_ledger_restore(struct wire_ledger *ledger, const uint8_t *bytes, size_t count, size_t *taken,
                              struct failure *why)
{
    *ledger = (struct wire_ledger){0};
    if (count < SAVED_HEAD_BYTES)
        return failure_set(why, CODE_CORRUPT, "the saved links are cut");
    ledger->acknowledged = ledger->written = ledger->sent = bytes_load64(bytes);
    ledger->received = bytes_load64(bytes + 8);
    uint64_t messages = bytes_load64(bytes + 16);
    size_t at = SAVED_HEAD_BYTES;
    for (; messages > 0; messages--) {
        size_t length = count - at >= 4 ? bytes_load32(bytes + at) : 0;
        bool whole = length > 0 && length <= WIRE_MESSAGE_MAX && count - at - 4 >= length;
        struct wire_kept *kept = whole ? append(ledger, length) : NULL;
        if (!kept) {
            wire_ledger_clear(ledger);
            return failure_set(why, whole ? CODE_NO_MEMORY : CODE_CORRUPT, "the saved links are %s",
                               whole ? "too large for the memory" : "damaged");
        }
        memcpy(kept->bytes, bytes + at + 4, length);
        at += 4 + length;
    }
    *taken = at;
    return CODE_OK;
}
