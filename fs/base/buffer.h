/* A growable run of bytes with a stated maximum: texts that are put together, files read whole.
 *
 * Invariants: length <= capacity <= max (+1 for the terminator); data[length] is always 0 when data is not NULL, so a
 * buffer can be used as a C string.  After a failed append (no memory, or beyond max) `failed` stays true and the
 * contents stay as they were: a run of appends needs one check at its end.
 */
#ifndef CYTOFS_BUFFER_H
#define CYTOFS_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define BUFFER_MAX_DEFAULT ((size_t)256 << 20)

struct buffer {
    char *data;      /* NULL while empty and unallocated */
    size_t length;   /* bytes in use */
    size_t capacity; /* bytes allocated, less one for the terminator */
    size_t max;      /* bytes; 0 means BUFFER_MAX_DEFAULT */
    bool failed;
};

#define SCOPE_BUFFER __attribute__((cleanup(buffer_free))) struct buffer

void buffer_append(struct buffer *buffer, const void *bytes, size_t count);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Numbers, little-endian. */
void buffer_append16(struct buffer *buffer, uint16_t value);
void buffer_append32(struct buffer *buffer, uint32_t value);
void buffer_append64(struct buffer *buffer, uint64_t value);

/* Makes room for `count` more bytes behind length and returns where they start; NULL, and failed, when it cannot. */
void *buffer_reserve(struct buffer *buffer, size_t count);

/* Empties it, keeps the memory. */
void buffer_clear(struct buffer *buffer);
void buffer_free(struct buffer *buffer);

/* The text, never NULL. */
const char *buffer_text(const struct buffer *buffer);

/* CODE_OK, or CODE_NO_MEMORY / CODE_TOO_LARGE where an append failed.  `what` names the contents in the text. */
MUST_CHECK enum code buffer_check(const struct buffer *buffer, const char *what, struct failure *why);

/* Appends one CSV field (RFC 4180: quoted where it holds a comma, a quote or a line break).  A field that a spreadsheet
 * would take for a formula is not changed: these files are read by programs. */
void buffer_append_csv(struct buffer *buffer, const char *field);

/* Appends a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void buffer_append_json(struct buffer *buffer, const char *text);

#endif
