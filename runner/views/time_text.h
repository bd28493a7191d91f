/* Moments and durations as people write them. */
#ifndef CYTOFS_TIME_TEXT_H
#define CYTOFS_TIME_TEXT_H

#include <stdint.h>

#define TIME_TEXT_MAX 40

/* "2026-11-22 17:49:14 UTC". */
void time_text_moment(int64_t ms, char text[TIME_TEXT_MAX]);

/* "2026-11-22T17:49:14.250Z" (ISO 8601). */
void time_text_iso(int64_t ms, char text[TIME_TEXT_MAX]);

/* "4.2 s", "3 min 05 s", "2 h 10 min", "4 d 3 h". */
void time_text_duration(double seconds, char text[TIME_TEXT_MAX]);

#endif
