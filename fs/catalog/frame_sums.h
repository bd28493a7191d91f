/* Checksums of the pages in the frames of a log, remembered from when they were written or recovered: SQLite
 * looks at its own only when it recovers a log. */
#ifndef CYTOFS_FRAME_SUMS_H
#define CYTOFS_FRAME_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* sums[k] is 0 or that of the page in frame k (from 0).  Zeroed it remembers nothing. */
struct frame_sums {
    uint64_t *sums;
    size_t count, room;
};

/* page has PAGE_SUM_PAGE_BYTES.  What cannot be remembered, without memory or beyond 16 GiB of log, is not
 * checked. */
void frame_sums_remember(struct frame_sums *frames, size_t frame, const void *page);
bool frame_sums_check(const struct frame_sums *frames, size_t frame, const void *page);

/* The log begins anew. */
void frame_sums_forget(struct frame_sums *frames);

void frame_sums_free(struct frame_sums *frames);

#endif
