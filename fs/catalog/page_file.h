/* Inside fs/catalog: the database file and its log as SQLite sees them, one object for the files on all
 * sides. */
#ifndef CYTOFS_PAGE_FILE_H
#define CYTOFS_PAGE_FILE_H

#include "page_vfs_internal.h"

/* Opens the database or the log (SQLITE_OPEN_WAL) at `path`, on all sides where it is the one of this VFS;
 * fills in *file. */
int page_file_open(struct page_vfs *self, sqlite3_filename path, struct page_file *file, int flags);

/* Whether it is open on that side, and the side in use. */
bool page_file_usable(const struct page_file *file, size_t side);

/* One side of an open one. */
int page_file_open_side(struct page_file *file, size_t side, const char *path);
void page_file_close_side(struct page_file *file, size_t side);

#endif
