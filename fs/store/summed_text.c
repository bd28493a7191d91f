/* The sum is XXH3-64 of the bytes before its line, as its digits in lower case. */
#include "summed_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "buffer.h"
#include "checksum.h"

#define LINE_BYTES (sizeof "sum 0123456789abcdef\n" - 1)

static void write_line(const char *text, size_t count, char line[LINE_BYTES + 1])
{
    snprintf(line, LINE_BYTES + 1, "sum %016" PRIx64 "\n", checksum_64(text, count, 0));
}

void summed_text_finish(struct buffer *text)
{
    char line[LINE_BYTES + 1];
    write_line(buffer_text(text), text->length, line);
    buffer_append(text, line, LINE_BYTES);
}

bool summed_text_check(const char *text, size_t count, size_t *body)
{
    char line[LINE_BYTES + 1];
    if (count < LINE_BYTES)
        return false;
    *body = count - LINE_BYTES;
    write_line(text, *body, line);
    return memcmp(text + *body, line, LINE_BYTES) == 0;
}
