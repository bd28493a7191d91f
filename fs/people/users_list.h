/* The list of the server machine's users as text: a line each, `USER MEMBER`, USER being a login name or a number.  Pure. */
#ifndef CYTOFS_USERS_LIST_H
#define CYTOFS_USERS_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "buffer.h"
#include "member_card.h"

#define USERS_LIST_MAX      65536 /* bytes */
#define USERS_LIST_USER_MAX 64
#define USERS_LIST_NOBODY   "-" /* for a member: the user is taken out */

struct users_entry {
    char user[USERS_LIST_USER_MAX + 1], member[MEMBER_NAME_MAX + 1]; /* no blanks and nothing unprintable in either */
};

struct users_line {
    const char *text;
    size_t length; /* without its end */
    bool is_entry; /* `entry` holds what it says */
    struct users_entry entry;
};

/* The line at *at, which moves behind it; false at the end. */
bool users_list_next(const char **at, const char *end, struct users_line *out);

/* Appends the list without the user's line, lines that are no entries left out, and with the new one. */
void users_list_change(const char *before, size_t count, const struct users_entry *entry, struct buffer *after);

#endif
