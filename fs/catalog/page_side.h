/* Inside fs/catalog: the sides of a database, that is its files in the folders of the mirror set. */
#ifndef CYTOFS_PAGE_SIDE_H
#define CYTOFS_PAGE_SIDE_H

#include "page_vfs_internal.h"

bool page_side_in_use(const struct page_vfs *self, size_t side);

/* The first one in use, else 0. */
size_t page_side_first(const struct page_vfs *self);

/* A side failed a moment ago, with that result of SQLite's and, in errno, the system's, while `doing` ("writing") it.
 * Whether the others can go on without it. */
bool page_side_lose(struct page_vfs *self, size_t side, const char *doing, int result);

/* Makes the names of one side's files, of which `path` is the database's. */
MUST_CHECK enum code page_side_name(struct page_vfs *self, size_t side, const char *path, struct failure *why);

/* The same for all sides: `path` itself, or its base name in the folders of the mirrors; those that are
 * current are in use. */
MUST_CHECK enum code page_side_name_all(struct page_vfs *self, const char *path, struct failure *why);

const char *page_side_path(const struct page_vfs *self, size_t side, enum page_file_kind kind);

#endif
