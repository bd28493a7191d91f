/* The log's files from outside of SQLite: made durable, and given room on the disk ahead of what is written. */
#ifndef CYTOFS_PAGE_LOG_H
#define CYTOFS_PAGE_LOG_H

#include "page_vfs_internal.h"

/* After SQLite has opened a side's log.  False where that cannot be opened once more. */
bool page_log_open(struct page_vfs *self, size_t side);

void page_log_close(struct page_vfs *self, size_t side);

#endif
