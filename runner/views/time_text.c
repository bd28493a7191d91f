/* See time_text.h.  Everything is UTC: a lab's members sit in different places.  Pure; any thread. */
#include "time_text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MS_MAX INT64_C(253402300799000) /* the end of the year 9999 */

static void break_down(int64_t ms, struct tm *parts)
{
    int64_t bounded = ms < 0 ? 0 : ms > MS_MAX ? MS_MAX : ms;
    time_t seconds = (time_t)(bounded / 1000);
    gmtime_r(&seconds, parts);
}

void time_text_moment(int64_t ms, char text[TIME_TEXT_MAX])
{
    struct tm parts;
    break_down(ms, &parts);
    strftime(text, TIME_TEXT_MAX, "%Y-%m-%d %H:%M:%S UTC", &parts);
}

void time_text_iso(int64_t ms, char text[TIME_TEXT_MAX])
{
    struct tm parts;
    break_down(ms, &parts);
    size_t used = strftime(text, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + used, TIME_TEXT_MAX - used, ".%03dZ", ms < 0 || ms > MS_MAX ? 0 : (int)(ms % 1000));
}

void time_text_duration(double seconds, char text[TIME_TEXT_MAX])
{
    if (!(seconds >= 0))
        seconds = 0;
    long whole = seconds < 1e10 ? (long)(seconds + 0.5) : 0;
    if (seconds < 59.95)
        snprintf(text, TIME_TEXT_MAX, "%.1f s", seconds);
    else if (seconds < 3599.5)
        snprintf(text, TIME_TEXT_MAX, "%ld min %02ld s", whole / 60, whole % 60);
    else if (seconds < 86399.5)
        snprintf(text, TIME_TEXT_MAX, "%ld h %02ld min", whole / 3600, whole / 60 % 60);
    else if (seconds < 86400e4)
        snprintf(text, TIME_TEXT_MAX, "%ld d %ld h", whole / 86400, whole / 3600 % 24);
    else
        snprintf(text, TIME_TEXT_MAX, "more than 10000 d");
}
