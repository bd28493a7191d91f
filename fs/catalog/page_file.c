/* Files under SQLite: see page_file.h.
 *
 *     database   whole pages: the checksum of page_sum.h is put in on the way down and checked on the way up.
 * The first bytes, which SQLite reads by themselves at opening, may come from a page that a crash tore in the
 * middle of a checkpoint; the log holds the whole one.  So they are given as they are where no side has them
 * whole. log        SQLite gives each frame a checksum and looks at it only when it recovers a log.  So one
 * of each page that was written to the log, or came by in a recovery, is remembered (frame_sums.h), and reads
 * are held against it.
 *
 * A write goes to all sides that are current; one that fails is lost (page_side_lose) as long as another one
 * is left.  But for a full disk on the first side: that is told to SQLite, which takes its transaction back,
 * as without mirrors.
 *
 * Reads of a damaged or missing page go from side to side; the first good one is written over the bad ones
 * before it.
 *
 * Invariants
 *  1. A page is written to the database file with its checksum or not at all (unless the file is of the older
 * kind, which is only ever read here and copied by database.c).
 *  2. What is remembered of a frame is the checksum of the page in it as SQLite last wrote or recovered it.
 */
#include "page_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log_format.h"
#include "logging.h"
#include "page_log.h"
#include "page_side.h"

#define SQLITE_HEADER_BYTES 100

bool page_file_usable(const struct page_file *file, size_t side)
{
    return file->files[side] && page_side_in_use(file->vfs, side);
}

static sqlite3_file *first_file(const struct page_file *file)
{
    for (size_t side = 0; side < file->vfs->side_count; side++)
        if (page_file_usable(file, side))
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
        if (!page_file_usable(file, side))
            continue;
        int result = change(file->files[side], argument);
        bool full = (result & 0xFF) == SQLITE_FULL;
        if (result != SQLITE_OK && ((first && full) || !page_side_lose(self, side, doing, result)))
            return result;
        if (result == SQLITE_OK)
            worst = SQLITE_OK;
        first = false;
    }
    return worst;
}

/* Pages and frames
 * -------------------------------------------------------------------------------------------------- */

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

static void note_written(struct page_file *file, const void *bytes, int count, sqlite3_int64 offset)
{
    struct page_vfs *self = file->vfs;
    size_t frame;
    if (file->kind != FILE_LOG)
        return;
    if (offset == 0)
        frame_sums_forget(&self->frames); /* the log begins anew */
    else if (count == PAGE_BYTES && frame_of(offset, &frame))
        frame_sums_remember(&self->frames, frame, bytes);
}

/* Reading
 * -------------------------------------------------------------------------------------------------------------
 */

/* Whether these bytes, which were read whole, are good. */
static bool is_good(const struct page_file *file, const void *bytes, int count, sqlite3_int64 offset)
{
    size_t frame;
    if (file->kind == FILE_DATABASE)
        return !file->summed || !is_page(offset, count) || page_sum_check(bytes, page_number(offset));
    return count != PAGE_BYTES || !frame_of(offset, &frame) || frame_sums_check(&file->vfs->frames, frame, bytes);
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
        if (!page_file_usable(file, side))
            continue;
        int result = file->files[side]->pMethods->xWrite(file->files[side], bytes, count, offset);
        if (result == SQLITE_OK)
            mirror_set_note_repair(self->mirrors, side, place);
        else
            page_side_lose(self, side, "mending", result);
    }
}

/* From the first side that has these bytes whole and good.  *raw: no side has, and the first one's are in
 * `bytes`. */
static int read_any(struct page_file *file, void *bytes, int count, sqlite3_int64 offset, bool *raw)
{
    struct page_vfs *self = file->vfs;
    uint8_t other[PAGE_BYTES];
    int first = SQLITE_IOERR_READ;
    bool any = false;
    *raw = false;
    for (size_t side = 0; side < self->side_count; side++) {
        if (!page_file_usable(file, side))
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
        if (!any) /* a disk that cannot be read is no damaged database, of which SQLite would take no
                     statement more */
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
             "%s is damaged: its checksum is another%s: cytofs scrub finds all that is, cytofs restore takes "
             "a backup",
             place, self->mirrors && mirror_set_count(self->mirrors) > 1 ? ", and no mirror has it whole" : "");
    logging_warning("the catalog: %s", self->damage);
    return SQLITE_IOERR_DATA;
}

