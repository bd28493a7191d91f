/* Checksums and mirrors under SQLite: see page_vfs.h.
 *
 * SQLite opens three kinds of files through this: the database, its log, and others (a rollback journal at a database's
 * very beginning, temporary ones).  The others go straight to the default VFS.
 *
 *     database   whole pages: the checksum of page_sum.h is put in on the way down and checked on the way up.  The first
 *                bytes, which SQLite reads by themselves at opening, may come from a page that a crash tore in the middle of
 *                a checkpoint; the log holds the whole one.  So they are given as they are where no side has them whole.
 *     log        SQLite gives each frame a checksum and looks at it only when it recovers a log.  So frames[] holds one of
 *                each page that was written to the log, or came by in a recovery, and reads are held against it.
 *
 * Sides.  files[i] of a page_file is the file on side i of the mirror set, NULL where it is not in use.  A write goes to all
 * sides that are current; one that fails is lost (mirror_set_lose) as long as another one is left.  But for a full disk on the
 * first side: that is told to SQLite, which takes its transaction back, as without mirrors.
 *
 * Reads of a damaged or missing page go from side to side; the first good one is written over the bad ones before it.
 *
 * Invariants
 *  1. A page is written to the database file with its checksum or not at all (unless the file is of the older kind, which
 *     is only ever read here and copied by database.c).
 *  2. frame_sums[k] is 0 or the checksum of the page in frame k as SQLite last wrote or recovered it.
 *
 * Threads: everything under the catalog's mutex, but page_vfs_sync_log, which touches log_fds and the sides' states only.
 */
#include "page_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checksum.h"
#include "file.h"
#include "log_format.h"
#include "logging.h"
#include "mirror_set.h"
#include "page_sum.h"
#include "scope.h"

#define PAGE_BYTES  PAGE_SUM_PAGE_BYTES
#define FRAMES_MAX  ((size_t)1 << 22) /* remembered; 16 GiB of log */
#define DAMAGE_MAX  320
#define SQLITE_HEADER_BYTES 100

enum file_kind { FILE_DATABASE, FILE_LOG };

struct page_file {
    sqlite3_file base;
    struct page_vfs *vfs;
    enum file_kind kind;
    bool summed;
    int flags;                            /* as it was opened */
    sqlite3_file *files[MIRROR_SIDES_MAX]; /* heap objects of the VFS below */
};

struct page_vfs {
    sqlite3_vfs vfs; /* registered; its pAppData is this */
    sqlite3_vfs *below;
    char name[48];
    struct mirror_set *mirrors;
    size_t side_count;
    sqlite3_filename paths[MIRROR_SIDES_MAX]; /* of the database file */
    atomic_bool attached[MIRROR_SIDES_MAX];
    struct page_file *database, *log; /* while open */
    int log_fds[MIRROR_SIDES_MAX];    /* of our own, for page_vfs_sync_log; -1 */
    uint64_t *frame_sums;
    size_t frame_count, frame_room;
    char damage[DAMAGE_MAX];
};

