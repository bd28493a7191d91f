/* Dates and times: see when.h.  Parsed by hand: strptime takes more than is written down there. */
#include "when.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define YEAR_MIN 1970
#define YEAR_MAX 9999

/* `digits` decimal digits at *at, which is moved on. */
static bool take(const char **at, int digits, int min, int max, int *out)
{
    int value = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        value = value * 10 + (**at - '0');
    }
    *out = value;
    return value >= min && value <= max;
}

static bool take_sign(const char **at, const char *signs)
{
    if (!**at || !strchr(signs, **at))
        return false;
    (*at)++;
    return true;
}

bool when_parse(const char *text, int64_t *last_ms)
{
    struct tm parts = {.tm_isdst = -1};
    int year, month, length_s = 24 * 60 * 60;
    if (!take(&text, 4, YEAR_MIN, YEAR_MAX, &year) || !take_sign(&text, "-") || !take(&text, 2, 1, 12, &month) ||
        !take_sign(&text, "-") || !take(&text, 2, 1, 31, &parts.tm_mday))
        return false;
    parts.tm_year = year - 1900;
    parts.tm_mon = month - 1;
    if (*text) {
        if (!take_sign(&text, "T ") || !take(&text, 2, 0, 23, &parts.tm_hour) || !take_sign(&text, ":") ||
            !take(&text, 2, 0, 59, &parts.tm_min))
            return false;
        length_s = 60;
    }
    if (*text) {
        if (!take_sign(&text, ":") || !take(&text, 2, 0, 60, &parts.tm_sec) || *text)
            return false;
        length_s = 1;
    }
    struct tm next = parts;
    int day = parts.tm_mday;
    if (mktime(&parts) == (time_t)-1 || parts.tm_mday != day)
        return false; /* 2026-02-30 */
    /* A day has 23 or 25 hours now and then: its end is the beginning of the next. */
    if (length_s > 60)
        next.tm_mday++;
    else
        next.tm_sec += length_s;
    *last_ms = (int64_t)mktime(&next) * 1000 - 1;
    return true;
}

void when_print(int64_t ms, char text[WHEN_TEXT_BYTES])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (!localtime_r(&seconds, &parts) || strftime(text, WHEN_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
        snprintf(text, WHEN_TEXT_BYTES, "%lld s", (long long)seconds);
}
