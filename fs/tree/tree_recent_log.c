/* The files of the log of recent writes: see tree_recent_log.h.
 *
 * Each is given its whole size at its first write, so that later syncs need not change the disk's own tables.  A folder may
 * go (it is lost) and another one come in its place (it was filled), so a file is kept together with the folder that it
 * belongs to.
 *
 * Whole blocks go past the page cache where the disk's file system can do that: a quarter to a half less of the processor's
 * time for a sync, and less of the disk's. The block that the last record ended in is written again with what follows it, so
 * its bytes are kept; a crash that tears this write leaves them as they were, since they are the same in both.  Where they
 * are not known, bytes go through the page cache.
 *
 * Invariant: a folder that becomes current finds the log void, since a commit has come after its filling began and nothing
 * is written here while it lasts (recent_log_takes_writes).  So the first write into it is at offset 0; any other is
 * refused, and the commit that comes in its stead makes it true again. */
#include "tree_recent_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "logging.h"
#include "mirror_set.h"
#include "recent_format.h"
#include "scope.h"
#include "store_folder.h"

#define BLOCK_BYTES  4096 /* a multiple of what any disk reads and writes at once */
#define BLOCKS_BYTES ((size_t)16 * BLOCK_BYTES)

struct log_file {
    int fd;                            /* -1: not open */
    int direct;                        /* the same file past the page cache; -1: none */
    const struct store_folder *folder; /* that it was opened in; NULL without mirrors */
    bool whole;                        /* has its whole size */
};

struct recent_log {
    char *path; /* beside the catalog */
    struct mirror_set *mirrors;
    bool read_only;
    struct log_file files[MIRROR_SIDES_MAX];
    uint8_t *blocks;     /* BLOCKS_BYTES, aligned: what was written last past the page cache; NULL without memory */
    uint64_t blocks_at;  /* where */
    size_t blocks_count; /* how much of it; 0: nobody knows */
};

static size_t count_sides(const struct recent_log *log)
{
    return log->mirrors ? mirror_set_count(log->mirrors) : 1;
}

static bool is_current(const struct recent_log *log, size_t side)
{
    return !log->mirrors || mirror_set_is_current(log->mirrors, side);
}

static void close_file(struct log_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    if (file->direct >= 0)
        close(file->direct);
    *file = (struct log_file){.fd = -1, .direct = -1};
}

static enum code open_file(struct recent_log *log, size_t side, struct failure *why)
{
    struct log_file *file = &log->files[side];
    const struct store_folder *folder = log->mirrors ? mirror_set_folder(log->mirrors, side) : NULL;
    if (file->fd >= 0 && file->folder == folder)
        return CODE_OK;
    close_file(file);
    if (folder && !store_folder_is_in_place(folder)) /* nothing is made in a folder that somebody is removing */
        return failure_set(why, CODE_NOT_FOUND, "%s: is gone", store_folder_path(folder));
    SCOPE_FREE char *path = folder ? file_join(store_folder_path(folder), RECENT_FORMAT_FILE) : strdup(log->path);
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "opening the log of recent writes: no memory");
    int flags = log->read_only ? O_RDONLY : O_RDWR | O_CREAT;
    *file = (struct log_file){.fd = open(path, flags | O_CLOEXEC, 0600), .direct = -1, .folder = folder};
    if (file->fd < 0)
        return failure_set_errno(why, errno, "opening %s", path);
    if (log->blocks)
        file->direct = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC); /* some file systems cannot */
    return CODE_OK;
}

