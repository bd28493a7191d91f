/* Frames: see wire_frame.h. */
#include "wire_frame.h"

#include <string.h>

#include "bytes.h"

static const char magic[8] = "cytofs\r\n"; /* a peer of another protocol is known by its first bytes */

#define GREETING_VERSION_AT  8
#define GREETING_RESUMED_AT  10
#define GREETING_SESSION_AT  16
#define GREETING_RECEIVED_AT 32

static const struct {
    uint32_t min, max; /* bytes behind the head */
} lengths[WIRE_KIND_COUNT] = {
    [WIRE_HELLO] = {WIRE_HELLO_BYTES, WIRE_HELLO_BYTES},
    [WIRE_WELCOME] = {WIRE_WELCOME_BYTES, WIRE_WELCOME_BYTES},
    [WIRE_REFUSED] = {4, 4 + WIRE_TEXT_MAX},
    [WIRE_MESSAGE] = {1, WIRE_MESSAGE_MAX},
    [WIRE_ACK] = {WIRE_ACK_BYTES, WIRE_ACK_BYTES},
    [WIRE_PING] = {0, 0},
    [WIRE_ASK] = {1, WIRE_ASK_MAX},
    [WIRE_ANSWER] = {0, WIRE_ASK_MAX},
    [WIRE_BYE] = {0, 0},
};

enum code wire_frame_take(const uint8_t *bytes, size_t count, struct wire_frame *out, size_t *taken, struct failure *why)
{
    if (count < WIRE_FRAME_HEAD_BYTES)
        return CODE_AGAIN;
    uint32_t length = bytes_load32(bytes);
    uint8_t kind = bytes[4];
    if (kind == 0 || kind >= WIRE_KIND_COUNT || bytes[5] || bytes[6] || bytes[7])
        return failure_set(why, CODE_CORRUPT, "the other side does not speak cytofs' protocol");
    if (length < lengths[kind].min || length > lengths[kind].max)
        return failure_set(why, CODE_CORRUPT, "the other side sent a frame of kind %d with %u bytes", kind, length);
    if (count - WIRE_FRAME_HEAD_BYTES < length)
        return CODE_AGAIN;
    *out = (struct wire_frame){(enum wire_kind)kind, bytes + WIRE_FRAME_HEAD_BYTES, length};
    *taken = WIRE_FRAME_HEAD_BYTES + length;
    return CODE_OK;
}

void wire_frame_put_head(uint8_t head[WIRE_FRAME_HEAD_BYTES], enum wire_kind kind, size_t length)
{
    memset(head, 0, WIRE_FRAME_HEAD_BYTES);
    bytes_store32(head, (uint32_t)length);
    head[4] = (uint8_t)kind;
}

enum code wire_frame_read_greeting(const struct wire_frame *frame, struct wire_greeting *out, struct failure *why)
{
    const uint8_t *at = frame->bytes;
    if (memcmp(at, magic, sizeof magic) != 0)
        return failure_set(why, CODE_CORRUPT, "the other side does not speak cytofs' protocol");
    *out = (struct wire_greeting){.version = bytes_load16(at + GREETING_VERSION_AT),
                                  .resumed = at[GREETING_RESUMED_AT] == 1,
                                  .received = bytes_load64(at + GREETING_RECEIVED_AT)};
    memcpy(out->session, at + GREETING_SESSION_AT, WIRE_SESSION_BYTES);
    if (out->version != WIRE_VERSION)
        return failure_set(why, CODE_NEWER_FORMAT,
                           "the other side speaks version %u of the protocol, this program version %u: update the older one",
                           out->version, WIRE_VERSION);
    return CODE_OK;
}

void wire_frame_write_greeting(const struct wire_greeting *greeting, enum wire_kind kind,
                               uint8_t frame[WIRE_FRAME_HEAD_BYTES + WIRE_HELLO_BYTES])
{
    uint8_t *at = frame + WIRE_FRAME_HEAD_BYTES;
    wire_frame_put_head(frame, kind, WIRE_HELLO_BYTES);
    memset(at, 0, WIRE_HELLO_BYTES);
    memcpy(at, magic, sizeof magic);
    bytes_store16(at + GREETING_VERSION_AT, WIRE_VERSION);
    at[GREETING_RESUMED_AT] = greeting->resumed;
    memcpy(at + GREETING_SESSION_AT, greeting->session, WIRE_SESSION_BYTES);
    bytes_store64(at + GREETING_RECEIVED_AT, greeting->received);
}

/* The codes are the protocol's, not the program's, which may be numbered anew. */
enum refusal { REFUSAL_DENIED = 1, REFUSAL_AGAIN = 2, REFUSAL_VERSION = 3 };

enum code wire_frame_read_refusal(const struct wire_frame *frame, struct failure *why)
{
    uint32_t refusal = bytes_load32(frame->bytes);
    int length = (int)(frame->length - 4);
    enum code code = refusal == REFUSAL_AGAIN ? CODE_AGAIN : refusal == REFUSAL_VERSION ? CODE_NEWER_FORMAT : CODE_DENIED;
    return failure_set(why, code, "the server refuses: %.*s", length, (const char *)frame->bytes + 4);
}

size_t wire_frame_write_refusal(enum code code, const char *text, uint8_t frame[WIRE_FRAME_HEAD_BYTES + 4 + WIRE_TEXT_MAX])
{
    size_t length = strnlen(text, WIRE_TEXT_MAX);
    uint32_t refusal = code == CODE_AGAIN ? REFUSAL_AGAIN : code == CODE_NEWER_FORMAT ? REFUSAL_VERSION : REFUSAL_DENIED;
    wire_frame_put_head(frame, WIRE_REFUSED, 4 + length);
    bytes_store32(frame + WIRE_FRAME_HEAD_BYTES, refusal);
    memcpy(frame + WIRE_FRAME_HEAD_BYTES + 4, text, length);
    return WIRE_FRAME_HEAD_BYTES + 4 + length;
}
