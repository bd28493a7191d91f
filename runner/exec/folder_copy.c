/* Copying folders: see folder_copy.h.  Plain POSIX: it works on a mounted lab as on any other folder.  Any thread. */
#include "folder_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "scope.h"

#define COPY_BYTES ((size_t)1 << 20)

struct copying {
    size_t files_left;
    char *bytes; /* COPY_BYTES */
    struct failure *why;
};

static enum code write_whole(int fd, const char *path, const char *bytes, size_t count, struct failure *why)
{
    while (count > 0) {
        ssize_t put = write(fd, bytes, count);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return failure_set_errno(why, errno, "%s: cannot be written", path);
        bytes += put;
        count -= (size_t)put;
    }
    return CODE_OK;
}

static enum code copy_file(struct copying *copying, const char *from, const char *to)
{
    SCOPE_CLOSE int source = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (source < 0)
        return failure_set_errno(copying->why, errno, "%s: cannot be read", from);
    SCOPE_CLOSE int copy = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (copy < 0)
        return failure_set_errno(copying->why, errno, "%s: cannot be made", to);
    for (;;) {
        ssize_t got = read(source, copying->bytes, COPY_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failure_set_errno(copying->why, errno, "%s: cannot be read", from);
        if (got == 0)
            break;
        enum code code = write_whole(copy, to, copying->bytes, (size_t)got, copying->why);
        if (code != CODE_OK)
            return code;
    }
    if (fsync(copy) != 0)
        return failure_set_errno(copying->why, errno, "%s: cannot be written", to);
    return CODE_OK;
}

static enum code copy_folder(struct copying *copying, const char *from, const char *to, int depth_left);

static enum code copy_entry(struct copying *copying, const char *from, const char *to, int depth_left)
{
    struct stat status;
    if (copying->files_left-- == 0)
        return failure_set(copying->why, CODE_TOO_LARGE, "%s: too many files to copy", from);
    if (lstat(from, &status) != 0)
        return failure_set_errno(copying->why, errno, "%s: cannot be read", from);
    if (S_ISREG(status.st_mode))
        return copy_file(copying, from, to);
    if (!S_ISDIR(status.st_mode))
        return failure_set(copying->why, CODE_INVALID, "%s: is neither a file nor a folder (copy what a link points at)",
                           from);
    if (depth_left == 0)
        return failure_set(copying->why, CODE_TOO_LARGE, "%s: too many folders in folders", from);
    return copy_folder(copying, from, to, depth_left - 1);
}

static enum code copy_folder(struct copying *copying, const char *from, const char *to, int depth_left)
{
    if (mkdir(to, 0755) != 0)
        return failure_set_errno(copying->why, errno, "%s: cannot be made", to);
    struct file_names names;
    enum code code = file_list(from, copying->files_left, &names, copying->why);
    for (size_t i = 0; code == CODE_OK && i < names.count; i++) {
        SCOPE_FREE char *inner_from = file_join(from, names.names[i]);
        SCOPE_FREE char *inner_to = file_join(to, names.names[i]);
        if (!inner_from || !inner_to)
            code = failure_set(copying->why, CODE_NO_MEMORY, "%s: out of memory", from);
        else
            code = copy_entry(copying, inner_from, inner_to, depth_left);
    }
    file_names_free(&names);
    return code;
}

enum code folder_copy(const char *from, const char *to, struct folder_copy_limits limits, struct failure *why)
{
    SCOPE_FREE char *bytes = malloc(COPY_BYTES);
    if (!bytes)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", from);
    struct copying copying = {.files_left = limits.files, .bytes = bytes, .why = why};
    return copy_folder(&copying, from, to, limits.depth);
}

static enum code seal_entry(const char *path, struct failure *why)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return failure_set_errno(why, errno, "%s: cannot be read", path);
    if (S_ISDIR(status.st_mode))
        return folder_copy_seal(path, why);
    SCOPE_CLOSE int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, status.st_mode & 0555) != 0 || fsync(fd) != 0)
        return failure_set_errno(why, errno, "%s: cannot be made read-only", path);
    return CODE_OK;
}

enum code folder_copy_seal(const char *folder, struct failure *why)
{
    struct file_names names;
    enum code code = file_list(folder, (size_t)-1, &names, why);
    for (size_t i = 0; code == CODE_OK && i < names.count; i++) {
        SCOPE_FREE char *path = file_join(folder, names.names[i]);
        code = path ? seal_entry(path, why) : failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
    }
    file_names_free(&names);
    if (code != CODE_OK)
        return code;
    SCOPE_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && fsync(fd) != 0 && errno != EINVAL && errno != ENOSYS)
        return failure_set_errno(why, errno, "%s: cannot be written", folder);
    return CODE_OK;
}
