/* What page_vfs.c, page_side.c and page_file.c share: the layer between SQLite and the files of one database.
 *
 * Sides.  files[i] of a page_file is the file on side i of the mirror set, NULL where it is not in use.
 *
 * Threads: everything under the catalog's mutex, but page_vfs_sync_log, which reads log_fds and touches log_named and the
 * sides' states only.
 */
#ifndef CYTOFS_PAGE_VFS_INTERNAL_H
#define CYTOFS_PAGE_VFS_INTERNAL_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "frame_sums.h"
#include "mirror_set.h"
#include "page_sum.h"
#include "page_vfs.h"

#define PAGE_BYTES          PAGE_SUM_PAGE_BYTES
#define PAGE_VFS_DAMAGE_MAX 320

enum page_file_kind { FILE_DATABASE, FILE_LOG };

struct page_file {
    sqlite3_file base;
    struct page_vfs *vfs;
    enum page_file_kind kind;
    bool summed;
    int flags;                             /* as it was opened */
    sqlite3_file *files[MIRROR_SIDES_MAX]; /* heap objects of the VFS below */
};

struct page_vfs {
    sqlite3_vfs vfs; /* registered; its pAppData is this */
    sqlite3_vfs *below;
    char name[48];
    struct mirror_set *mirrors; /* NULL: one side, always current */
    size_t side_count;
    sqlite3_filename paths[MIRROR_SIDES_MAX]; /* of the database file */
    atomic_bool attached[MIRROR_SIDES_MAX];
    struct page_file *database, *log;    /* while open */
    int log_fds[MIRROR_SIDES_MAX];       /* of our own (page_log.c); -1 */
    bool log_named[MIRROR_SIDES_MAX];    /* the log's name is durable */
    uint64_t log_room[MIRROR_SIDES_MAX]; /* the log's blocks are taken up to here */
    bool log_tight[MIRROR_SIDES_MAX];    /* and the disk had no more of them */
    struct frame_sums frames;
    char damage[PAGE_VFS_DAMAGE_MAX];
};

#endif