static struct page_vfs *self_of(sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

/* Sides ----------------------------------------------------------------------------------------------------------- */

static bool in_use(const struct page_vfs *self, size_t side)
{
    return side < self->side_count && self->attached[side] &&
           (!self->mirrors || mirror_set_is_current(self->mirrors, side));
}

static size_t first_side(const struct page_vfs *self)
{
    for (size_t side = 0; side < self->side_count; side++)
        if (in_use(self, side))
            return side;
    return 0;
}

/* Whether the others can go on without this side. */
static bool lose(struct page_vfs *self, size_t side, const char *doing, int result)
{
    char reason[160];
    snprintf(reason, sizeof reason, "%s the catalog: %s", doing, sqlite3_errstr(result));
    return self->mirrors && mirror_set_lose(self->mirrors, side, reason);
}

static bool usable(const struct page_file *file, size_t side)
{
    return file->files[side] && in_use(file->vfs, side);
}

static sqlite3_file *first_file(const struct page_file *file)
{
    for (size_t side = 0; side < file->vfs->side_count; side++)
        if (usable(file, side))
            return file->files[side];
    return NULL;
}

/* What a change of one side's file is. */
typedef int change_side(sqlite3_file *file, const void *argument);

/* Makes a change on all sides; SQLITE_OK where it is made on every one that is still current. */
static int change_all(struct page_file *file, const char *doing, change_side *change, const void *argument)
{
    struct page_vfs *self = file->vfs;
    bool first = true;
    int worst = SQLITE_IOERR_WRITE;
    for (size_t side = 0; side < self->side_count; side++) {
        if (!usable(file, side))
            continue;
        int result = change(file->files[side], argument);
        bool full = (result & 0xFF) == SQLITE_FULL;
        if (result != SQLITE_OK && ((first && full) || !lose(self, side, doing, result)))
            return result;
        if (result == SQLITE_OK)
            worst = SQLITE_OK;
        first = false;
    }
    return worst;
}

/* Pages and frames -------------------------------------------------------------------------------------------------- */

static bool is_page(sqlite3_int64 offset, int count)
{
    return count == PAGE_BYTES && offset % PAGE_BYTES == 0;
}

static uint64_t page_number(sqlite3_int64 offset)
{
    return (uint64_t)offset / PAGE_BYTES + 1;
}

/* The frame whose page begins at this offset of the log; false where none does. */
static bool frame_of(sqlite3_int64 offset, size_t *frame)
{
    sqlite3_int64 at = offset - LOG_HEADER_BYTES - LOG_FRAME_HEADER_BYTES;
    *frame = (size_t)(at / LOG_FRAME_BYTES);
    return at >= 0 && at % LOG_FRAME_BYTES == 0;
}

/* Frames that are not remembered are not checked. */
static void remember_frame(struct page_vfs *self, size_t frame, const void *page)
{
    if (frame >= self->frame_room) {
        size_t room = frame < 1024 ? 1024 : 2 * frame;
        uint64_t *grown = frame < FRAMES_MAX ? realloc(self->frame_sums, room * sizeof *grown) : NULL;
        if (!grown)
            return;
        self->frame_sums = grown;
        self->frame_room = room;
    }
    while (self->frame_count <= frame)
        self->frame_sums[self->frame_count++] = 0;
    self->frame_sums[frame] = checksum_64(page, PAGE_BYTES, frame);
}

static bool frame_is_good(const struct page_vfs *self, size_t frame, const void *page)
{
    return frame >= self->frame_count || self->frame_sums[frame] == 0 ||
           self->frame_sums[frame] == checksum_64(page, PAGE_BYTES, frame);
}

static void note_written(struct page_file *file, const void *bytes, int count, sqlite3_int64 offset)
{
    struct page_vfs *self = file->vfs;
    size_t frame;
    if (file->kind != FILE_LOG)
        return;
    if (offset == 0)
        self->frame_count = 0; /* the log begins anew */
    else if (count == PAGE_BYTES && frame_of(offset, &frame))
        remember_frame(self, frame, bytes);
}

/* Reading ------------------------------------------------------------------------------------------------------------- */

/* Whether these bytes, which were read whole, are good. */
static bool is_good(const struct page_file *file, const void *bytes, int count, sqlite3_int64 offset)
{
    size_t frame;
    if (file->kind == FILE_DATABASE)
        return !file->summed || !is_page(offset, count) || page_sum_check(bytes, page_number(offset));
    return count != PAGE_BYTES || !frame_of(offset, &frame) || frame_is_good(file->vfs, frame, bytes);
}

static void describe_place(const struct page_file *file, sqlite3_int64 offset, char *text, size_t room)
{
    size_t frame = 0;
    if (file->kind == FILE_DATABASE)
        snprintf(text, room, "page %llu of catalog.db", (unsigned long long)page_number(offset));
    else if (frame_of(offset, &frame))
        snprintf(text, room, "frame %zu of catalog.db-wal", frame + 1);
    else
        snprintf(text, room, "byte %lld of catalog.db-wal", (long long)offset);
}

/* Writes the good bytes over those of the sides before `good`, which were not. */
static void mend(struct page_file *file, size_t good, const void *bytes, int count, sqlite3_int64 offset)
{
    struct page_vfs *self = file->vfs;
    char place[96];
    describe_place(file, offset, place, sizeof place);
    for (size_t side = 0; side < good; side++) {
        if (!usable(file, side))
            continue;
        int result = file->files[side]->pMethods->xWrite(file->files[side], bytes, count, offset);
        if (result == SQLITE_OK)
            mirror_set_note_repair(self->mirrors, side, place);
        else
            lose(self, side, "mending", result);
    }
}

/* From the first side that has these bytes whole and good.  *raw: no side has, and the first one's are in `bytes`. */
static int read_any(struct page_file *file, void *bytes, int count, sqlite3_int64 offset, bool *raw)
{
    struct page_vfs *self = file->vfs;
    uint8_t other[PAGE_BYTES];
    int first = SQLITE_IOERR_READ;
    bool any = false;
    *raw = false;
    for (size_t side = 0; side < self->side_count; side++) {
        if (!usable(file, side))
            continue;
        void *to = any && count <= PAGE_BYTES ? other : bytes;
        int result = file->files[side]->pMethods->xRead(file->files[side], to, count, offset);
        if (result == SQLITE_OK && is_good(file, to, count, offset)) {
            if (any && to != bytes)
                memcpy(bytes, to, (size_t)count);
            if (any)
                mend(file, side, bytes, count, offset);
            return SQLITE_OK;
        }
        if (!any) /* a disk that cannot be read is no damaged database, of which SQLite would take no statement more */
            first = result == SQLITE_IOERR_CORRUPTFS ? SQLITE_IOERR_READ : result;
        any = true;
    }
    *raw = first == SQLITE_OK;
    return first;
}

static int damaged(struct page_file *file, sqlite3_int64 offset)
{
    struct page_vfs *self = file->vfs;
    char place[96];
    describe_place(file, offset, place, sizeof place);
    snprintf(self->damage, sizeof self->damage,
             "%s is damaged: its checksum is another%s: cytofs scrub finds all that is, cytofs restore takes a backup", place,
             self->mirrors && mirror_set_count(self->mirrors) > 1 ? ", and no mirror has it whole" : "");
    logging_warning("the catalog: %s", self->damage);
    return SQLITE_IOERR_DATA;
}

/* The bytes at the beginning that SQLite reads by themselves, out of the whole page where some side has that. */
static int read_header(struct page_file *file, void *bytes, int count, sqlite3_int64 offset)
{
    uint8_t page[PAGE_BYTES];
    bool raw;
    int result = read_any(file, page, PAGE_BYTES, 0, &raw);
    if (result != SQLITE_OK && result != SQLITE_IOERR_SHORT_READ)
        return result;
    memcpy(bytes, page + offset, (size_t)count);
    return result;
}

static int page_read(sqlite3_file *base, void *bytes, int count, sqlite3_int64 offset)
{
    struct page_file *file = (struct page_file *)base;
    bool raw;
    if (file->kind == FILE_DATABASE && file->summed) {
        if (offset + count <= SQLITE_HEADER_BYTES)
            return read_header(file, bytes, count, offset);
        if (!is_page(offset, count)) /* a damaged header states another size of pages */
            return damaged(file, 0);
    }
    int result = read_any(file, bytes, count, offset, &raw);
    if (raw)
        return damaged(file, offset);
    size_t frame;
    if (result == SQLITE_OK && file->kind == FILE_LOG && count == LOG_FRAME_BYTES &&
        frame_of(offset + LOG_FRAME_HEADER_BYTES, &frame))
        remember_frame(file->vfs, frame, (const char *)bytes + LOG_FRAME_HEADER_BYTES);
    return result;
}

/* Writing ------------------------------------------------------------------------------------------------------------- */

struct write {
    const void *bytes;
    int count;
    sqlite3_int64 offset;
};

static int write_side(sqlite3_file *file, const void *argument)
{
    const struct write *write = argument;
    return file->pMethods->xWrite(file, write->bytes, write->count, write->offset);
}

static int page_write(sqlite3_file *base, const void *bytes, int count, sqlite3_int64 offset)
{
    struct page_file *file = (struct page_file *)base;
    uint8_t page[PAGE_BYTES];
    struct write write = {bytes, count, offset};
    if (file->kind == FILE_DATABASE && file->summed && is_page(offset, count)) {
        if (offset == 0 && !page_sum_has_room(bytes))
            return SQLITE_IOERR_WRITE;
        memcpy(page, bytes, sizeof page);
        page_sum_write(page, page_number(offset));
        write.bytes = page;
    }
    int result = change_all(file, "writing", write_side, &write);
    if (result == SQLITE_OK)
        note_written(file, bytes, count, offset);
    return result;
}

static int truncate_side(sqlite3_file *file, const void *argument)
{
    return file->pMethods->xTruncate(file, *(const sqlite3_int64 *)argument);
}

static int page_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct page_file *file = (struct page_file *)base;
    if (file->kind == FILE_LOG && size == 0)
        file->vfs->frame_count = 0;
    return change_all(file, "cutting", truncate_side, &size);
}

