/* Moments as a person writes them, in this machine's time zone: "2026-11-22", "2026-11-22T14:30", "2026-11-22T14:30:05". */
#ifndef CYTOFS_WHEN_H
#define CYTOFS_WHEN_H

#include <stdbool.h>
#include <stdint.h>

/* The last millisecond since 1970 that the text covers: of the day, the minute or the second; so "the last one at or before"
 * is what is not later than it.  False where the text is no such moment; a blank may stand for the T. */
bool when_parse(const char *text, int64_t *last_ms);

#define WHEN_TEXT_BYTES 32

/* "2026-11-22T14:30:05", in this machine's time zone. */
void when_print(int64_t ms, char text[WHEN_TEXT_BYTES]);

#endif
