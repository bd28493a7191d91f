/* The C library's calls, watched: see disk_calls.h.
 *
 * A call and its entry in the record are made under one lock, so that the record's order is the order in which the files
 * changed.  But for syncs, which begin at one moment and end at another: they cover what was recorded when they began.
 *
 * A descriptor is watched from its opening to its closing; seen[fd] is its object's number + 1.  The 64-bit names are what
 * most programs call.
 */
#undef _FILE_OFFSET_BITS /* both names of each call are defined here */

#include "disk_calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct disk_watch watch;
static size_t root_length;
static uint32_t seen[DESCRIPTORS_MAX];

/* The call of this name that the program would have reached without this file. */
#define NEXT(name)                                                                                                          \
    __extension__({                                                                                                         \
        static __typeof__(&name) next;                                                                                      \
        if (!next)                                                                                                          \
            *(void **)&next = dlsym(RTLD_NEXT, #name);                                                                      \
        next;                                                                                                               \
    })

void disk_calls_watch(const struct disk_watch *wanted)
{
    pthread_mutex_lock(&lock);
    watch = wanted ? *wanted : (struct disk_watch){0};
    root_length = wanted ? strlen(wanted->root) : 0;
    if (!wanted || !wanted->record)
        memset(seen, 0, sizeof seen);
    pthread_mutex_unlock(&lock);
}

void disk_calls_mark(uint64_t mark)
{
    pthread_mutex_lock(&lock);
    if (watch.record)
        disk_record_mark(watch.record, mark);
    pthread_mutex_unlock(&lock);
}

static bool is_seen(int fd)
{
    return watch.root && fd >= 0 && fd < DESCRIPTORS_MAX && seen[fd];
}

static int object_of(int fd)
{
    return (int)seen[fd] - 1;
}

/* The path relative to the root, in `out`; NULL where it is not below it. */
static const char *watched_path(int folder, const char *path, char out[PATH_MAX])
{
    char whole[PATH_MAX * 2], base[PATH_MAX], link[64];
    if (!watch.root)
        return NULL;
    if (path[0] == '/') {
        snprintf(whole, sizeof whole, "%s", path);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(folder == AT_FDCWD ? "/proc/self/cwd" : link, base, sizeof base - 1);
        if (length < 0)
            return NULL;
        base[length] = '\0';
        snprintf(whole, sizeof whole, "%s/%s", base, path);
    }
    if (strncmp(whole, watch.root, root_length) != 0 || (whole[root_length] != '/' && whole[root_length] != '\0'))
        return NULL;
    const char *from = whole + root_length;
    size_t length = 0;
    for (; *from; from++) /* without doubled slashes, and none at the beginning or the end */
        if (*from != '/' || (from[1] != '/' && from[1] != '\0' && length > 0))
            out[length++] = *from;
    out[length] = '\0';
    return out;
}

/* Whether the call fails; *error is then in errno. */
static bool is_refused(enum disk_call call, size_t *count)
{
    int error = watch.refuse ? watch.refuse(watch.context, call, count) : 0;
    if (error)
        errno = error;
    return error != 0;
}

/* Opening and closing ----------------------------------------------------------------------------------------------- */

static int open_watched(int folder, const char *path, int flags, mode_t mode)
{
    char relative[PATH_MAX];
    const char *name = watched_path(folder, path, relative);
    if (!name)
        return NEXT(openat64)(folder, path, flags, mode);
    if (is_refused(DISK_CALL_OPEN, NULL))
        return -1;
    pthread_mutex_lock(&lock);
    struct disk_record *record = watch.record;
    int object = record ? disk_record_find(record, name) : 0;
    int fd = NEXT(openat64)(folder, path, flags, mode);
    if (fd >= 0 && record) {
        if (object < 0)
            object = disk_record_made(record, name, false);
        else if (flags & O_TRUNC)
            disk_record_size(record, object, 0);
    }
    if (fd >= 0 && fd < DESCRIPTORS_MAX)
        seen[fd] = (uint32_t)object + 1;
    pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t mode_argument(int flags, va_list arguments)
{
    return flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(arguments, int) : 0;
}

#define DEFINE_OPEN(name)                                                                                                   \
    int name(const char *path, int flags, ...)                                                                              \
    {                                                                                                                       \
        va_list arguments;                                                                                                  \
        va_start(arguments, flags);                                                                                         \
        mode_t mode = mode_argument(flags, arguments);                                                                      \
        va_end(arguments);                                                                                                  \
        return open_watched(AT_FDCWD, path, flags, mode);                                                                   \
    }
#define DEFINE_OPENAT(name)                                                                                                 \
    int name(int folder, const char *path, int flags, ...)                                                                  \
    {                                                                                                                       \
        va_list arguments;                                                                                                  \
        va_start(arguments, flags);                                                                                         \
        mode_t mode = mode_argument(flags, arguments);                                                                      \
        va_end(arguments);                                                                                                  \
        return open_watched(folder, path, flags, mode);                                                                     \
    }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

int close(int fd)
{
    if (fd >= 0 && fd < DESCRIPTORS_MAX)
        seen[fd] = 0;
    return NEXT(close)(fd);
}

/* Bytes ----------------------------------------------------------------------------------------------------------------- */

static void note_bytes(int fd, uint64_t offset, const void *bytes, ssize_t count)
{
    if (count > 0 && watch.record)
        disk_record_bytes(watch.record, object_of(fd), offset, bytes, (size_t)count);
}

#define DEFINE_PWRITE(name, type)                                                                                           \
    ssize_t name(int fd, const void *bytes, size_t count, type offset)                                                      \
    {                                                                                                                       \
        if (!is_seen(fd))                                                                                                   \
            return NEXT(pwrite64)(fd, bytes, count, offset);                                                                \
        if (is_refused(DISK_CALL_WRITE, &count))                                                                            \
            return -1;                                                                                                      \
        pthread_mutex_lock(&lock);                                                                                          \
        ssize_t put = NEXT(pwrite64)(fd, bytes, count, offset);                                                             \
        note_bytes(fd, (uint64_t)offset, bytes, put);                                                                       \
        pthread_mutex_unlock(&lock);                                                                                        \
        return put;                                                                                                         \
    }
DEFINE_PWRITE(pwrite, off_t)
DEFINE_PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *bytes, size_t count)
{
    if (!is_seen(fd))
        return NEXT(write)(fd, bytes, count);
    if (is_refused(DISK_CALL_WRITE, &count))
        return -1;
    pthread_mutex_lock(&lock);
    ssize_t put = NEXT(write)(fd, bytes, count);
    if (put > 0)
        note_bytes(fd, (uint64_t)(lseek64(fd, 0, SEEK_CUR) - put), bytes, put);
    pthread_mutex_unlock(&lock);
    return put;
}

/* As one write, so that it can be cut short. */
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off64_t offset)
{
    size_t total = 0, at = 0;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    char *joined = malloc(total + 1);
    if (!joined)
        abort();
    for (int i = 0; i < count; at += parts[i++].iov_len)
        memcpy(joined + at, parts[i].iov_base, parts[i].iov_len);
    ssize_t put = offset < 0 ? write(fd, joined, total) : pwrite64(fd, joined, total, offset);
    free(joined);
    return put;
}

