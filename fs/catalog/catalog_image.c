/* Images are taken as bytes: the file, then the part of its log that holds committed frames (database_freeze).  Opening
 * the image brings its log into its file; each page is looked at before the image is good.
 *
 * The file of an open catalog is read through its own connection, a few pages at a time under the catalog's mutex: closing a
 * second descriptor on it would drop SQLite's locks (database.c). */
#include "catalog_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "catalog_internal.h"

#define STEP_BYTES ((size_t)64 * DATABASE_PAGE_BYTES)
#define LOG_SUFFIX "-wal"

/* Where bytes come from: an open catalog's file, or a descriptor. */
struct source {
    struct catalog *catalog; /* NULL: fd */
    int fd;
    const char *name;
    uint64_t bytes; /* how many of it are wanted, at most */
};

static enum code read_some(const struct source *source, uint64_t offset, void *bytes, size_t count, size_t *got,
                           struct failure *why)
{
    if (source->catalog) {
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&source->catalog->mutex);
        return database_read_file(source->catalog->database, offset, bytes, count, got, why);
    }
    ssize_t result;
    while ((result = pread(source->fd, bytes, count, (off_t)offset)) < 0 && errno == EINTR)
        ;
    if (result < 0)
        return failure_set_errno(why, errno, "%s: cannot be read", source->name);
    *got = (size_t)result;
    return CODE_OK;
}

static enum code write_all(int fd, const char *path, uint64_t offset, const char *bytes, size_t count, struct failure *why)
{
    while (count > 0) {
        ssize_t put = pwrite(fd, bytes, count, (off_t)offset);
        if (put < 0 && errno != EINTR)
            return failure_set_errno(why, errno, "%s: cannot be written", path);
        if (put > 0) {
            bytes += put;
            offset += (uint64_t)put;
            count -= (size_t)put;
        }
    }
    return CODE_OK;
}

/* To a new file, durable. */
static enum code copy_bytes(const struct source *source, const char *to, struct failure *why)
{
    SCOPE_CLOSE int target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (target < 0)
        return failure_set_errno(why, errno, "%s: cannot be made", to);
    SCOPE_FREE char *bytes = malloc(STEP_BYTES);
    if (!bytes)
        return failure_set(why, CODE_NO_MEMORY, "copying: no memory");
    for (uint64_t done = 0; done < source->bytes;) {
        size_t step = source->bytes - done < STEP_BYTES ? (size_t)(source->bytes - done) : STEP_BYTES, got = 0;
        enum code code = read_some(source, done, bytes, step, &got, why);
        if (code == CODE_OK)
            code = write_all(target, to, done, bytes, got, why);
        if (code != CODE_OK)
            return code;
        if (got == 0)
            break;
        done += got;
    }
    return fsync(target) == 0 ? CODE_OK : failure_set_errno(why, errno, "%s: cannot be written", to);
}

static enum code copy_file(const char *from, uint64_t bytes, const char *to, struct failure *why)
{
    SCOPE_CLOSE int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", from);
    return copy_bytes(&(struct source){.fd = fd, .name = from, .bytes = bytes}, to, why);
}

/* Brings the image's log into it, and looks at each page. */
static enum code settle(const char *path, struct failure *why)
{
    struct database *database;
    enum code code = database_open(&(struct database_options){.path = path}, &database, why);
    if (code != CODE_OK)
        return code;
    code = database_check_whole(database, why);
    database_close(database);
    return code;
}

static enum code finish(const char *path, const char *log, enum code code, struct failure *why)
{
    if (code == CODE_OK)
        code = settle(path, why);
    if (code == CODE_OK)
        return CODE_OK;
    unlink(path);
    unlink(log);
    return failure_wrap(why, code, "copying the catalog");
}

static enum code name_log(const char *path, char **out, struct failure *why)
{
    if (asprintf(out, "%s" LOG_SUFFIX, path) < 0) {
        *out = NULL;
        return failure_set(why, CODE_NO_MEMORY, "copying the catalog: no memory");
    }
    return CODE_OK;
}

/* Where the image's log will lie; the image itself must not be there yet. */
static enum code prepare(const char *path, char **image_log, struct failure *why)
{
    if (access(path, F_OK) == 0)
        return failure_set(why, CODE_EXISTS, "copying the catalog: %s is there already", path);
    return name_log(path, image_log, why);
}

enum code catalog_image_take(struct catalog *catalog, const char *path, struct failure *why)
{
    const char *log = database_log_path(catalog->database);
    if (!log)
        return failure_set(why, CODE_UNSUPPORTED, "copying the catalog: it lies in memory");
    SCOPE_FREE char *image_log = NULL;
    enum code code = prepare(path, &image_log, why);
    if (code != CODE_OK)
        return code;
    uint64_t log_bytes;
    pthread_mutex_lock(&catalog->mutex);
    database_freeze(catalog->database, &log_bytes);
    pthread_mutex_unlock(&catalog->mutex);
    code = copy_bytes(&(struct source){.catalog = catalog, .fd = -1, .bytes = UINT64_MAX}, path, why);
    if (code == CODE_OK && log_bytes)
        code = copy_file(log, log_bytes, image_log, why);
    pthread_mutex_lock(&catalog->mutex);
    database_thaw(catalog->database);
    pthread_mutex_unlock(&catalog->mutex);
    return finish(path, image_log, code, why);
}

enum code catalog_image_take_closed(const char *from, const char *path, struct failure *why)
{
    SCOPE_FREE char *log = NULL;
    SCOPE_FREE char *image_log = NULL;
    enum code code = name_log(from, &log, why);
    if (code == CODE_OK)
        code = prepare(path, &image_log, why);
    if (code != CODE_OK)
        return code;
    code = copy_file(from, UINT64_MAX, path, why);
    if (code == CODE_OK && access(log, F_OK) == 0)
        code = copy_file(log, UINT64_MAX, image_log, why);
    return finish(path, image_log, code, why);
}

enum code catalog_image_check(struct catalog *catalog, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_check_whole(catalog->database, why);
}