enum code recent_log_open(const char *catalog_path, struct mirror_set *mirrors, bool read_only, struct recent_log **out,
                          struct failure *why)
{
    const char *slash = strrchr(catalog_path, '/');
    struct recent_log *log = calloc(1, sizeof *log);
    if (log)
        *log = (struct recent_log){.mirrors = mirrors,
                                   .read_only = read_only,
                                   .blocks = read_only ? NULL : aligned_alloc(BLOCK_BYTES, BLOCKS_BYTES)};
    for (size_t side = 0; log && side < MIRROR_SIDES_MAX; side++)
        log->files[side] = (struct log_file){.fd = -1, .direct = -1};
    if (!log ||
        asprintf(&log->path, "%.*s" RECENT_FORMAT_FILE, slash ? (int)(slash - catalog_path) + 1 : 0, catalog_path) < 0) {
        if (log)
            free(log->blocks);
        free(log);
        return failure_set(why, CODE_NO_MEMORY, "opening the log of recent writes: no memory");
    }
    enum code code = open_file(log, mirrors ? mirror_set_leader(mirrors) : 0, why);
    if (code != CODE_OK && !(read_only && code == CODE_NOT_FOUND)) {
        recent_log_close(log);
        return code;
    }
    for (size_t side = 0; !read_only && side < count_sides(log); side++)
        if (is_current(log, side))
            (void)!open_file(log, side, NULL); /* what keeps it from being opened is told at the first write */
    *out = log;
    return CODE_OK;
}

void recent_log_close(struct recent_log *log)
{
    if (!log)
        return;
    for (size_t side = 0; side < MIRROR_SIDES_MAX; side++)
        close_file(&log->files[side]);
    free(log->path);
    free(log->blocks);
    free(log);
}

bool recent_log_takes_writes(const struct recent_log *log)
{
    for (size_t side = 0; log->mirrors && side < mirror_set_count(log->mirrors); side++)
        if (mirror_set_state(log->mirrors, side) == MIRROR_FILLING)
            return false;
    return !log->read_only;
}

size_t recent_log_read(struct recent_log *log, uint64_t offset, void *bytes, size_t count)
{
    size_t side = log->mirrors ? mirror_set_leader(log->mirrors) : 0, done = 0;
    while (done < count) {
        ssize_t got = pread(log->files[side].fd, (char *)bytes + done, count - done, (off_t)(offset + done));
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        done += got > 0 ? (size_t)got : 0;
    }
    return done;
}

/* Writing ---------------------------------------------------------------------------------------------------------- */

static enum code write_at(int fd, const uint8_t *bytes, size_t count, uint64_t offset, struct failure *why)
{
    for (size_t done = 0; done < count;) {
        ssize_t put = pwrite(fd, bytes + done, count - done, (off_t)(offset + done));
        if (put < 0 && errno != EINTR)
            return failure_set_errno(why, errno, "writing " RECENT_FORMAT_FILE);
        done += put > 0 ? (size_t)put : 0;
    }
    return CODE_OK;
}

static enum code sync_name(const struct recent_log *log, const struct log_file *file, struct failure *why)
{
    const char *slash = strrchr(log->path, '/');
    SCOPE_FREE char *beside = slash ? strndup(log->path, slash > log->path ? (size_t)(slash - log->path) : 1) : strdup(".");
    if (!beside)
        return failure_set(why, CODE_NO_MEMORY, "making " RECENT_FORMAT_FILE ": no memory");
    return file_sync_folder(file->folder ? store_folder_path(file->folder) : beside, why);
}

static enum code make_whole(const struct recent_log *log, struct log_file *file, struct failure *why)
{
    struct stat status;
    if (file->whole)
        return CODE_OK;
    if (fstat(file->fd, &status) != 0)
        return failure_set_errno(why, errno, "looking at " RECENT_FORMAT_FILE);
    if ((uint64_t)status.st_size < RECENT_FORMAT_FILE_BYTES) {
        SCOPE_FREE uint8_t *zeros = calloc(1, RECENT_FORMAT_FILE_BYTES);
        enum code code = zeros ? write_at(file->fd, zeros, RECENT_FORMAT_FILE_BYTES, 0, why)
                               : failure_set(why, CODE_NO_MEMORY, "making " RECENT_FORMAT_FILE ": no memory");
        if (code != CODE_OK)
            return code;
        if (fsync(file->fd) != 0)
            return failure_set_errno(why, errno, "syncing " RECENT_FORMAT_FILE);
    }
    enum code code = sync_name(log, file, why); /* it may have been made a moment ago */
    file->whole = code == CODE_OK;
    return code;
}

/* Whether all current folders have the log up to here. */
static bool all_follow(struct recent_log *log, uint64_t offset)
{
    for (size_t side = 0; offset > 0 && side < count_sides(log); side++) {
        const struct log_file *file = &log->files[side];
        const struct store_folder *folder = log->mirrors ? mirror_set_folder(log->mirrors, side) : NULL;
        if (is_current(log, side) && (file->fd < 0 || file->folder != folder))
            return false;
    }
    return true;
}

