/* The layer between SQLite and the files of a database: see page_vfs.h.
 *
 * SQLite opens three kinds of files through this: the database, its log, and others (a rollback journal at a
 * database's very beginning, temporary ones).  The first two are page_file.c's; the others go straight to the
 * default VFS, as does whatever else SQLite asks a VFS.
 */
#include "page_vfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "page_file.h"
#include "page_log.h"
#include "page_side.h"
#include "scope.h"

static struct page_vfs *self_of(sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags, int *flags_out)
{
    struct page_vfs *self = self_of(vfs);
    if (flags_out)
        *flags_out = flags;
    if (path && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
        return page_file_open(self, path, (struct page_file *)file, flags);
    return self->below->xOpen(self->below, path, file, flags, flags_out);
}

/* SQLite knows the log by its name on the side that led when it was opened. */
static bool is_log(const struct page_vfs *self, const char *path)
{
    for (size_t side = 0; side < self->side_count; side++)
        if (self->paths[side] && strcmp(path, page_side_path(self, side, FILE_LOG)) == 0)
            return true;
    return false;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_folder)
{
    struct page_vfs *self = self_of(vfs);
    if (!is_log(self, path))
        return self->below->xDelete(self->below, path, sync_folder);
    int worst = SQLITE_OK;
    for (size_t side = 0; side < self->side_count; side++) {
        int result = page_side_in_use(self, side)
                         ? self->below->xDelete(self->below, page_side_path(self, side, FILE_LOG), sync_folder)
                         : SQLITE_OK;
        if (result != SQLITE_OK && result != SQLITE_IOERR_DELETE_NOENT)
            worst = result;
    }
    return worst;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *result)
{
    sqlite3_vfs *below = self_of(vfs)->below;
    return below->xAccess(below, path, flags, result);
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int room, char *out)
{
    sqlite3_vfs *below = self_of(vfs)->below;
    return below->xFullPathname(below, path, room, out);
}

static int vfs_randomness(sqlite3_vfs *vfs, int count, char *out)
{
    sqlite3_vfs *below = self_of(vfs)->below;
    return below->xRandomness(below, count, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    sqlite3_vfs *below = self_of(vfs)->below;
    return below->xSleep(below, microseconds);
}

static int vfs_time(sqlite3_vfs *vfs, double *julian_day)
{
    sqlite3_vfs *below = self_of(vfs)->below;
    return below->xCurrentTime(below, julian_day);
}

static int vfs_last_error(sqlite3_vfs *vfs, int room, char *out)
{
    sqlite3_vfs *below = self_of(vfs)->below;
    return below->xGetLastError(below, room, out);
}

static void fill_vfs(struct page_vfs *self)
{
    size_t room = sizeof(struct page_file);
    snprintf(self->name, sizeof self->name, "cytofs-%p", (void *)self);
    self->vfs = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = (int)room > self->below->szOsFile ? (int)room : self->below->szOsFile,
        .mxPathname = self->below->mxPathname,
        .zName = self->name,
        .pAppData = self,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
    };
}

enum code page_vfs_create(const char *path, struct mirror_set *mirrors, struct page_vfs **out, struct failure *why)
{
    *out = NULL;
    struct page_vfs *self = calloc(1, sizeof *self);
    if (!self)
        return failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
    for (size_t side = 0; side < MIRROR_SIDES_MAX; side++)
        self->log_fds[side] = -1;
    self->mirrors = mirrors;
    self->below = sqlite3_vfs_find(NULL);
    fill_vfs(self);
    enum code code = page_side_name_all(self, path, why);
    if (code == CODE_OK && sqlite3_vfs_register(&self->vfs, 0) != SQLITE_OK)
        code = failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
    if (code != CODE_OK)
        page_vfs_destroy(self);
    else
        *out = self;
    return code;
}

void page_vfs_destroy(struct page_vfs *self)
{
    if (!self)
        return;
    sqlite3_vfs_unregister(&self->vfs);
    for (size_t side = 0; side < MIRROR_SIDES_MAX; side++) {
        page_log_close(self, side);
        sqlite3_free_filename(self->paths[side]);
    }
    frame_sums_free(&self->frames);
    free(self);
}

const char *page_vfs_name(const struct page_vfs *self)
{
    return self->name;
}

bool page_vfs_is_summed(const struct page_vfs *self)
{
    return self->database && self->database->summed;
}

const char *page_vfs_damage(const struct page_vfs *self)
{
    return self->damage;
}

const char *page_vfs_log_path(const struct page_vfs *self)
{
    return page_side_path(self, page_side_first(self), FILE_LOG);
}

/* Raw pages
 * ----------------------------------------------------------------------------------------------------------------
 */

static sqlite3_file *raw_file(const struct page_vfs *self, size_t side)
{
    return self->database && side < MIRROR_SIDES_MAX && page_file_usable(self->database, side) ? self->database->files[side]
                                                                                               : NULL;
}

enum code page_vfs_read_raw(struct page_vfs *self, size_t side, uint64_t offset, void *bytes, size_t count, size_t *got,
                            struct failure *why)
{
    sqlite3_file *file = raw_file(self, side);
    sqlite3_int64 size = 0;
    int result = file ? file->pMethods->xFileSize(file, &size) : SQLITE_IOERR_READ;
    uint64_t left = result == SQLITE_OK && offset < (uint64_t)size ? (uint64_t)size - offset : 0;
    *got = left < count ? (size_t)left : count;
    if (result == SQLITE_OK && *got)
        result = file->pMethods->xRead(file, bytes, (int)*got, (sqlite3_int64)offset);
    if (result != SQLITE_OK)
        return failure_set(why, CODE_IO, "reading the catalog's file: %s", sqlite3_errstr(result));
    return CODE_OK;
}

enum code page_vfs_write_raw(struct page_vfs *self, size_t side, uint64_t offset, const void *bytes, size_t count,
                             struct failure *why)
{
    sqlite3_file *file = raw_file(self, side);
    int result = file ? file->pMethods->xWrite(file, bytes, (int)count, (sqlite3_int64)offset) : SQLITE_IOERR_WRITE;
    if (result == SQLITE_OK)
        result = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
    if (result != SQLITE_OK)
        return failure_set(why, CODE_IO, "mending the catalog's file: %s", sqlite3_errstr(result));
    return CODE_OK;
}

/* A side may come into the set after the database was opened, so its name is made here too. */
enum code page_vfs_attach(struct page_vfs *self, size_t side, struct failure *why)
{
    const char *base = file_base_name(self->paths[page_side_first(self)]);
    SCOPE_FREE char *path = file_join(mirror_set_path(self->mirrors, side), base);
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
    enum code code = self->paths[side] ? CODE_OK : page_side_name(self, side, path, why);
    if (code != CODE_OK)
        return code;
    page_log_close(self, side);
    struct page_file *const open_files[] = {self->database, self->log};
    for (size_t i = 0; i < sizeof open_files / sizeof *open_files; i++) {
        struct page_file *file = open_files[i];
        if (!file)
            continue;
        page_file_close_side(file, side);
        int result = page_file_open_side(file, side, page_side_path(self, side, file->kind));
        if (result == SQLITE_OK && file->kind == FILE_LOG && !page_log_open(self, side))
            result = SQLITE_CANTOPEN;
        for (int level = SQLITE_LOCK_SHARED; result == SQLITE_OK && level <= SQLITE_LOCK_EXCLUSIVE; level += level)
            result = file->files[side]->pMethods->xLock(file->files[side], level);
        if (result != SQLITE_OK)
            return failure_set(why, CODE_IO, "%s: cannot be opened: %s", path, sqlite3_errstr(result));
    }
    self->attached[side] = true;
    return CODE_OK;
}
