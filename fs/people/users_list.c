/* The list of users: see users_list.h.  It is kept as it is written: who may write it is an admin, and what is read is
 * checked all the same. */
#include "users_list.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    return at;
}

/* One word from the front of the line into `word`, of up to `max` bytes; NULL where there is none, or it is longer. */
static const char *take_word(const char *at, const char *end, char *word, size_t max)
{
    at = skip_blanks(at, end);
    size_t length = 0;
    for (; at < end && !is_blank(*at); at++) {
        if (length == max || (unsigned char)*at < ' ' || *at == 0x7f)
            return NULL;
        word[length++] = *at;
    }
    word[length] = 0;
    return length ? at : NULL;
}

static bool parse(const char *line, size_t length, struct users_entry *out)
{
    const char *end = line + length, *at = take_word(line, end, out->user, USERS_LIST_USER_MAX);
    at = at ? take_word(at, end, out->member, MEMBER_NAME_MAX) : NULL;
    return at && skip_blanks(at, end) == end;
}

bool users_list_next(const char **at, const char *end, struct users_line *out)
{
    if (*at >= end)
        return false;
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    *out = (struct users_line){.text = *at, .length = (size_t)((stop ? stop : end) - *at)};
    out->is_entry = parse(out->text, out->length, &out->entry);
    *at = stop ? stop + 1 : end;
    return true;
}

void users_list_change(const char *before, size_t count, const struct users_entry *entry, struct buffer *after)
{
    struct users_line line;
    for (const char *at = before; users_list_next(&at, before + count, &line);)
        if (line.is_entry && strcmp(line.entry.user, entry->user) != 0)
            buffer_printf(after, "%s %s\n", line.entry.user, line.entry.member);
    if (strcmp(entry->member, USERS_LIST_NOBODY) != 0)
        buffer_printf(after, "%s %s\n", entry->user, entry->member);
}
