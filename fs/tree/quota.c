/* Quotas: see quota.h.  A change is made on a copy, so that a line with a mistake in it changes nothing. */
#include "quota.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 64

const struct quota quota_unset = {{QUOTA_UNSET, QUOTA_UNSET, QUOTA_UNSET, QUOTA_UNSET}};

static const char *const names[QUOTA_KINDS] = {
    [QUOTA_STORAGE] = "storage", [QUOTA_JOBS] = "jobs", [QUOTA_GPUS] = "gpus", [QUOTA_CPUS] = "cpus"};

const char *quota_kind_name(enum quota_kind kind)
{
    return names[kind];
}

/* Digits, and for bytes one of K, M, G, T behind them. */
static bool parse_number(const char *text, bool bytes, uint64_t *out)
{
    static const char units[] = "KMGT";
    uint64_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (number > (QUOTA_MOST - 9) / 10)
            return false;
        number = number * 10 + (uint64_t)(*at - '0');
    }
    if (at == text)
        return false;
    const char *unit = *at && bytes ? strchr(units, *at) : NULL;
    for (const char *step = units; unit && step <= unit; step++) {
        if (number > QUOTA_MOST / 1024)
            return false;
        number *= 1024;
    }
    *out = number;
    return unit ? !at[1] : !*at;
}

static bool parse_value(const char *text, enum quota_kind kind, uint64_t *out)
{
    if (strcmp(text, "none") == 0)
        *out = QUOTA_UNLIMITED;
    else if (strcmp(text, "default") == 0)
        *out = QUOTA_UNSET;
    else
        return parse_number(text, kind == QUOTA_STORAGE, out);
    return true;
}

static bool change_one(struct quota *quota, char *word)
{
    char *value = strchr(word, '=');
    if (!value)
        return false;
    *value++ = 0;
    for (int kind = 0; kind < QUOTA_KINDS; kind++)
        if (strcmp(word, names[kind]) == 0)
            return parse_value(value, (enum quota_kind)kind, &quota->most[kind]);
    return false;
}

enum code quota_change(struct quota *quota, const char *text, size_t count, struct failure *why)
{
    struct quota changed = *quota;
    size_t at = 0;
    while (at < count) {
        char word[WORD_MAX + 1];
        size_t length = 0;
        while (at < count && strchr(" \t\r\n", text[at]))
            at++;
        while (at + length < count && !strchr(" \t\r\n", text[at + length]))
            length++;
        if (length == 0)
            break;
        snprintf(word, sizeof word, "%.*s", length > WORD_MAX ? WORD_MAX : (int)length, text + at);
        if (length > WORD_MAX || memchr(text + at, 0, length) || !change_one(&changed, word))
            return failure_set(
                why, CODE_INVALID,
                "\"%.*s\" is not understood: write words like storage=100G jobs=4 gpus=1 cpus=8, with none for no "
                "limit, default for what everyone has",
                length > WORD_MAX ? WORD_MAX : (int)length, text + at);
        at += length;
    }
    *quota = changed;
    return CODE_OK;
}

struct quota quota_effective(const struct quota *own, const struct quota *everyone)
{
    struct quota quota;
    for (int kind = 0; kind < QUOTA_KINDS; kind++) {
        uint64_t most = own->most[kind] != QUOTA_UNSET ? own->most[kind] : everyone->most[kind];
        quota.most[kind] = most == QUOTA_UNSET ? QUOTA_UNLIMITED : most;
    }
    return quota;
}

void quota_print_bytes(uint64_t bytes, char text[QUOTA_TEXT_MAX])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double number = (double)bytes;
    size_t unit = 0;
    for (; number >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        number /= 1024;
    if (unit)
        snprintf(text, QUOTA_TEXT_MAX, "%.1f %s", number, units[unit]);
    else
        snprintf(text, QUOTA_TEXT_MAX, "%" PRIu64 " bytes", bytes);
}

void quota_print_most(enum quota_kind kind, uint64_t most, struct buffer *out)
{
    char text[QUOTA_TEXT_MAX];
    if (most > QUOTA_MOST) {
        buffer_append_text(out, "no limit");
    } else if (kind == QUOTA_STORAGE) {
        quota_print_bytes(most, text);
        buffer_append_text(out, text);
    } else {
        buffer_printf(out, "%" PRIu64, most);
    }
}
