/* Host files: see file.h.  Every function closes what it opened on every path; no state is kept. */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scope.h"

enum code file_read(const char *path, size_t max, struct buffer *out, struct failure *why)
{
    SCOPE_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", path);
    size_t total = 0;
    for (;;) {
        size_t room = max - total < 65536 ? max - total + 1 : 65536;
        char *end = buffer_reserve(out, room);
        if (!end)
            return buffer_check(out, path, why);
        ssize_t got = read(fd, end, room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failure_set_errno(why, errno, "%s: cannot be read", path);
        if (got == 0)
            return CODE_OK;
        total += (size_t)got;
        if (total > max)
            return failure_set(why, CODE_TOO_LARGE, "%s: larger than %zu bytes", path, max);
        out->length += (size_t)got;
        out->data[out->length] = 0;
    }
}

static enum code write_all(int fd, const char *path, const void *bytes, size_t count, struct failure *why)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t put = write(fd, at, count);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return failure_set_errno(why, errno, "%s: cannot be written", path);
        at += put;
        count -= (size_t)put;
    }
    return CODE_OK;
}

static enum code close_written(int *fd, const char *path, struct failure *why)
{
    int closing = *fd;
    *fd = -1;
    if (close(closing) != 0)
        return failure_set_errno(why, errno, "%s: cannot be written", path);
    return CODE_OK;
}

enum code file_replace(const char *path, const void *bytes, size_t count, struct failure *why)
{
    SCOPE_FREE char *temporary = NULL;
    if (asprintf(&temporary, "%s.tmp-%d", path, (int)getpid()) < 0) {
        temporary = NULL;
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    }
    SCOPE_CLOSE int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be created", temporary);
    enum code code = write_all(fd, temporary, bytes, count, why);
    if (code == CODE_OK && fsync(fd) != 0)
        code = failure_set_errno(why, errno, "%s: cannot be written", temporary);
    if (code == CODE_OK)
        code = close_written(&fd, temporary, why);
    if (code == CODE_OK && rename(temporary, path) != 0)
        code = failure_set_errno(why, errno, "%s: cannot be replaced", path);
    if (code != CODE_OK)
        unlink(temporary);
    return code;
}

static enum code put(const char *path, int flags, const void *bytes, size_t count, struct failure *why)
{
    SCOPE_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
    if (fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened for writing", path);
    enum code code = write_all(fd, path, bytes, count, why);
    if (code != CODE_OK)
        return code;
    return close_written(&fd, path, why);
}

enum code file_write(const char *path, const void *bytes, size_t count, struct failure *why)
{
    return put(path, O_TRUNC, bytes, count, why);
}

enum code file_append(const char *path, const void *bytes, size_t count, struct failure *why)
{
    return put(path, O_APPEND, bytes, count, why);
}

enum code file_sync_folder(const char *path, struct failure *why)
{
    SCOPE_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return failure_set_errno(why, errno, "%s: cannot be synced", path);
    return CODE_OK;
}

/* Makes the name of what lies at `path` durable in the folder above; one that may not be read cannot be synced either. */
static enum code sync_name(const char *path, struct failure *why)
{
    const char *slash = strrchr(path, '/');
    SCOPE_FREE char *above = slash ? strndup(path, slash > path ? (size_t)(slash - path) : 1) : strdup(".");
    if (!above)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    return access(above, R_OK) == 0 ? file_sync_folder(above, why) : CODE_OK;
}

/* With `durable`: each that is made, and the last one in any case, since whoever made that may not have. */
static enum code make_folders(const char *path, bool durable, struct failure *why)
{
    SCOPE_FREE char *partial = strdup(path);
    if (!partial)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    for (char *slash = partial + 1; *partial; slash++) {
        if (*slash != '/' && *slash != 0)
            continue;
        char kept = *slash;
        *slash = 0;
        bool made = mkdir(partial, 0777) == 0;
        if (!made && errno != EEXIST && !file_is_folder(partial))
            return failure_set_errno(why, errno, "%s: the folder cannot be made", partial);
        enum code code = durable && (made || kept == 0) ? sync_name(partial, why) : CODE_OK;
        if (code != CODE_OK)
            return code;
        *slash = kept;
        if (kept == 0)
            break;
    }
    if (!file_is_folder(path))
        return failure_set(why, CODE_NOT_DIRECTORY, "%s: is not a folder", path);
    return CODE_OK;
}

enum code file_make_folders(const char *path, struct failure *why)
{
    return make_folders(path, false, why);
}

enum code file_make_folders_durable(const char *path, struct failure *why)
{
    return make_folders(path, true, why);
}

char *file_join(const char *folder, const char *name)
{
    if (name[0] == '/' || folder[0] == 0)
        return strdup(name);
    size_t length = strlen(folder);
    char *joined = NULL;
    if (asprintf(&joined, "%s%s%s", folder, folder[length - 1] == '/' ? "" : "/", name) < 0)
        return NULL;
    return joined;
}

char *file_absolute(const char *path)
{
    if (path[0] == '/')
        return strdup(path);
    SCOPE_FREE char *here = getcwd(NULL, 0);
    return here ? file_join(here, path) : NULL;
}

const char *file_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *file_extension(const char *path)
{
    const char *base = file_base_name(path);
    const char *dot = strrchr(base, '.');
    return dot && dot != base ? dot + 1 : "";
}

bool file_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

bool file_is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum code collect_names(DIR *directory, const char *folder, size_t max, struct file_names *out, struct failure *why)
{
    size_t capacity = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry && errno != 0)
            return failure_set_errno(why, errno, "%s: cannot be listed", folder);
        if (!entry)
            return CODE_OK;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (out->count == max)
            return failure_set(why, CODE_TOO_LARGE, "%s: more than %zu entries", folder, max);
        if (out->count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            char **grown = realloc(out->names, capacity * sizeof *grown);
            if (!grown)
                return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
            out->names = grown;
        }
        if (!(out->names[out->count] = strdup(entry->d_name)))
            return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
        out->count++;
    }
}

enum code file_list(const char *folder, size_t max, struct file_names *out, struct failure *why)
{
    *out = (struct file_names){0};
    DIR *directory = opendir(folder);
    if (!directory)
        return failure_set_errno(why, errno, "%s: cannot be listed", folder);
    enum code code = collect_names(directory, folder, max, out, why);
    closedir(directory);
    if (code != CODE_OK)
        file_names_free(out);
    else if (out->count)
        qsort(out->names, out->count, sizeof *out->names, compare_names);
    return code;
}

void file_names_free(struct file_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct file_names){0};
}

enum code file_remove_tree(const char *path, struct failure *why)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return errno == ENOENT ? CODE_OK : failure_set_errno(why, errno, "%s: cannot be removed", path);
    if (!S_ISDIR(status.st_mode)) {
        if (unlink(path) != 0)
            return failure_set_errno(why, errno, "%s: cannot be removed", path);
        return CODE_OK;
    }
    struct file_names entries;
    enum code code = file_list(path, (size_t)-1, &entries, why);
    for (size_t i = 0; code == CODE_OK && i < entries.count; i++) {
        SCOPE_FREE char *inner = file_join(path, entries.names[i]);
        code = inner ? file_remove_tree(inner, why) : failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    }
    file_names_free(&entries);
    if (code == CODE_OK && rmdir(path) != 0)
        code = failure_set_errno(why, errno, "%s: cannot be removed", path);
    return code;
}