static int sync_side(sqlite3_file *file, const void *argument)
{
    return file->pMethods->xSync(file, *(const int *)argument);
}

static int page_sync(sqlite3_file *base, int flags)
{
    struct page_file *file = (struct page_file *)base;
    int result = change_all(file, "syncing", sync_side, &flags);
    if (result == SQLITE_OK && file->vfs->mirrors && mirror_set_settle(file->vfs->mirrors, NULL) != CODE_OK)
        result = SQLITE_IOERR_FSYNC;
    return result;
}

/* What else SQLite asks a file ------------------------------------------------------------------------------------------- */

static int page_file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    sqlite3_file *file = first_file((struct page_file *)base);
    return file ? file->pMethods->xFileSize(file, size) : SQLITE_IOERR_FSTAT;
}

/* The first side's lock keeps other processes out; those of the mirrors keep them out there. */
static int page_lock(sqlite3_file *base, int level)
{
    struct page_file *file = (struct page_file *)base;
    bool first = true;
    for (size_t side = 0; side < file->vfs->side_count; side++) {
        if (!usable(file, side))
            continue;
        int result = file->files[side]->pMethods->xLock(file->files[side], level);
        if (result != SQLITE_OK && (first || !lose(file->vfs, side, "locking", result)))
            return result;
        first = false;
    }
    return first ? SQLITE_IOERR_LOCK : SQLITE_OK;
}

