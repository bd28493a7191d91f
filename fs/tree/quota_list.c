/* The list of quotas: see quota_list.h.  It is sealed with the lab's key and proved, so whoever can write it is a member;
 * what is read is checked all the same. */
#include "quota_list.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define HEADER   "cytofs quotas 1\n"
#define LINE_MAX 256

static enum code damaged(struct failure *why)
{
    return failure_set(why, CODE_CORRUPT, "the list of quotas is damaged");
}

/* A number, "-" or "none"; moves *at behind the blank that follows. */
static bool take_number(const char **at, uint64_t *out)
{
    char text[24];
    size_t length = strcspn(*at, " ");
    if (length == 0 || length >= sizeof text || (*at)[length] != ' ')
        return false;
    memcpy(text, *at, length);
    text[length] = 0;
    *at += length + 1;
    if (strcmp(text, "-") == 0) {
        *out = QUOTA_UNSET;
        return true;
    }
    if (strcmp(text, "none") == 0) {
        *out = QUOTA_UNLIMITED;
        return true;
    }
    *out = 0;
    for (const char *digit = text; *digit; digit++) {
        if (*digit < '0' || *digit > '9' || *out > (QUOTA_MOST - 9) / 10)
            return false;
        *out = *out * 10 + (uint64_t)(*digit - '0');
    }
    return true;
}

static bool parse_line(const char *line, struct quota_entry *out)
{
    if (strncmp(line, "quota ", 6) != 0)
        return false;
    const char *at = line + 6;
    for (int kind = 0; kind < QUOTA_KINDS; kind++)
        if (!take_number(&at, &out->quota.most[kind]))
            return false;
    size_t length = strlen(at);
    if (length == 0 || length > MEMBER_NAME_MAX || strcspn(at, " /") != length)
        return false;
    memcpy(out->name, at, length + 1);
    return true;
}

enum code quota_list_parse(const char *text, size_t count, struct quota_list *out, struct failure *why)
{
    const size_t header = sizeof HEADER - 1;
    const char *at = text, *end = text + count;
    out->count = 0;
    if (count < header || memcmp(text, HEADER, header) != 0) {
        if (count > 14 && memcmp(text, HEADER, 14) == 0 && text[14] != HEADER[14])
            return failure_set(why, CODE_NEWER_FORMAT, "the list of quotas was written by a newer version of cytofs");
        return damaged(why);
    }
    for (at += header; at < end;) {
        char line[LINE_MAX];
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop || (size_t)(stop - at) >= sizeof line || memchr(at, 0, (size_t)(stop - at)) ||
            out->count == QUOTA_LIST_MAX)
            return damaged(why);
        memcpy(line, at, (size_t)(stop - at));
        line[stop - at] = 0;
        if (!parse_line(line, &out->entries[out->count]))
            return damaged(why);
        out->count++;
        at = stop + 1;
    }
    return CODE_OK;
}

void quota_list_print(const struct quota_list *list, struct buffer *out)
{
    buffer_append_text(out, HEADER);
    for (size_t i = 0; i < list->count; i++) {
        buffer_append_text(out, "quota ");
        for (int kind = 0; kind < QUOTA_KINDS; kind++) {
            uint64_t most = list->entries[i].quota.most[kind];
            if (most <= QUOTA_MOST)
                buffer_printf(out, "%" PRIu64 " ", most);
            else
                buffer_append_text(out, most == QUOTA_UNSET ? "- " : "none ");
        }
        buffer_printf(out, "%s\n", list->entries[i].name);
    }
}

static size_t find(const struct quota_list *list, const char *name)
{
    size_t i = 0;
    while (i < list->count && strcmp(list->entries[i].name, name) != 0)
        i++;
    return i;
}

struct quota quota_list_get(const struct quota_list *list, const char *name)
{
    size_t i = find(list, name);
    return i < list->count ? list->entries[i].quota : quota_unset;
}

static bool says_nothing(const struct quota *quota)
{
    return memcmp(quota, &quota_unset, sizeof *quota) == 0;
}

enum code quota_list_put(struct quota_list *list, const char *name, const struct quota *quota, struct failure *why)
{
    size_t i = find(list, name);
    if (says_nothing(quota)) {
        if (i < list->count)
            list->entries[i] = list->entries[--list->count];
        return CODE_OK;
    }
    if (i == QUOTA_LIST_MAX)
        return failure_set(why, CODE_TOO_LARGE, "at most %d members can have quotas", QUOTA_LIST_MAX);
    if (i == list->count)
        list->count++;
    snprintf(list->entries[i].name, sizeof list->entries[i].name, "%s", name);
    list->entries[i].quota = *quota;
    return CODE_OK;
}
