/* Text from files, whose bytes may be anything, as valid UTF-8 that is safe to show. */
#ifndef CYTOFS_UTF8_TEXT_H
#define CYTOFS_UTF8_TEXT_H

#include <stddef.h>

#include "buffer.h"

/* Appends up to letters_max letters of text; what is more becomes an ellipsis.  Bytes that are not UTF-8, and control
 * characters (a terminal would obey them), become U+FFFD. */
void utf8_text_append(struct buffer *out, const char *text, size_t count, size_t letters_max);

/* The same with & < > " ' written as character references: text for HTML and SVG, inside elements and attributes. */
void utf8_text_append_markup(struct buffer *out, const char *text, size_t count, size_t letters_max);

#endif