static int page_unlock(sqlite3_file *base, int level)
{
    struct page_file *file = (struct page_file *)base;
    for (size_t side = 0; side < file->vfs->side_count; side++)
        if (file->files[side])
            file->files[side]->pMethods->xUnlock(file->files[side], level);
    return SQLITE_OK;
}

static int page_check_reserved(sqlite3_file *base, int *reserved)
{
    sqlite3_file *file = first_file((struct page_file *)base);
    return file ? file->pMethods->xCheckReservedLock(file, reserved) : SQLITE_IOERR_CHECKRESERVEDLOCK;
}

static int page_control(sqlite3_file *base, int operation, void *argument)
{
    sqlite3_file *file = first_file((struct page_file *)base);
    return file ? file->pMethods->xFileControl(file, operation, argument) : SQLITE_NOTFOUND;
}

static int page_sector_size(sqlite3_file *base)
{
    sqlite3_file *file = first_file((struct page_file *)base);
    return file ? file->pMethods->xSectorSize(file) : PAGE_BYTES;
}

static int page_characteristics(sqlite3_file *base)
{
    sqlite3_file *file = first_file((struct page_file *)base);
    return file ? file->pMethods->xDeviceCharacteristics(file) & SQLITE_IOCAP_POWERSAFE_OVERWRITE : 0;
}

static void close_side(struct page_file *file, size_t side)
{
    if (file->files[side] && file->files[side]->pMethods)
        file->files[side]->pMethods->xClose(file->files[side]);
    free(file->files[side]);
    file->files[side] = NULL;
}

static int page_close(sqlite3_file *base)
{
    struct page_file *file = (struct page_file *)base;
    struct page_vfs *self = file->vfs;
    for (size_t side = 0; side < MIRROR_SIDES_MAX; side++)
        close_side(file, side);
    if (self->database == file)
        self->database = NULL;
    if (self->log == file)
        self->log = NULL;
    return SQLITE_OK;
}

/* Version 1: no shared memory, since locking is exclusive, and no mapping of files, which would go past the checks. */
static const sqlite3_io_methods page_methods = {
    .iVersion = 1,
    .xClose = page_close,
    .xRead = page_read,
    .xWrite = page_write,
    .xTruncate = page_truncate,
    .xSync = page_sync,
    .xFileSize = page_file_size,
    .xLock = page_lock,
    .xUnlock = page_unlock,
    .xCheckReservedLock = page_check_reserved,
    .xFileControl = page_control,
    .xSectorSize = page_sector_size,
    .xDeviceCharacteristics = page_characteristics,
};