#define DEFINE_PWRITEV(name, type)                                                                                          \
    ssize_t name(int fd, const struct iovec *parts, int count, type offset)                                                 \
    {                                                                                                                       \
        return is_seen(fd) ? write_parts(fd, parts, count, offset) : NEXT(pwritev64)(fd, parts, count, offset);             \
    }
DEFINE_PWRITEV(pwritev, off_t)
DEFINE_PWRITEV(pwritev64, off64_t)

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return is_seen(fd) ? write_parts(fd, parts, count, -1) : NEXT(writev)(fd, parts, count);
}

#define DEFINE_PREAD(name, type)                                                                                            \
    ssize_t name(int fd, void *bytes, size_t count, type offset)                                                            \
    {                                                                                                                       \
        if (is_seen(fd) && is_refused(DISK_CALL_READ, &count))                                                              \
            return -1;                                                                                                      \
        return NEXT(pread64)(fd, bytes, count, offset);                                                                     \
    }
DEFINE_PREAD(pread, off_t)
DEFINE_PREAD(pread64, off64_t)

#define DEFINE_PREADV(name, type)                                                                                           \
    ssize_t name(int fd, const struct iovec *parts, int count, type offset)                                                 \
    {                                                                                                                       \
        if (is_seen(fd) && is_refused(DISK_CALL_READ, NULL))                                                                \
            return -1;                                                                                                      \
        return NEXT(preadv64)(fd, parts, count, offset);                                                                    \
    }