/* Bytes on their way into the log. */
struct log_write {
    const uint8_t *bytes;
    size_t count;
    uint64_t offset;
    bool in_blocks; /* they are log->blocks */
};

/* Puts the bytes into log->blocks, with what lies before them in their first block and zeros behind, unless that is not
 * known. */
static void fill_blocks(struct recent_log *log, struct log_write *write)
{
    uint64_t start = write->offset / BLOCK_BYTES * BLOCK_BYTES;
    size_t before = (size_t)(write->offset - start),
           whole = (before + write->count + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
    bool known =
        before == 0 || (log->blocks_count && start >= log->blocks_at && write->offset <= log->blocks_at + log->blocks_count);
    if (!log->blocks || whole > BLOCKS_BYTES || !known) {
        log->blocks_count = 0;
        return;
    }
    if (before)
        memmove(log->blocks, log->blocks + (start - log->blocks_at), before);
    memcpy(log->blocks + before, write->bytes, write->count);
    memset(log->blocks + before + write->count, 0, whole - before - write->count);
    log->blocks_at = start;
    log->blocks_count = whole;
    *write = (struct log_write){.bytes = log->blocks, .count = whole, .offset = start, .in_blocks = true};
}

static enum code write_and_sync(struct log_file *file, const struct log_write *write, struct failure *why)
{
    bool written = false;
    if (write->in_blocks && file->direct >= 0) {
        ssize_t put = pwrite(file->direct, write->bytes, write->count, (off_t)write->offset);
        if (put < 0 && errno != EINVAL && errno != EINTR)
            return failure_set_errno(why, errno, "writing " RECENT_FORMAT_FILE);
        written = put == (ssize_t)write->count;
    }
    enum code code = written ? CODE_OK : write_at(file->fd, write->bytes, write->count, write->offset, why);
    if (code == CODE_OK && fdatasync(file->fd) != 0)
        code = failure_set_errno(why, errno, "syncing " RECENT_FORMAT_FILE);
    return code;
}

static enum code write_file(struct recent_log *log, size_t side, const struct log_write *write, struct failure *why)
{
    enum code code = open_file(log, side, why);
    if (code == CODE_OK)
        code = make_whole(log, &log->files[side], why);
    return code == CODE_OK ? write_and_sync(&log->files[side], write, why) : code;
}

void recent_log_wipe(struct recent_log *log)
{
    static const uint8_t end[RECENT_FORMAT_HEAD];
    struct failure why;
    log->blocks_count = 0;
    for (size_t side = 0; !log->read_only && side < count_sides(log); side++) {
        struct stat status;
        int fd = is_current(log, side) ? log->files[side].fd : -1;
        if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0 && write_at(fd, end, sizeof end, 0, &why) != CODE_OK)
            logging_warning("%s", why.text);
    }
}

enum code recent_log_write(struct recent_log *log, uint64_t offset, const void *bytes, size_t count, struct failure *why)
{
    if (count > RECENT_FORMAT_FILE_BYTES - offset)
        return failure_set(why, CODE_NO_SPACE, RECENT_FORMAT_FILE " is full");
    if (!all_follow(log, offset))
        return failure_set(why, CODE_NO_SPACE, RECENT_FORMAT_FILE " lacks in a folder that has come");
    struct log_write write = {.bytes = bytes, .count = count, .offset = offset};
    fill_blocks(log, &write);
    size_t first = log->mirrors ? mirror_set_leader(log->mirrors) : 0;
    for (size_t side = 0; side < count_sides(log); side++) {
        struct failure here;
        if (!is_current(log, side))
            close_file(&log->files[side]);
        else if (write_file(log, side, &write, &here) != CODE_OK) {
            log->blocks_count = 0;
            close_file(&log->files[side]);
            bool full = here.code == CODE_NO_SPACE && side == first; /* the commit that follows tells of it */
            if (log->mirrors && !full && mirror_set_lose(log->mirrors, side, here.text))
                continue;
            if (why)
                *why = here;
            return here.code;
        }
    }
    return log->mirrors ? mirror_set_settle(log->mirrors, why) : CODE_OK;
}
