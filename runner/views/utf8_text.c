/* Cleaning text: see utf8_text.h.  The ranges are those of the Unicode standard, table 3-7 (well-formed UTF-8 byte
 * sequences).  Pure; any thread. */
#include "utf8_text.h"

#include <stdbool.h>

#define REPLACEMENT "\xEF\xBF\xBD"
#define ELLIPSIS    "\xE2\x80\xA6"

/* Bytes in the letter that begins at text; 0 where it is none, or a control character. */
static size_t letter_length(const unsigned char *text, size_t count)
{
    unsigned char lead = text[0];
    if (lead < 0x80)
        return lead >= 0x20 && lead != 0x7F;
    size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || length > count)
        return 0;
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : lead == 0xC2 ? 0xA0 : 0x80; /* C2 80..9F: controls */
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (text[i] < 0x80 || text[i] > 0xBF)
            return 0;
    return length;
}

static const char *reference_of(char letter)
{
    switch (letter) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static void append(struct buffer *out, const char *text, size_t count, size_t letters_max, bool markup)
{
    size_t at = 0;
    for (size_t letters = 0; at < count; letters++) {
        if (letters == letters_max) {
            buffer_append_text(out, ELLIPSIS);
            return;
        }
        size_t length = letter_length((const unsigned char *)text + at, count - at);
        const char *reference = markup ? reference_of(text[at]) : NULL;
        if (length == 0)
            buffer_append_text(out, REPLACEMENT);
        else if (reference)
            buffer_append_text(out, reference);
        else
            buffer_append(out, text + at, length);
        at += length ? length : 1;
    }
}

void utf8_text_append(struct buffer *out, const char *text, size_t count, size_t letters_max)
{
    append(out, text, count, letters_max, false);
}

void utf8_text_append_markup(struct buffer *out, const char *text, size_t count, size_t letters_max)
{
    append(out, text, count, letters_max, true);
}
