/* Lines of key files: see key_lines.h. */
#include "key_lines.h"

#include <string.h>

#include "hex.h"

bool key_lines_take(struct key_lines *lines, struct key_text *line)
{
    const char *stop = lines->at < lines->end ? memchr(lines->at, '\n', (size_t)(lines->end - lines->at)) : NULL;
    lines->line++;
    if (!stop)
        return false;
    *line = (struct key_text){lines->at, (size_t)(stop - lines->at)};
    lines->at = stop + 1;
    return true;
}

bool key_lines_skip(struct key_text *text, const char *start)
{
    size_t count = strlen(start);
    if (text->count < count || memcmp(text->bytes, start, count) != 0)
        return false;
    text->bytes += count;
    text->count -= count;
    return true;
}

bool key_lines_take_hex(struct key_lines *lines, const char *start, void *bytes, size_t count)
{
    struct key_text line;
    return key_lines_take(lines, &line) && key_lines_skip(&line, start) && hex_decode(line.bytes, line.count, bytes, count);
}
