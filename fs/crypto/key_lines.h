/* Texts of a few lines ("word value"), taken apart line by line.  Takes any bytes; nothing is copied. */
#ifndef CYTOFS_KEY_LINES_H
#define CYTOFS_KEY_LINES_H

#include <stdbool.h>
#include <stddef.h>

/* The rest of a text that is being taken apart. */
struct key_lines {
    const char *at, *end;
    unsigned line; /* of the line last taken, from 1 */
};

/* A part of it, without a terminator. */
struct key_text {
    const char *bytes;
    size_t count;
};

/* The next line without its line feed; false where none is complete any more. */
bool key_lines_take(struct key_lines *lines, struct key_text *line);

/* Drops `start` from the front of the text; false, and nothing dropped, where it begins otherwise. */
bool key_lines_skip(struct key_text *text, const char *start);

/* The next line is `start` and then exactly 2 * count hexadecimal digits. */
bool key_lines_take_hex(struct key_lines *lines, const char *start, void *bytes, size_t count);

#endif
