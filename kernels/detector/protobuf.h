/* The little of protocol buffers' wire format that writing a message takes (https://protobuf.dev, "Encoding"): a message
 * is appended to a buffer field by field; an inner message is put together in a buffer of its own and then appended as
 * bytes.  Failures stay in the buffer (buffer.h). */
#ifndef CYTOFS_PROTOBUF_H
#define CYTOFS_PROTOBUF_H

#include <stdint.h>

#include "buffer.h"

/* field: its number in the message's definition, from 1. */
void protobuf_append_integer(struct buffer *message, unsigned field, uint64_t value); /* int64, enum: not negative */
void protobuf_append_bytes(struct buffer *message, unsigned field, const void *bytes, size_t count);
void protobuf_append_text(struct buffer *message, unsigned field, const char *text);
void protobuf_append_message(struct buffer *message, unsigned field, const struct buffer *inner);

#endif
