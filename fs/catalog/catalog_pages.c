/* Pages of the catalog's files: see catalog_pages.h.
 *
 * Of an open catalog pages are read and written through its own files, a few at a time and under its mutex: so none is being
 * written at that moment, and no second descriptor is closed, which would drop SQLite's locks.
 *
 * Filling a side goes in two steps.  The database file is copied with checkpoints held back (database_freeze), so that it
 * does not change meanwhile.  Then, under the mutex, the log is copied whole: it holds all that came since, and what an open
 * transaction has written to it already. */
#include "catalog_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog_internal.h"
#include "file.h"
#include "log_format.h"
#include "mirror_set.h"
#include "page_sum.h"

#define PAGE_BYTES PAGE_SUM_PAGE_BYTES
#define STEP_BYTES ((size_t)CATALOG_PAGES_STEP * PAGE_BYTES)
#define LOG_SUFFIX "-wal"
#define LOG_NAME   "catalog.db" LOG_SUFFIX

static enum code out_of_memory(struct failure *why)
{
    return failure_set(why, CODE_NO_MEMORY, "the catalog's pages: no memory");
}

/* Reads up to count bytes; fewer at the end. */
static enum code read_at(int fd, const char *path, uint64_t offset, void *bytes, size_t count, size_t *got,
                         struct failure *why)
{
    for (*got = 0; *got < count;) {
        ssize_t result = pread(fd, (char *)bytes + *got, count - *got, (off_t)(offset + *got));
        if (result < 0 && errno == EINTR)
            continue;
        if (result < 0)
            return failure_set_errno(why, errno, "%s: cannot be read", path);
        if (result == 0)
            break;
        *got += (size_t)result;
    }
    return CODE_OK;
}

static enum code write_at(int fd, const char *path, uint64_t offset, const void *bytes, size_t count, struct failure *why)
{
    for (size_t done = 0; done < count;) {
        ssize_t result = pwrite(fd, (const char *)bytes + done, count - done, (off_t)(offset + done));
        if (result < 0 && errno != EINTR)
            return failure_set_errno(why, errno, "%s: cannot be written", path);
        if (result > 0)
            done += (size_t)result;
    }
    return CODE_OK;
}

/* Checking ----------------------------------------------------------------------------------------------------------------
 */

static void check_pages(const uint8_t *pages, size_t bytes, uint64_t first, struct catalog_pages_found *out)
{
    size_t count = bytes / PAGE_BYTES;
    *out = (struct catalog_pages_found){.checked = count};
    for (size_t i = 0; i < count; i++) {
        const uint8_t *page = pages + i * PAGE_BYTES;
        out->blank += page_sum_is_blank(page);
        if (!page_sum_check(page, first + i))
            out->damaged[out->damaged_count++] = first + i;
    }
    if (bytes % PAGE_BYTES && out->damaged_count < CATALOG_PAGES_STEP) /* cut in the middle of a page */
        out->damaged[out->damaged_count++] = first + count;
}

/* With the mutex. */
static bool mend_page(struct catalog *catalog, size_t side, uint64_t number)
{
    const struct mirror_set *mirrors = catalog->mirrors;
    uint64_t offset = (number - 1) * PAGE_BYTES;
    for (size_t other = 0; mirrors && other < mirror_set_count(mirrors); other++) {
        uint8_t page[PAGE_BYTES];
        size_t got;
        if (other == side || !mirror_set_is_current(mirrors, other) ||
            database_read_side(catalog->database, other, offset, page, PAGE_BYTES, &got, NULL) != CODE_OK ||
            got < PAGE_BYTES || !page_sum_check(page, number))
            continue;
        return database_write_side(catalog->database, side, offset, page, PAGE_BYTES, NULL) == CODE_OK;
    }
    return false;
}

enum code catalog_pages_check(struct catalog *catalog, size_t side, uint64_t first, bool mend,
                              struct catalog_pages_found *out, struct failure *why)
{
    SCOPE_FREE uint8_t *pages = malloc(STEP_BYTES);
    size_t got;
    if (!pages)
        return out_of_memory(why);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_read_side(catalog->database, side, (first - 1) * PAGE_BYTES, pages, STEP_BYTES, &got, why);
    if (code != CODE_OK)
        return code;
    check_pages(pages, got, first, out);
    for (size_t i = 0; mend && i < out->damaged_count; i++)
        out->mended[i] = mend_page(catalog, side, out->damaged[i]);
    return CODE_OK;
}

