/* Growable buffers: see buffer.h for the invariants. */
#include "buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

static size_t buffer_max(const struct buffer *buffer)
{
    return buffer->max ? buffer->max : BUFFER_MAX_DEFAULT;
}

void *buffer_reserve(struct buffer *buffer, size_t count)
{
    size_t max = buffer_max(buffer);
    if (buffer->failed || count > max - buffer->length) {
        buffer->failed = true;
        return NULL;
    }
    size_t needed = buffer->length + count;
    if (!buffer->data || needed > buffer->capacity) {
        size_t capacity = buffer->capacity < 128 ? 128 : buffer->capacity + buffer->capacity / 2;
        if (capacity < needed)
            capacity = needed;
        if (capacity > max)
            capacity = max;
        char *grown = realloc(buffer->data, capacity + 1);
        if (!grown) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = grown;
        buffer->capacity = capacity;
        buffer->data[buffer->length] = 0;
    }
    return buffer->data + buffer->length;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t count)
{
    char *end = buffer_reserve(buffer, count);
    if (!end)
        return;
    if (count)
        memcpy(end, bytes, count);
    buffer->length += count;
    buffer->data[buffer->length] = 0;
}

void buffer_append16(struct buffer *buffer, uint16_t value)
{
    uint8_t bytes[2];
    bytes_store16(bytes, value);
    buffer_append(buffer, bytes, sizeof bytes);
}

void buffer_append32(struct buffer *buffer, uint32_t value)
{
    uint8_t bytes[4];
    bytes_store32(bytes, value);
    buffer_append(buffer, bytes, sizeof bytes);
}

void buffer_append64(struct buffer *buffer, uint64_t value)
{
    uint8_t bytes[8];
    bytes_store64(bytes, value);
    buffer_append(buffer, bytes, sizeof bytes);
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int needed = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *end = needed < 0 ? NULL : buffer_reserve(buffer, (size_t)needed);
    if (end) {
        vsnprintf(end, (size_t)needed + 1, format, again);
        buffer->length += (size_t)needed;
    } else {
        buffer->failed = true;
    }
    va_end(again);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
    buffer->failed = false;
    if (buffer->data)
        buffer->data[0] = 0;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){.max = buffer->max};
}

const char *buffer_text(const struct buffer *buffer)
{
    return buffer->data ? buffer->data : "";
}

enum code buffer_check(const struct buffer *buffer, const char *what, struct failure *why)
{
    if (!buffer->failed)
        return CODE_OK;
    if (buffer->length >= buffer_max(buffer) / 2)
        return failure_set(why, CODE_TOO_LARGE, "%s: larger than %zu bytes", what, buffer_max(buffer));
    return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", what);
}

void buffer_append_csv(struct buffer *buffer, const char *field)
{
    if (!strpbrk(field, ",\"\r\n")) {
        buffer_append_text(buffer, field);
        return;
    }
    buffer_append(buffer, "\"", 1);
    for (const char *at = field; *at; at++) {
        if (*at == '"')
            buffer_append(buffer, "\"", 1);
        buffer_append(buffer, at, 1);
    }
    buffer_append(buffer, "\"", 1);
}

/* The length in bytes of the well-formed UTF-8 character at `at` (RFC 3629), or 0. */
static size_t utf8_length(const unsigned char *at)
{
    size_t length = at[0] < 0x80                    ? 1
                    : at[0] >= 0xC2 && at[0] < 0xE0 ? 2
                    : (at[0] & 0xF0) == 0xE0        ? 3
                    : at[0] >= 0xF0 && at[0] < 0xF5 ? 4
                                                    : 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) || (at[0] == 0xF0 && at[1] < 0x90) ||
        (at[0] == 0xF4 && at[1] > 0x8F))
        return 0;
    return length;
}

void buffer_append_json(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, "\"", 1);
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        size_t length = utf8_length(at);
        if (length == 0) {
            buffer_append_text(buffer, "\\ufffd");
            at++;
        } else {
            if (*at == '"' || *at == '\\')
                buffer_printf(buffer, "\\%c", *at);
            else if (*at < 0x20 || *at == 0x7F)
                buffer_printf(buffer, "\\u%04x", *at);
            else
                buffer_append(buffer, at, length);
            at += length;
        }
    }
    buffer_append(buffer, "\"", 1);
}