DEFINE_PREADV(preadv, off_t)
DEFINE_PREADV(preadv64, off64_t)

ssize_t read(int fd, void *bytes, size_t count)
{
    if (is_seen(fd) && is_refused(DISK_CALL_READ, &count))
        return -1;
    return NEXT(read)(fd, bytes, count);
}

/* Sizes ----------------------------------------------------------------------------------------------------------------- */

#define DEFINE_FTRUNCATE(name, type)                                                                                        \
    int name(int fd, type size)                                                                                             \
    {                                                                                                                       \
        if (!is_seen(fd))                                                                                                   \
            return NEXT(ftruncate64)(fd, size);                                                                             \
        if (is_refused(DISK_CALL_SIZE, NULL))                                                                               \
            return -1;                                                                                                      \
        pthread_mutex_lock(&lock);                                                                                          \
        int result = NEXT(ftruncate64)(fd, size);                                                                           \
        if (result == 0 && watch.record)                                                                                    \
            disk_record_size(watch.record, object_of(fd), (uint64_t)size);                                                  \
        pthread_mutex_unlock(&lock);                                                                                        \
        return result;                                                                                                      \
    }
DEFINE_FTRUNCATE(ftruncate, off_t)
DEFINE_FTRUNCATE(ftruncate64, off64_t)

static int allocate(int fd, int mode, off64_t offset, off64_t count)
{
    if (is_refused(DISK_CALL_WRITE, NULL))
        return -1;
    pthread_mutex_lock(&lock);
    struct stat before;
    int result = fstat(fd, &before) == 0 ? NEXT(fallocate64)(fd, mode, offset, count) : -1;
    if (result == 0 && watch.record) {
        bool zeros = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
        if (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE))
            watch.record->unseen++;
        if (zeros)
            disk_record_zeros(watch.record, object_of(fd), (uint64_t)offset, (uint64_t)count);
        if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + count > before.st_size)
            disk_record_size(watch.record, object_of(fd), (uint64_t)(offset + count));
    }
    pthread_mutex_unlock(&lock);
    return result;
}

#define DEFINE_FALLOCATE(name, type)                                                                                        \
    int name(int fd, int mode, type offset, type count)                                                                     \
    {                                                                                                                       \
        return is_seen(fd) ? allocate(fd, mode, offset, count) : NEXT(fallocate64)(fd, mode, offset, count);                \
    }
DEFINE_FALLOCATE(fallocate, off_t)
DEFINE_FALLOCATE(fallocate64, off64_t)

#define DEFINE_POSIX_FALLOCATE(name, type)                                                                                  \
    int name(int fd, type offset, type count)                                                                               \
    {                                                                                                                       \
        if (!is_seen(fd))                                                                                                   \
            return NEXT(posix_fallocate64)(fd, offset, count);                                                              \
        return allocate(fd, 0, offset, count) == 0 ? 0 : errno;                                                             \
    }
DEFINE_POSIX_FALLOCATE(posix_fallocate, off_t)
DEFINE_POSIX_FALLOCATE(posix_fallocate64, off64_t)