/* Opening ------------------------------------------------------------------------------------------------------------------ */

static int open_side(struct page_file *file, size_t side, const char *path)
{
    struct page_vfs *self = file->vfs;
    int flags_out;
    file->files[side] = calloc(1, (size_t)self->below->szOsFile);
    if (!file->files[side])
        return SQLITE_NOMEM;
    int result = self->below->xOpen(self->below, path, file->files[side], file->flags, &flags_out);
    if (result != SQLITE_OK)
        close_side(file, side);
    return result;
}

/* A new file gets checksums; an old one has them, unless it is of the older kind. */
static bool find_summed(sqlite3_file *file)
{
    uint8_t page[PAGE_BYTES];
    int result = file->pMethods->xRead(file, page, PAGE_BYTES, 0);
    return result != SQLITE_OK || !page_sum_is_older(page);
}

static const char *path_on(const struct page_vfs *self, size_t side, enum file_kind kind)
{
    return kind == FILE_LOG ? sqlite3_filename_wal(self->paths[side]) : self->paths[side];
}

/* All sides in use but the named one, which is open already. */
static void open_others(struct page_file *file, size_t named)
{
    struct page_vfs *self = file->vfs;
    for (size_t side = 0; side < self->side_count; side++) {
        if (side == named || !in_use(self, side))
            continue;
        int result = open_side(file, side, path_on(self, side, file->kind));
        if (result != SQLITE_OK)
            lose(self, side, "opening", result);
    }
}

/* A second database under this VFS is the copy that brings an older one over: it has one side. */
static int open_kept(struct page_vfs *self, sqlite3_filename path, struct page_file *file, int flags)
{
    bool log = (flags & SQLITE_OPEN_WAL) != 0;
    size_t named = first_side(self);
    bool ours = strcmp(path, path_on(self, named, log ? FILE_LOG : FILE_DATABASE)) == 0;
    *file = (struct page_file){.vfs = self, .kind = log ? FILE_LOG : FILE_DATABASE, .flags = flags};
    int result = open_side(file, named, path);
    if (result != SQLITE_OK)
        return result;
    if (!log)
        file->summed = find_summed(file->files[named]);
    if (ours) {
        open_others(file, named);
        *(log ? &self->log : &self->database) = file;
        self->frame_count = log ? 0 : self->frame_count;
    }
    file->base.pMethods = &page_methods;
    return SQLITE_OK;
}

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags, int *flags_out)
{
    struct page_vfs *self = self_of(vfs);
    if (flags_out)
        *flags_out = flags;
    if (path && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
        return open_kept(self, path, (struct page_file *)file, flags);
    return self->below->xOpen(self->below, path, file, flags, flags_out);
}

/* SQLite knows the log by its name on the side that led when it was opened. */
static bool is_log(const struct page_vfs *self, const char *path)
{
    for (size_t side = 0; side < self->side_count; side++)
        if (self->paths[side] && strcmp(path, path_on(self, side, FILE_LOG)) == 0)
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
        int result = in_use(self, side) ? self->below->xDelete(self->below, path_on(self, side, FILE_LOG), sync_folder) : SQLITE_OK;
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

/* The full path of one side's database file, in the form that SQLite's files are named in. */
static enum code name_side(struct page_vfs *self, size_t side, const char *path, struct failure *why)
{
    SCOPE_FREE char *full = malloc((size_t)self->below->mxPathname + 1);
    SCOPE_FREE char *log = NULL;
    SCOPE_FREE char *journal = NULL;
    if (full && self->below->xFullPathname(self->below, path, self->below->mxPathname + 1, full) >= SQLITE_ERROR &&
        !file_exists(path))
        return failure_set(why, CODE_NAME_TOO_LONG, "opening the catalog: %s is too long a path", path);
    if (!full || asprintf(&log, "%s-wal", full) < 0 || asprintf(&journal, "%s-journal", full) < 0 ||
        !(self->paths[side] = sqlite3_create_filename(full, journal, log, 0, NULL)))
        return failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
    return CODE_OK;
}

static enum code name_sides(struct page_vfs *self, const char *path, struct failure *why)
{
    if (!self->mirrors) {
        self->attached[0] = true;
        self->side_count = 1;
        return name_side(self, 0, path, why);
    }
    enum code code = CODE_OK;
    self->side_count = MIRROR_SIDES_MAX;
    for (size_t side = 0; code == CODE_OK && side < mirror_set_count(self->mirrors); side++) {
        SCOPE_FREE char *on_side = file_join(mirror_set_path(self->mirrors, side), file_base_name(path));
        if (!on_side)
            return failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
        code = name_side(self, side, on_side, why);
        self->attached[side] = code == CODE_OK && mirror_set_is_current(self->mirrors, side);
    }
    return code;
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
    enum code code = name_sides(self, path, why);
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
        if (self->log_fds[side] >= 0)
            close(self->log_fds[side]);
        sqlite3_free_filename(self->paths[side]);
    }
    free(self->frame_sums);
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
    return path_on(self, first_side(self), FILE_LOG);
}

/* The log, from outside of SQLite ---------------------------------------------------------------------------------------- */

/* The first sync of a side's log makes its name durable too. */
static enum code open_log(struct page_vfs *self, size_t side, struct failure *why)
{
    const char *path = path_on(self, side, FILE_LOG);
    const char *slash = strrchr(path, '/');
    SCOPE_FREE char *folder_path = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!folder_path)
        return failure_set(why, CODE_NO_MEMORY, "syncing the catalog: no memory");
    self->log_fds[side] = open(path, O_RDWR | O_CLOEXEC);
    if (self->log_fds[side] < 0)
        return failure_set_errno(why, errno, "opening %s", path);
    SCOPE_CLOSE int folder = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fsync(folder) != 0)
        return failure_set_errno(why, errno, "syncing %s", folder_path);
    return CODE_OK;
}