enum code catalog_pages_check_file(const char *path, uint64_t first, struct catalog_pages_found *out, struct failure *why)
{
    SCOPE_FREE uint8_t *pages = malloc(STEP_BYTES);
    SCOPE_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t got;
    if (!pages)
        return out_of_memory(why);
    if (fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", path);
    enum code code = read_at(fd, path, (first - 1) * PAGE_BYTES, pages, STEP_BYTES, &got, why);
    if (code == CODE_OK)
        check_pages(pages, got, first, out);
    return code;
}

enum code catalog_pages_check_structure(struct catalog *catalog, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_check_whole(catalog->database, why);
}

/* The log ------------------------------------------------------------------------------------------------------------------
 */

struct log_reader {
    int fd;
    const char *path;
    uint64_t frame; /* the next one */
};

/* False at the end of the file. */
static bool next_frame(struct log_reader *reader, uint8_t frame[LOG_FRAME_BYTES], enum code *code, struct failure *why)
{
    size_t got;
    uint64_t offset = LOG_HEADER_BYTES + reader->frame++ * LOG_FRAME_BYTES;
    *code = read_at(reader->fd, reader->path, offset, frame, LOG_FRAME_BYTES, &got, why);
    return *code == CODE_OK && got == LOG_FRAME_BYTES;
}

/* Counts whole frames behind the first that is not. */
static enum code count_beyond(struct log_reader *reader, const struct log_walk *walk, uint8_t *before, uint64_t *beyond,
                              struct failure *why)
{
    uint8_t frame[LOG_FRAME_BYTES];
    enum code code;
    while (next_frame(reader, frame, &code, why)) {
        *beyond += log_format_follows(walk, before, frame);
        memcpy(before, frame, LOG_FRAME_BYTES);
    }
    return code;
}

static enum code walk_log(struct log_reader *reader, struct log_walk *walk, struct catalog_pages_log *out,
                          struct failure *why)
{
    uint8_t header[LOG_HEADER_BYTES], frame[LOG_FRAME_BYTES];
    size_t got;
    enum code code = read_at(reader->fd, reader->path, 0, header, sizeof header, &got, why);
    if (code != CODE_OK || got == 0)
        return code;
    out->bad_header = got < sizeof header || log_format_begin(walk, header, NULL) != CODE_OK;
    if (out->bad_header)
        return CODE_OK;
    while (next_frame(reader, frame, &code, why)) {
        if (log_format_next(walk, frame))
            continue;
        code = count_beyond(reader, walk, frame, &out->beyond, why);
        break;
    }
    out->frames = walk->frames;
    out->committed = walk->committed;
    return code;
}

static enum code check_log(const char *path, struct log_walk *walk, struct catalog_pages_log *out, struct failure *why)
{
    *out = (struct catalog_pages_log){0};
    *walk = (struct log_walk){0};
    SCOPE_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? CODE_OK : failure_set_errno(why, errno, "%s: cannot be opened", path);
    struct log_reader reader = {fd, path, 0};
    return walk_log(&reader, walk, out, why);
}

enum code catalog_pages_check_log(const char *path, struct catalog_pages_log *out, struct failure *why)
{
    struct log_walk walk;
    return check_log(path, &walk, out, why);
}

/* A log that was begun anew later is newer, whatever it holds: what was in it before had gone into the file by then. */
enum code catalog_pages_newest(const char *const *paths, size_t count, size_t *index, struct failure *why)
{
    struct log_walk newest = {0};
    *index = 0;
    for (size_t i = 0; i < count; i++) {
        SCOPE_FREE char *path = file_join(paths[i], LOG_NAME);
        struct catalog_pages_log ignored;
        struct log_walk walk;
        if (!path)
            return out_of_memory(why);
        enum code code = check_log(path, &walk, &ignored, why);
        if (code != CODE_OK)
            return code;
        if (walk.sequence > newest.sequence || (walk.sequence == newest.sequence && walk.committed > newest.committed)) {
            newest = walk;
            *index = i;
        }
    }
    return CODE_OK;
}

/* Filling
 * ------------------------------------------------------------------------------------------------------------------- */

/* One step of the first current side's file. */
static enum code read_source(struct catalog *catalog, uint64_t offset, uint8_t *bytes, size_t *got, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_read_file(catalog->database, offset, bytes, STEP_BYTES, got, why);
}

/* Writes the pages of a step that the target does not hold already. */
static enum code write_differing(int fd, const char *path, uint64_t offset, const uint8_t *bytes, size_t count,
                                 struct failure *why)
{
    SCOPE_FREE uint8_t *there = malloc(STEP_BYTES);
    size_t got = 0;
    if (!there)
        return out_of_memory(why);
    enum code code = read_at(fd, path, offset, there, count, &got, NULL);
    if (code != CODE_OK)
        got = 0; /* what cannot be read is written anew */
    code = CODE_OK;
    for (size_t at = 0; code == CODE_OK && at < count; at += PAGE_BYTES)
        if (at + PAGE_BYTES > got || memcmp(there + at, bytes + at, PAGE_BYTES) != 0)
            code = write_at(fd, path, offset + at, bytes + at, PAGE_BYTES, why);
    return code;
}

static uint64_t size_of(struct catalog *catalog)
{
    struct stat status;
    return stat(catalog->path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static enum code copy_file(struct catalog *catalog, const struct catalog_pages_fill *fill, int fd, struct failure *why)
{
    SCOPE_FREE uint8_t *bytes = malloc(STEP_BYTES);
    uint64_t offset = 0, all = size_of(catalog);
    size_t got = STEP_BYTES;
    enum code code = bytes ? CODE_OK : out_of_memory(why);
    while (code == CODE_OK && got == STEP_BYTES) {
        code = read_source(catalog, offset, bytes, &got, why);
        if (code == CODE_OK)
            code = write_differing(fd, fill->path, offset, bytes, got, why);
        offset += got;
        if (code == CODE_OK && fill->progress && !fill->progress(fill->context, offset, all))
            code = failure_set(why, CODE_INTERRUPTED, "filling a mirror was stopped");
    }
    if (code == CODE_OK && (ftruncate(fd, (off_t)offset) != 0 || fsync(fd) != 0))
        code = failure_set_errno(why, errno, "%s: cannot be written", fill->path);
    return code;
}

/* The whole log of the first current side, with the mutex. */
static enum code copy_log(struct catalog *catalog, const struct catalog_pages_fill *fill, struct failure *why)
{
    const char *from = database_log_path(catalog->database);
    SCOPE_FREE char *to = NULL;
    SCOPE_FREE uint8_t *bytes = malloc(STEP_BYTES);
    if (asprintf(&to, "%s" LOG_SUFFIX, fill->path) < 0 || !bytes)
        return out_of_memory(why);
    SCOPE_CLOSE int source = open(from, O_RDONLY | O_CLOEXEC);
    SCOPE_CLOSE int target = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (source < 0 || target < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", source < 0 ? from : to);
    size_t got = STEP_BYTES;
    enum code code = CODE_OK;
    for (uint64_t offset = 0; code == CODE_OK && got == STEP_BYTES; offset += got) {
        code = read_at(source, from, offset, bytes, STEP_BYTES, &got, why);
        if (code == CODE_OK)
            code = write_at(target, to, offset, bytes, got, why);
    }
    if (code == CODE_OK && fsync(target) != 0)
        code = failure_set_errno(why, errno, "%s: cannot be written", to);
    return code;
}

static enum code finish(struct catalog *catalog, const struct catalog_pages_fill *fill, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = copy_log(catalog, fill, why);
    if (code == CODE_OK)
        code = database_attach_side(catalog->database, fill->side, why);
    return code == CODE_OK ? fill->join(fill->context, why) : code;
}

static void freeze(struct catalog *catalog, bool frozen)
{
    uint64_t log_bytes;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    if (frozen)
        database_freeze(catalog->database, &log_bytes);
    else
        database_thaw(catalog->database);
}

enum code catalog_pages_fill(struct catalog *catalog, const struct catalog_pages_fill *fill, struct failure *why)
{
    if (!database_is_summed(catalog->database))
        return failure_set(why, CODE_NOT_PERMITTED,
                           "the catalog is from before pages had checksums: mount the store once, then mirror it");
    int fd = open(fill->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", fill->path);
    freeze(catalog, true);
    enum code code = copy_file(catalog, fill, fd, why);
    close(fd); /* before SQLite opens it, whose locks this would drop */
    if (code == CODE_OK)
        code = finish(catalog, fill, why);
    freeze(catalog, false);
    return code;
}
