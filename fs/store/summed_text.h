/* Small texts whose last line is a checksum of all before it: "sum <16 hexadecimal digits>".  Any flipped bit is found. */
#ifndef CYTOFS_SUMMED_TEXT_H
#define CYTOFS_SUMMED_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;

/* Appends the line to a text. */
void summed_text_finish(struct buffer *text);

/* Whether the text ends in that line, byte for byte.  *body: the length of what stands before it. */
bool summed_text_check(const char *text, size_t count, size_t *body);

#endif
