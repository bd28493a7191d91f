/* A folder shown in another place through FUSE, and nothing else: what a file system in user space costs before it does
 * anything.  It stands beside ours where speed and conformance are compared (tests/bench/fs).
 *
 *     passthrough SOURCE MOUNTPOINT [options of libfuse]
 *
 * Each operation is one system call relative to SOURCE.  Run by root for others (-o allow_other,default_permissions),
 * what is made belongs to whoever asked, as in a file system of the kernel.  The kernel's pages are kept from one open
 * to the next, and attributes for a second, so SOURCE must not be changed beside the mount.  libfuse's threads. */
#define FUSE_USE_VERSION 314
#include <fuse.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PATH_BYTES_MAX 8192
#define MESSAGE_BYTES  (1u << 20)

static int source; /* the folder that is shown */
static char source_path[PATH_BYTES_MAX / 2];

/* Relative to `source`: without the leading slash, "." for the root. */
static const char *below(const char *path)
{
    return path[1] ? path + 1 : ".";
}

/* For calls that know no descriptor of a folder. */
static const char *full(const char *path, char joined[PATH_BYTES_MAX])
{
    snprintf(joined, PATH_BYTES_MAX, "%s%s", source_path, path);
    return joined;
}

static int result_of(long result)
{
    return result < 0 ? -errno : 0;
}

/* Makes a new entry the caller's; a folder with the set-group bit keeps its group. */
static int give_to_caller(const char *path)
{
    const struct fuse_context *caller = fuse_get_context();
    if (geteuid() != 0 || caller->uid == 0)
        return 0;
    char parent[PATH_BYTES_MAX];
    struct stat status, above;
    snprintf(parent, sizeof parent, "%s", path);
    *strrchr(parent, '/') = '\0';
    if (fstatat(source, parent[0] ? parent + 1 : ".", &above, 0) != 0 ||
        fstatat(source, below(path), &status, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    gid_t group = above.st_mode & S_ISGID ? above.st_gid : caller->gid;
    int result = result_of(fchownat(source, below(path), caller->uid, group, AT_SYMLINK_NOFOLLOW));
    if (result == 0 && S_ISREG(status.st_mode) && status.st_mode & 07000) /* chown has cleared some */
        result = result_of(fchmodat(source, below(path), status.st_mode & 07777, 0));
    return result;
}

static void *on_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
    connection->max_write = MESSAGE_BYTES;
    connection->max_background = 64;
    connection->time_gran = 1;
    config->use_ino = 1;
    config->kernel_cache = 1;
    config->nullpath_ok = 1;
    config->hard_remove = 1;
    return NULL;
}

static int on_getattr(const char *path, struct stat *status, struct fuse_file_info *file)
{
    if (file)
        return result_of(fstat((int)file->fh, status));
    return result_of(fstatat(source, below(path), status, AT_SYMLINK_NOFOLLOW));
}

static int on_readlink(const char *path, char *target, size_t size)
{
    ssize_t length = readlinkat(source, below(path), target, size - 1);
    if (length < 0)
        return -errno;
    target[length] = '\0';
    return 0;
}

static int on_mknod(const char *path, mode_t mode, dev_t device)
{
    int result = result_of(mknodat(source, below(path), mode, device));
    return result ? result : give_to_caller(path);
}

static int on_mkdir(const char *path, mode_t mode)
{
    int result = result_of(mkdirat(source, below(path), mode));
    return result ? result : give_to_caller(path);
}

static int on_unlink(const char *path)
{
    return result_of(unlinkat(source, below(path), 0));
}

static int on_rmdir(const char *path)
{
    return result_of(unlinkat(source, below(path), AT_REMOVEDIR));
}

static int on_symlink(const char *target, const char *path)
{
    int result = result_of(symlinkat(target, source, below(path)));
    return result ? result : give_to_caller(path);
}

static int on_rename(const char *from, const char *to, unsigned flags)
{
    return result_of(renameat2(source, below(from), source, below(to), flags));
}

static int on_link(const char *from, const char *to)
{
    return result_of(linkat(source, below(from), source, below(to), 0));
}

static int on_chmod(const char *path, mode_t mode, struct fuse_file_info *file)
{
    return result_of(file ? fchmod((int)file->fh, mode) : fchmodat(source, below(path), mode, 0));
}

static int on_chown(const char *path, uid_t user, gid_t group, struct fuse_file_info *file)
{
    return result_of(file ? fchown((int)file->fh, user, group)
                          : fchownat(source, below(path), user, group, AT_SYMLINK_NOFOLLOW));
}

static int on_truncate(const char *path, off_t size, struct fuse_file_info *file)
{
    char joined[PATH_BYTES_MAX];
    return result_of(file ? ftruncate((int)file->fh, size) : truncate(full(path, joined), size));
}

static int on_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *file)
{
    return result_of(file ? futimens((int)file->fh, times) : utimensat(source, below(path), times, AT_SYMLINK_NOFOLLOW));
}

