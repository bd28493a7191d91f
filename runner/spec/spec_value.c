/* Texts as values.  Strict: what a person would not read as this kind of value is none, so "0x10", "1_000",
 * "inf" and " 5" are refused.  Pure; any thread. */
#include "spec_value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DURATION_MAX_S INT64_C(1000000000)
#define SIZE_MAX_BYTES 0x1p60

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool spec_value_integer(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-' || *text == '+');
    if (!*digits || digits[strspn(digits, "0123456789")])
        return false;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno)
        return false;
    *out = value;
    return true;
}

bool spec_value_number(const char *text, double *out)
{
    if (!*text || text[strspn(text, "0123456789+-.eE")])
        return false;
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || !isfinite(value))
        return false;
    *out = value;
    return true;
}

bool spec_value_size(const char *text, uint64_t *out)
{
    static const char units[] = "kMGT";
    size_t digits = strspn(text, "0123456789.");
    char number[32];
    if (digits == 0 || digits >= sizeof number || !text[digits])
        return false;
    const char *unit = text[digits] == 'K' ? units : strchr(units, text[digits]);
    const char *rest = text + digits + 1;
    if (!unit || (*rest && strcmp(rest, "B") && strcmp(rest, "iB")))
        return false;
    memcpy(number, text, digits);
    number[digits] = 0;
    double value;
    if (!spec_value_number(number, &value))
        return false;
    value = ldexp(value, 10 * (int)(unit - units + 1));
    if (value > SIZE_MAX_BYTES)
        return false;
    *out = (uint64_t)value;
    return true;
}

bool spec_value_duration(const char *text, int64_t *seconds)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    size_t next_unit = 0; /* units must go down, so that "1m1h" is a slip */
    int64_t sum = 0;
    const char *at = text;
    while (*at) {
        if (!is_digit(*at))
            return false;
        int64_t value = 0;
        for (; is_digit(*at); at++) {
            value = value * 10 + (*at - '0');
            if (value > DURATION_MAX_S)
                return false;
        }
        while (next_unit < sizeof units / sizeof units[0] && units[next_unit].unit != *at)
            next_unit++;
        if (next_unit == sizeof units / sizeof units[0])
            return false;
        sum += value * units[next_unit++].seconds;
        at++;
    }
    if (at == text || sum > DURATION_MAX_S)
        return false;
    *seconds = sum;
    return true;
}

bool spec_value_is_name(const char *text, size_t max)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(text);
    return length > 0 && length <= max && text[0] != '.' && text[0] != '-' && strspn(text, allowed) == length;
}
