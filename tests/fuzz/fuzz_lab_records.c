/* Small texts that a lab and its members keep: the quotas, lab/users, the commit that was seen last.  The first byte says
 * which.  What is taken is written again, and read again as the same. */
#include "fuzzing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "quota_list.h"
#include "seen_text.h"
#include "users_list.h"

enum parser { QUOTAS, USERS, SEEN, PARSERS };

static void take_quotas(const char *text, size_t count)
{
    static struct quota_list list, same;
    struct failure why;
    enum code code = quota_list_parse(text, count, &list, &why);
    assert(code == CODE_OK || code == CODE_CORRUPT || code == CODE_NEWER_FORMAT);
    if (code != CODE_OK) {
        assert(why.text[0]);
        return;
    }
    SCOPE_BUFFER again = {0};
    quota_list_print(&list, &again);
    code = quota_list_parse(again.data, again.length, &same, &why);
    assert(code == CODE_OK && same.count == list.count && list.count <= QUOTA_LIST_MAX);
    for (size_t i = 0; i < list.count; i++) {
        const struct quota_entry *one = &list.entries[i], *other = &same.entries[i];
        assert(strcmp(one->name, other->name) == 0 && memcmp(&one->quota, &other->quota, sizeof one->quota) == 0);
        for (int kind = 0; kind < QUOTA_KINDS; kind++)
            assert(one->quota.most[kind] <= QUOTA_MOST || one->quota.most[kind] >= QUOTA_UNLIMITED);
    }
}

/* Each user's entry is changed as it is: the list that comes of it says the same of him, once, at its end. */
static void take_users(const char *text, size_t count)
{
    struct users_line line, last;
    const char *end = text + count;
    int lines = 0;
    for (const char *at = text; lines < 4 && users_list_next(&at, end, &line); lines++) {
        assert(line.text >= text && line.text + line.length <= end && at <= end && !memchr(line.text, '\n', line.length));
        if (!line.is_entry)
            continue;
        SCOPE_BUFFER after = {0};
        users_list_change(text, count, &line.entry, &after);
        int found = 0;
        bool is_last = false;
        for (const char *next = buffer_text(&after); users_list_next(&next, buffer_text(&after) + after.length, &last);) {
            assert(last.is_entry);
            is_last = strcmp(last.entry.user, line.entry.user) == 0;
            found += is_last;
        }
        bool taken_out = strcmp(line.entry.member, USERS_LIST_NOBODY) == 0;
        assert(found == !taken_out && (taken_out || (is_last && strcmp(last.entry.member, line.entry.member) == 0)));
    }
}

static void take_seen(const char *text, size_t count)
{
    char again[SEEN_TEXT_BYTES + 1];
    if (count < SEEN_TEXT_BYTES)
        return;
    uint64_t number = seen_text_read(text);
    assert(number <= INT64_MAX);
    seen_text_write(number, again);
    assert(number == 0 || memcmp(again, text, SEEN_TEXT_BYTES) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count == 0)
        return 0;
    char *text = malloc(count); /* of its own size, so that the address sanitizer sees one byte too many */
    assert(text);
    memcpy(text, data + 1, count - 1);
    if (data[0] % PARSERS == QUOTAS)
        take_quotas(text, count - 1);
    else if (data[0] % PARSERS == USERS)
        take_users(text, count - 1);
    else
        take_seen(text, count - 1);
    free(text);
    return 0;
}

static void write_quotas(struct buffer *out)
{
    static struct quota_list list;
    struct failure why;
    const struct {
        const char *name, *words;
    } quotas[] = {{QUOTA_EVERYONE, "storage=200G gpus=1"}, {"ada", "storage=none jobs=4"}, {"bob", "cpus=0"}};
    for (size_t i = 0; i < sizeof quotas / sizeof *quotas; i++) {
        struct quota quota = quota_unset;
        enum code code = quota_change(&quota, quotas[i].words, strlen(quotas[i].words), &why);
        if (code == CODE_OK)
            code = quota_list_put(&list, quotas[i].name, &quota, &why);
        assert(code == CODE_OK);
    }
    quota_list_print(&list, out);
}

static void write_users(struct buffer *out)
{
    static const struct users_entry entries[] = {{"alice", "ada"}, {"1000", "bob"}};
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        SCOPE_BUFFER before = {0};
        buffer_append(&before, out->data + 1, out->length - 1);
        out->length = 1;
        users_list_change(buffer_text(&before), before.length, &entries[i], out);
    }
}

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    struct buffer out = {0};
    const uint8_t parser = (uint8_t)index;
    char seen[SEEN_TEXT_BYTES + 1];
    if (index >= PARSERS)
        return NULL;
    buffer_append(&out, &parser, 1);
    if (index == QUOTAS)
        write_quotas(&out);
    else if (index == USERS)
        write_users(&out);
    else
        seen_text_write(1234567, seen), buffer_append_text(&out, seen);
    *count = out.length;
    return (uint8_t *)out.data;
}