/* libfuse passes O_APPEND on; the kernel has computed the offset already. */
static int open_below(const char *path, int flags, mode_t mode, struct fuse_file_info *file)
{
    int fd = openat(source, below(path), (flags & ~O_APPEND) | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return -errno;
    file->fh = (uint64_t)fd;
    file->noflush = 1;
    return 0;
}

static int on_open(const char *path, struct fuse_file_info *file)
{
    return open_below(path, file->flags, 0, file);
}

static int on_create(const char *path, mode_t mode, struct fuse_file_info *file)
{
    int result = open_below(path, file->flags | O_CREAT, mode, file);
    return result ? result : give_to_caller(path);
}

static int on_read(const char *path, char *bytes, size_t count, off_t offset, struct fuse_file_info *file)
{
    (void)path;
    ssize_t got = pread((int)file->fh, bytes, count, offset);
    return got < 0 ? -errno : (int)got;
}

static int on_write(const char *path, const char *bytes, size_t count, off_t offset, struct fuse_file_info *file)
{
    (void)path;
    ssize_t put = pwrite((int)file->fh, bytes, count, offset);
    return put < 0 ? -errno : (int)put;
}

static int on_statfs(const char *path, struct statvfs *numbers)
{
    (void)path;
    return result_of(fstatvfs(source, numbers));
}

static int on_release(const char *path, struct fuse_file_info *file)
{
    (void)path;
    close((int)file->fh);
    return 0;
}

static int on_fsync(const char *path, int data_only, struct fuse_file_info *file)
{
    (void)path;
    return result_of(data_only ? fdatasync((int)file->fh) : fsync((int)file->fh));
}

static int on_setxattr(const char *path, const char *name, const char *value, size_t size, int flags)
{
    char joined[PATH_BYTES_MAX];
    return result_of(lsetxattr(full(path, joined), name, value, size, flags));
}

static int on_getxattr(const char *path, const char *name, char *value, size_t size)
{
    char joined[PATH_BYTES_MAX];
    ssize_t length = lgetxattr(full(path, joined), name, value, size);
    return length < 0 ? -errno : (int)length;
}

static int on_listxattr(const char *path, char *names, size_t size)
{
    char joined[PATH_BYTES_MAX];
    ssize_t length = llistxattr(full(path, joined), names, size);
    return length < 0 ? -errno : (int)length;
}

static int on_removexattr(const char *path, const char *name)
{
    char joined[PATH_BYTES_MAX];
    return result_of(lremovexattr(full(path, joined), name));
}

static int on_opendir(const char *path, struct fuse_file_info *file)
{
    int fd = openat(source, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return -error;
    }
    file->fh = (uint64_t)(uintptr_t)folder;
    return 0;
}

static int on_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *file,
                      enum fuse_readdir_flags flags)
{
    (void)path;
    DIR *folder = (DIR *)(uintptr_t)file->fh;
    if (offset != telldir(folder))
        seekdir(folder, offset);
    for (struct dirent *entry; (entry = readdir(folder));) {
        struct stat status = {.st_ino = entry->d_ino, .st_mode = (mode_t)entry->d_type << 12};
        bool plus = flags & FUSE_READDIR_PLUS && fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0;
        if (fill(buffer, entry->d_name, &status, telldir(folder), plus ? FUSE_FILL_DIR_PLUS : 0))
            break;
    }
    return 0;
}

static int on_releasedir(const char *path, struct fuse_file_info *file)
{
    (void)path;
    closedir((DIR *)(uintptr_t)file->fh);
    return 0;
}

static int on_fsyncdir(const char *path, int data_only, struct fuse_file_info *file)
{
    (void)path;
    (void)data_only;
    return result_of(fsync(dirfd((DIR *)(uintptr_t)file->fh)));
}

static int on_fallocate(const char *path, int mode, off_t offset, off_t count, struct fuse_file_info *file)
{
    (void)path;
    return result_of(fallocate((int)file->fh, mode, offset, count));
}

static int on_flock(const char *path, struct fuse_file_info *file, int operation)
{
    (void)path;
    return result_of(flock((int)file->fh, operation));
}

static ssize_t on_copy_file_range(const char *from_path, struct fuse_file_info *from, off_t from_offset, const char *to_path,
                                  struct fuse_file_info *to, off_t to_offset, size_t count, int flags)
{
    (void)from_path;
    (void)to_path;
    ssize_t copied = copy_file_range((int)from->fh, &from_offset, (int)to->fh, &to_offset, count, (unsigned)flags);
    return copied < 0 ? -errno : copied;
}

static off_t on_lseek(const char *path, off_t offset, int whence, struct fuse_file_info *file)
{
    (void)path;
    off_t found = lseek((int)file->fh, offset, whence);
    return found < 0 ? -errno : found;
}

static const struct fuse_operations operations = {
    .init = on_init,
    .getattr = on_getattr,
    .readlink = on_readlink,
    .mknod = on_mknod,
    .mkdir = on_mkdir,
    .unlink = on_unlink,
    .rmdir = on_rmdir,
    .symlink = on_symlink,
    .rename = on_rename,
    .link = on_link,
    .chmod = on_chmod,
    .chown = on_chown,
    .truncate = on_truncate,
    .utimens = on_utimens,
    .open = on_open,
    .create = on_create,
    .read = on_read,
    .write = on_write,
    .statfs = on_statfs,
    .release = on_release,
    .fsync = on_fsync,
    .setxattr = on_setxattr,
    .getxattr = on_getxattr,
    .listxattr = on_listxattr,
    .removexattr = on_removexattr,
    .opendir = on_opendir,
    .readdir = on_readdir,
    .releasedir = on_releasedir,
    .fsyncdir = on_fsyncdir,
    .fallocate = on_fallocate,
    .flock = on_flock,
    .copy_file_range = on_copy_file_range,
    .lseek = on_lseek,
};

int main(int argc, char **argv)
{
    if (argc < 3 || !realpath(argv[1], source_path)) {
        fprintf(stderr, "usage: passthrough SOURCE MOUNTPOINT [options of libfuse]\n");
        return 2;
    }
    source = open(source_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (source < 0) {
        perror(source_path);
        return 2;
    }
    umask(0);
    argv[1] = argv[0];
    return fuse_main(argc - 1, argv + 1, &operations, NULL);
}
