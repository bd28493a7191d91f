/* The kept invitations: see invite_list.h. */
#include "invite_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "key_lines.h"

#define MAGIC "cytofs invites 1"

/* The next word of a line, without the blank behind it; false where it is empty or longer than max. */
static bool take_word(struct key_text *line, char *word, size_t max)
{
    size_t length = 0;
    while (length < line->count && line->bytes[length] != ' ')
        length++;
    if (length == 0 || length > max || memchr(line->bytes, 0, length))
        return false;
    memcpy(word, line->bytes, length);
    word[length] = 0;
    line->bytes += length;
    line->count -= length;
    return !line->count || key_lines_skip(line, " ");
}

static bool take_number(struct key_text *line, int64_t max, int64_t *out)
{
    char word[12];
    if (!take_word(line, word, 11) || strspn(word, "0123456789") != strlen(word) || (word[0] == '0' && word[1]))
        return false;
    *out = strtoll(word, NULL, 10);
    return *out <= max;
}

static bool take_hex(struct key_text *line, void *bytes, size_t count)
{
    char word[2 * INVITE_DIGEST_BYTES + 1];
    return take_word(line, word, 2 * count) && hex_decode(word, strlen(word), bytes, count) && strlen(word) == 2 * count;
}

static bool take_user(struct key_text *line, struct invite_entry *out)
{
    if (key_lines_skip(line, "- "))
        return true;
    out->used = take_hex(line, out->used_by.bytes, IDENTITY_BYTES);
    return out->used;
}

static bool take_entry(struct key_text line, struct invite_entry *out)
{
    char role[16];
    int64_t tries = 0;
    *out = (struct invite_entry){0};
    bool fine = key_lines_skip(&line, "invite ") && take_hex(&line, out->digest, sizeof out->digest) &&
                take_number(&line, INT64_C(99999999999), &out->expires_s) && take_number(&line, INVITE_TRIES_MAX, &tries) &&
                take_word(&line, role, sizeof role - 1) &&
                member_role_parse(role, strlen(role), &out->role, NULL) == CODE_OK && take_user(&line, out) &&
                take_word(&line, out->by, MEMBER_NAME_MAX) && take_word(&line, out->name, MEMBER_NAME_MAX) &&
                line.count == 0;
    out->tries = (unsigned)tries;
    return fine;
}

enum code invite_list_parse(const void *text, size_t count, struct invite_list *out, struct failure *why)
{
    struct key_lines lines = {.at = text, .end = (const char *)text + count};
    struct key_text line;
    out->count = 0;
    bool fine = key_lines_take(&lines, &line) && key_lines_skip(&line, MAGIC) && line.count == 0;
    while (fine && lines.at != lines.end && out->count < INVITES_MAX)
        fine = key_lines_take(&lines, &line) && take_entry(line, &out->entries[out->count++]);
    if (fine && lines.at == lines.end)
        return CODE_OK;
    out->count = 0;
    return failure_set(why, CODE_CORRUPT, "the list of invitations is damaged in line %u", lines.line);
}

void invite_list_print(const struct invite_list *list, struct buffer *out)
{
    buffer_append_text(out, MAGIC "\n");
    for (size_t i = 0; i < list->count; i++) {
        const struct invite_entry *entry = &list->entries[i];
        char digest[HEX_TEXT_BYTES(INVITE_DIGEST_BYTES)], user[HEX_TEXT_BYTES(IDENTITY_BYTES)] = "-";
        hex_encode(entry->digest, sizeof entry->digest, digest);
        if (entry->used)
            hex_encode(entry->used_by.bytes, IDENTITY_BYTES, user);
        buffer_printf(out, "invite %s %" PRId64 " %u %s %s %s %s\n", digest, entry->expires_s, entry->tries,
                      member_role_name(entry->role), user, entry->by, entry->name);
    }
}

struct invite_entry *invite_list_find(struct invite_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->entries[i].name, name) == 0)
            return &list->entries[i];
    return NULL;
}

enum code invite_list_add(struct invite_list *list, const struct invite_entry *entry, struct failure *why)
{
    invite_list_remove(list, entry->name);
    if (list->count == INVITES_MAX)
        return failure_set(why, CODE_TOO_LARGE, "%d invitations are open: withdraw some (rm lab/members/NAME)", INVITES_MAX);
    list->entries[list->count++] = *entry;
    return CODE_OK;
}

void invite_list_remove(struct invite_list *list, const char *name)
{
    struct invite_entry *entry = invite_list_find(list, name);
    if (entry)
        *entry = list->entries[--list->count];
}

bool invite_list_expire(struct invite_list *list, int64_t now_s)
{
    size_t before = list->count;
    for (size_t i = list->count; i-- > 0;)
        if (list->entries[i].expires_s <= now_s || list->entries[i].tries >= INVITE_TRIES_MAX)
            list->entries[i] = list->entries[--list->count];
    return list->count != before;
}
