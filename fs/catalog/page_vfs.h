/* Inside fs/catalog: how the catalog's database reaches its files.
 *
 * A layer over SQLite's default VFS, one for each open database.  It puts a checksum into each page of the database file and
 * checks it at each read; it remembers a checksum of each frame of the log that it wrote; and where the store has mirrors it
 * writes file and log to all of them, reads the first, and where that is damaged takes and mends it from another one.
 */
#ifndef CYTOFS_PAGE_VFS_H
#define CYTOFS_PAGE_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

struct page_vfs;
struct mirror_set;

/* For the database file at `path`.  mirrors: NULL, or the folders that hold it under the same base name; the current ones
 * are used from the beginning. */
MUST_CHECK enum code page_vfs_create(const char *path, struct mirror_set *mirrors, struct page_vfs **out,
                                     struct failure *why);

/* After the database was closed.  NULL is fine. */
void page_vfs_destroy(struct page_vfs *vfs);

/* Its name among SQLite's. */
const char *page_vfs_name(const struct page_vfs *vfs);

/* Whether the database, which is open, carries checksums. */
bool page_vfs_is_summed(const struct page_vfs *vfs);

/* The damage that a read met last, in words; "" where there was none. */
const char *page_vfs_damage(const struct page_vfs *vfs);

/* Makes the log durable on all sides in use.  Beside everything else, but not beside itself. */
MUST_CHECK enum code page_vfs_sync_log(struct page_vfs *vfs, struct failure *why);

/* Takes blocks of the disk for so many bytes behind the log's end, so that writing them meets no full disk.  CODE_NO_SPACE:
 * there are not as many; nothing has happened. */
MUST_CHECK enum code page_vfs_reserve_log(struct page_vfs *vfs, uint64_t bytes, struct failure *why);

/* Whether there was hardly room when blocks were taken last: what is left should be kept for changes that make room. */
bool page_vfs_log_is_tight(const struct page_vfs *vfs);

/* The log's path on the first side in use. */
const char *page_vfs_log_path(const struct page_vfs *vfs);

/* Reads whole pages of the database file on one side as they are, checked or not; *got is less at the file's end only. */
MUST_CHECK enum code page_vfs_read_raw(struct page_vfs *vfs, size_t side, uint64_t offset, void *bytes, size_t count,
                                       size_t *got, struct failure *why);

/* Writes whole pages there, as they are: to mend them. */
MUST_CHECK enum code page_vfs_write_raw(struct page_vfs *vfs, size_t side, uint64_t offset, const void *bytes, size_t count,
                                        struct failure *why);

/* From now on the files of this side, which equal those of the others (catalog_pages.h makes them so), are written too.
 * Nothing else uses the database meanwhile. */
MUST_CHECK enum code page_vfs_attach(struct page_vfs *vfs, size_t side, struct failure *why);

#endif