static enum code sync_side_log(struct page_vfs *self, size_t side, struct failure *why)
{
    enum code code = CODE_OK;
    if (self->log_fds[side] < 0)
        code = open_log(self, side, why);
    if (code == CODE_OK && fdatasync(self->log_fds[side]) != 0)
        code = failure_set_errno(why, errno, "syncing %s", path_on(self, side, FILE_LOG));
    return code;
}

enum code page_vfs_sync_log(struct page_vfs *self, struct failure *why)
{
    if (self->mirrors)
        mirror_set_look(self->mirrors);
    for (size_t side = 0; side < self->side_count; side++) {
        struct failure here;
        if (!in_use(self, side))
            continue;
        enum code code = sync_side_log(self, side, &here);
        if (code == CODE_OK || (self->mirrors && mirror_set_lose(self->mirrors, side, here.text)))
            continue;
        if (why)
            *why = here;
        return code;
    }
    return self->mirrors ? mirror_set_settle(self->mirrors, why) : CODE_OK;
}

/* Raw pages ---------------------------------------------------------------------------------------------------------------- */

static sqlite3_file *raw_file(const struct page_vfs *self, size_t side)
{
    return self->database && side < MIRROR_SIDES_MAX && usable(self->database, side) ? self->database->files[side] : NULL;
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
    const char *base = file_base_name(self->paths[first_side(self)]);
    SCOPE_FREE char *path = file_join(mirror_set_path(self->mirrors, side), base);
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
    enum code code = self->paths[side] ? CODE_OK : name_side(self, side, path, why);
    if (code != CODE_OK)
        return code;
    if (self->log_fds[side] >= 0)
        close(self->log_fds[side]);
    self->log_fds[side] = -1;
    struct page_file *const open_files[] = {self->database, self->log};
    for (size_t i = 0; i < sizeof open_files / sizeof *open_files; i++) {
        struct page_file *file = open_files[i];
        if (!file)
            continue;
        close_side(file, side);
        int result = open_side(file, side, path_on(self, side, file->kind));
        for (int level = SQLITE_LOCK_SHARED; result == SQLITE_OK && level <= SQLITE_LOCK_EXCLUSIVE; level += level)
            result = file->files[side]->pMethods->xLock(file->files[side], level);
        if (result != SQLITE_OK)
            return failure_set(why, CODE_IO, "%s: cannot be opened: %s", path, sqlite3_errstr(result));
    }
    self->attached[side] = true;
    return CODE_OK;
}
