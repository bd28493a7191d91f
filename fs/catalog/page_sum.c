/* XXH3-64 of a page without its last eight bytes, seeded with the page's number, in those bytes (little-endian).  The number
 * makes a page valid at its own place only: one that a disk wrote somewhere else is found too.  Pure functions. */
#include "page_sum.h"

#include <string.h>

#include "bytes.h"
#include "checksum.h"

/* SQLite's header of a database, at the beginning of page 1 (numbers are big-endian). */
#define HEADER_MAGIC       "SQLite format 3"
#define HEADER_RESERVED_AT 20 /* bytes left free at the end of each page */
#define HEADER_VERSION_AT  60 /* user_version: the catalog's format */
#define OLDER_FORMAT_MAX   1  /* the last format that had no checksums */

#define SUM_AT (PAGE_SUM_PAGE_BYTES - PAGE_SUM_BYTES)

void page_sum_write(uint8_t page[PAGE_SUM_PAGE_BYTES], uint64_t number)
{
    bytes_store64(page + SUM_AT, checksum_64(page, SUM_AT, number));
}

bool page_sum_is_blank(const uint8_t page[PAGE_SUM_PAGE_BYTES])
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE_SUM_PAGE_BYTES - 1) == 0;
}

bool page_sum_check(const uint8_t page[PAGE_SUM_PAGE_BYTES], uint64_t number)
{
    return bytes_load64(page + SUM_AT) == checksum_64(page, SUM_AT, number) || page_sum_is_blank(page) ||
           number == PAGE_SUM_UNUSED_PAGE;
}

bool page_sum_has_room(const uint8_t first_page[PAGE_SUM_PAGE_BYTES])
{
    return first_page[HEADER_RESERVED_AT] >= PAGE_SUM_BYTES;
}

bool page_sum_is_older(const uint8_t first_page[PAGE_SUM_PAGE_BYTES])
{
    const uint8_t *version = first_page + HEADER_VERSION_AT;
    return memcmp(first_page, HEADER_MAGIC, sizeof HEADER_MAGIC) == 0 && first_page[HEADER_RESERVED_AT] == 0 &&
           version[0] == 0 && version[1] == 0 && version[2] == 0 && version[3] <= OLDER_FORMAT_MAX &&
           !page_sum_check(first_page, 1);
}
