/* See seen_text.h.  A number that the catalog could not hold would make every store look older for ever. */
#include "seen_text.h"

#include <stdio.h>
#include <string.h>

#define HEAD   "cytofs seen 1 "
#define DIGITS 20

_Static_assert(sizeof HEAD - 1 + DIGITS + 1 == SEEN_TEXT_BYTES, "the line has a fixed length");

void seen_text_write(uint64_t commit, char text[SEEN_TEXT_BYTES + 1])
{
    snprintf(text, SEEN_TEXT_BYTES + 1, HEAD "%0*llu\n", DIGITS, (unsigned long long)commit);
}

uint64_t seen_text_read(const char *text)
{
    uint64_t number = 0;
    if (memcmp(text, HEAD, sizeof HEAD - 1) != 0 || text[SEEN_TEXT_BYTES - 1] != '\n')
        return 0;
    for (const char *digit = text + sizeof HEAD - 1; digit < text + SEEN_TEXT_BYTES - 1; digit++) {
        if (*digit < '0' || *digit > '9' || number > (INT64_MAX - 9) / 10)
            return 0;
        number = number * 10 + (uint64_t)(*digit - '0');
    }
    return number;
}