/* The bytes at the beginning that SQLite reads by themselves, out of the whole page where some side has that.
 */
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
        frame_sums_remember(&file->vfs->frames, frame, (const char *)bytes + LOG_FRAME_HEADER_BYTES);
    return result;
}

/* Writing
 * -------------------------------------------------------------------------------------------------------------
 */

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
        frame_sums_forget(&file->vfs->frames);
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

/* What else SQLite asks a file
 * ------------------------------------------------------------------------------------------- */

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
        if (!page_file_usable(file, side))
            continue;
        int result = file->files[side]->pMethods->xLock(file->files[side], level);
        if (result != SQLITE_OK && (first || !page_side_lose(file->vfs, side, "locking", result)))
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

void page_file_close_side(struct page_file *file, size_t side)
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
        page_file_close_side(file, side);
    if (self->database == file)
        self->database = NULL;
    if (self->log == file)
        self->log = NULL;
    return SQLITE_OK;
}

/* Version 1: no shared memory, since locking is exclusive, and no mapping of files, which would go past the
 * checks. */
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

/* Opening
 * ------------------------------------------------------------------------------------------------------------------
 */

int page_file_open_side(struct page_file *file, size_t side, const char *path)
{
    struct page_vfs *self = file->vfs;
    int flags_out;
    file->files[side] = calloc(1, (size_t)self->below->szOsFile);
    if (!file->files[side])
        return SQLITE_NOMEM;
    int result = self->below->xOpen(self->below, path, file->files[side], file->flags, &flags_out);
    if (result != SQLITE_OK)
        page_file_close_side(file, side);
    return result;
}

/* A new file gets checksums; an old one has them, unless it is of the older kind. */
static bool find_summed(sqlite3_file *file)
{
    uint8_t page[PAGE_BYTES];
    int result = file->pMethods->xRead(file, page, PAGE_BYTES, 0);
    return result != SQLITE_OK || !page_sum_is_older(page);
}

/* All sides in use but the named one, which is open already. */
static void open_others(struct page_file *file, size_t named)
{
    struct page_vfs *self = file->vfs;
    for (size_t side = 0; side < self->side_count; side++) {
        if (side == named || !page_side_in_use(self, side))
            continue;
        int result = page_file_open_side(file, side, page_side_path(self, side, file->kind));
        if (result != SQLITE_OK)
            page_side_lose(self, side, "opening", result);
    }
}

/* The log on every side once more, for ourselves. */
static int open_logs(struct page_file *log)
{
    struct page_vfs *self = log->vfs;
    for (size_t side = 0; side < self->side_count; side++)
        if (log->files[side] && !page_log_open(self, side) && !page_side_lose(self, side, "opening", SQLITE_CANTOPEN))
            return SQLITE_CANTOPEN;
    return SQLITE_OK;
}

/* A second database under this VFS is the copy that brings an older one over: it has one side. */
int page_file_open(struct page_vfs *self, sqlite3_filename path, struct page_file *file, int flags)
{
    bool log = (flags & SQLITE_OPEN_WAL) != 0;
    size_t named = page_side_first(self);
    bool ours = strcmp(path, page_side_path(self, named, log ? FILE_LOG : FILE_DATABASE)) == 0;
    *file = (struct page_file){.vfs = self, .kind = log ? FILE_LOG : FILE_DATABASE, .flags = flags};
    int result = page_file_open_side(file, named, path);
    if (result != SQLITE_OK)
        return result;
    if (!log)
        file->summed = find_summed(file->files[named]);
    if (ours) {
        open_others(file, named);
        *(log ? &self->log : &self->database) = file;
        if (log)
            frame_sums_forget(&self->frames);
        if (log)
            result = open_logs(file);
    }
    file->base.pMethods = &page_methods; /* also after a failure: SQLite closes it then */
    return result;
}