#define DEFINE_MMAP(name, type)                                                                                             \
    void *name(void *address, size_t count, int protection, int flags, int fd, type offset)                                 \
    {                                                                                                                       \
        if (is_seen(fd) && (protection & PROT_WRITE) && (flags & MAP_SHARED) && watch.record)                               \
            watch.record->unseen++;                                                                                         \
        return NEXT(mmap64)(address, count, protection, flags, fd, offset);                                                 \
    }
DEFINE_MMAP(mmap, off_t)
DEFINE_MMAP(mmap64, off64_t)

/* Syncs: sync_file_range promises nothing, so it is not one ---------------------------------------------------------- */

static int sync_watched(int fd, int (*sync)(int))
{
    if (!is_seen(fd))
        return sync(fd);
    if (is_refused(DISK_CALL_SYNC, NULL))
        return -1;
    pthread_mutex_lock(&lock);
    int object = object_of(fd);
    size_t covers = watch.record ? watch.record->count : 0;
    pthread_mutex_unlock(&lock);
    int result = sync(fd);
    pthread_mutex_lock(&lock);
    if (result == 0 && watch.record)
        disk_record_synced(watch.record, object, covers);
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int fd)
{
    return sync_watched(fd, NEXT(fsync));
}

int fdatasync(int fd)
{
    return sync_watched(fd, NEXT(fdatasync));
}

/* Names ----------------------------------------------------------------------------------------------------------------- */

int mkdirat(int folder, const char *path, mode_t mode)
{
    char relative[PATH_MAX];
    const char *name = watched_path(folder, path, relative);
    if (!name)
        return NEXT(mkdirat)(folder, path, mode);
    if (is_refused(DISK_CALL_NAMES, NULL))
        return -1;
    pthread_mutex_lock(&lock);
    int result = NEXT(mkdirat)(folder, path, mode);
    if (result == 0 && watch.record)
        disk_record_made(watch.record, name, true);
    pthread_mutex_unlock(&lock);
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

int unlinkat(int folder, const char *path, int flags)
{
    char relative[PATH_MAX];
    const char *name = watched_path(folder, path, relative);
    if (!name)
        return NEXT(unlinkat)(folder, path, flags);
    if (is_refused(DISK_CALL_NAMES, NULL))
        return -1;
    pthread_mutex_lock(&lock);
    int result = NEXT(unlinkat)(folder, path, flags);
    if (result == 0 && watch.record)
        disk_record_unlinked(watch.record, name);
    pthread_mutex_unlock(&lock);
    return result;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    char from_relative[PATH_MAX], to_relative[PATH_MAX];
    const char *from_name = watched_path(from_folder, from, from_relative);
    const char *to_name = watched_path(to_folder, to, to_relative);
    if (!from_name && !to_name)
        return NEXT(renameat2)(from_folder, from, to_folder, to, flags);
    if (is_refused(DISK_CALL_NAMES, NULL))
        return -1;
    pthread_mutex_lock(&lock);
    int result = NEXT(renameat2)(from_folder, from, to_folder, to, flags);
    if (result == 0 && watch.record && (!from_name || !to_name || flags & RENAME_EXCHANGE))
        watch.record->unseen++;
    else if (result == 0 && watch.record)
        disk_record_moved(watch.record, from_name, to_name);
    pthread_mutex_unlock(&lock);
    return result;
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return renameat2(from_folder, from, to_folder, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    char from_relative[PATH_MAX], to_relative[PATH_MAX];
    const char *from_name = watched_path(from_folder, from, from_relative);
    const char *to_name = watched_path(to_folder, to, to_relative);
    if (!to_name)
        return NEXT(linkat)(from_folder, from, to_folder, to, flags);
    if (is_refused(DISK_CALL_NAMES, NULL))
        return -1;
    pthread_mutex_lock(&lock);
    int result = NEXT(linkat)(from_folder, from, to_folder, to, flags);
    int object = result == 0 && watch.record && from_name ? disk_record_find(watch.record, from_name) : -1;
    if (object >= 0)
        disk_record_linked(watch.record, object, to_name);
    else if (result == 0 && watch.record)
        watch.record->unseen++;
    pthread_mutex_unlock(&lock);
    return result;
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}
