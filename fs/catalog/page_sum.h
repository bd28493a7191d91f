/* The checksum that each page of catalog.db carries in its last bytes.  FORMAT.md draws it. */
#ifndef CYTOFS_PAGE_SUM_H
#define CYTOFS_PAGE_SUM_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_SUM_PAGE_BYTES 4096
#define PAGE_SUM_BYTES      8 /* at the page's end; SQLite leaves them alone (reserved bytes) */

/* The page that SQLite never uses: the one that holds the byte at 1 GiB, which its locks are taken on. */
#define PAGE_SUM_UNUSED_PAGE ((UINT64_C(1) << 30) / PAGE_SUM_PAGE_BYTES + 1)

/* Pages are numbered from 1. */
void page_sum_write(uint8_t page[PAGE_SUM_PAGE_BYTES], uint64_t number);

/* Whether the page is as it was written.  One that is all zeros was never written: SQLite grows a file over pages that it
 * has no use for yet. */
bool page_sum_check(const uint8_t page[PAGE_SUM_PAGE_BYTES], uint64_t number);

bool page_sum_is_blank(const uint8_t page[PAGE_SUM_PAGE_BYTES]);

/* Whether the pages of a database whose first page this is leave room for checksums. */
bool page_sum_has_room(const uint8_t first_page[PAGE_SUM_PAGE_BYTES]);

/* Whether a database whose first page this is was made before pages had checksums.  A damaged page of a newer one is never
 * taken for that: it needs more than one flipped bit. */
bool page_sum_is_older(const uint8_t first_page[PAGE_SUM_PAGE_BYTES]);

#endif
