/* Protocol buffers, written: see protobuf.h.  A field is a tag (number and wire type) and its value; numbers are varints,
 * seven bits a byte, the lowest first. */
#include "protobuf.h"

#include <string.h>

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

static void append_varint(struct buffer *message, uint64_t value)
{
    uint8_t bytes[10];
    size_t count = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[count++] = (uint8_t)(value | 0x80);
    bytes[count++] = (uint8_t)value;
    buffer_append(message, bytes, count);
}

static void append_tag(struct buffer *message, unsigned field, unsigned wire)
{
    append_varint(message, (uint64_t)field << 3 | wire);
}

void protobuf_append_integer(struct buffer *message, unsigned field, uint64_t value)
{
    append_tag(message, field, WIRE_VARINT);
    append_varint(message, value);
}

void protobuf_append_bytes(struct buffer *message, unsigned field, const void *bytes, size_t count)
{
    append_tag(message, field, WIRE_BYTES);
    append_varint(message, count);
    buffer_append(message, bytes, count);
}

void protobuf_append_text(struct buffer *message, unsigned field, const char *text)
{
    protobuf_append_bytes(message, field, text, strlen(text));
}

void protobuf_append_message(struct buffer *message, unsigned field, const struct buffer *inner)
{
    message->failed = message->failed || inner->failed;
    protobuf_append_bytes(message, field, inner->data ? inner->data : "", inner->length);
}
