/* Mounting: see session_mount.h.
 *
 * This is done here and not by libfuse, because libfuse's own unmounting goes by the path once more when the session is
 * freed: with files still open, that could hit a mount which another process has made there meanwhile.
 *
 * fusermount3 is set-uid root.  It mounts for us and passes the open device back over the socket that _FUSE_COMMFD
 * names (the protocol of fusermount(1): one byte with the descriptor beside it).
 *
 * Mode bits are enforced by the kernel (default_permissions), on the mode, owner and group that the session shows.  Where
 * root mounts for itself alone they forbid nothing, but to run a file that nobody may run, which session_names.c answers:
 * there the kernel need not ask for a folder's attributes anew after each file that is made in it. */
#include "session_mount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "buffer.h"
#include "logging.h"
#include "scope.h"
#include "session_state.h"

extern char **environ;

#define HELPER "fusermount3"

/* Waits for fusermount3's end. What it says of a refusal comes through `words`; it is short, so the pipe holds it. */
static enum code await_helper(pid_t child, int words, struct failure *why)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return failure_set_errno(why, errno, "waiting for %s", HELPER);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return CODE_OK;
    char said[256];
    fcntl(words, F_SETFL, O_NONBLOCK); /* whoever it left running may hold the other end */
    ssize_t count = read(words, said, sizeof said);
    const char *own = count > 13 && memcmp(said, HELPER ": ", 13) == 0 ? said + 13 : said; /* its name is told once */
    int length = count > 0 ? (int)(count - (own - said)) : 0;
    while (length > 0 && (unsigned char)own[length - 1] <= ' ')
        length--;
    return failure_set(why, CODE_DENIED, "%s refused: %.*s", HELPER, length, length ? own : "");
}

/* Runs fusermount3 and waits for it.  `peer`, unless negative, is inherited and named in _FUSE_COMMFD. */
static enum code run_helper(const char *const *arguments, int peer, struct failure *why)
{
    char variable[32];
    snprintf(variable, sizeof variable, "_FUSE_COMMFD=%d", peer);
    size_t count = 0;
    while (environ[count])
        count++;
    SCOPE_FREE char **environment = calloc(count + 2, sizeof *environment);
    if (!environment)
        return failure_set(why, CODE_NO_MEMORY, "running %s: no memory", HELPER);
    memcpy(environment, environ, count * sizeof *environment);
    environment[count] = peer >= 0 ? variable : NULL;

    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return failure_set_errno(why, errno, "running %s", HELPER);
    SCOPE_CLOSE int words = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    pid_t child;
    int error = posix_spawnp(&child, HELPER, &actions, NULL, (char *const *)arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error == ENOENT)
        return failure_set(why, CODE_UNSUPPORTED,
                           "%s, by which users mount, is not in PATH: install it (apt install fuse3), or mount as root",
                           HELPER);
    if (error)
        return failure_set_errno(why, error, "running %s", HELPER);
    return await_helper(child, words, why);
}

enum code session_mount_remove(const char *mountpoint, struct failure *why)
{
    if (umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == EINVAL || errno == ENOENT)
        return CODE_OK; /* or it was no mountpoint any more */
    if (errno != EPERM)
        return failure_set_errno(why, errno, "unmounting %s", mountpoint);
    const char *const arguments[] = {HELPER, "-u", "-q", "-z", "--", mountpoint, NULL};
    enum code code = run_helper(arguments, -1, why);
    return code == CODE_OK ? CODE_OK : failure_wrap(why, code, "unmounting %s", mountpoint);
}

/* Where a file system server died, every request gives ENOTCONN, or ECONNABORTED where it was under way just then.  The
 * kernel may still answer open(2) and stat(2) from what it was told before; so it is made to ask. */
static bool is_dead(const char *mountpoint)
{
    struct statx status;
    SCOPE_CLOSE int folder = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0 && statx(folder, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &status) == 0)
        return false;
    return errno == ENOTCONN || errno == ECONNABORTED;
}

static enum code clear_dead_mount(const char *mountpoint, struct failure *why)
{
    if (!is_dead(mountpoint))
        return CODE_OK;
    enum code code = session_mount_remove(mountpoint, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "a server that is gone left %s mounted", mountpoint);
    logging_warning("%s was still mounted by a server that is gone: unmounted it", mountpoint);
    return CODE_OK;
}

static enum code check_empty(const char *mountpoint, struct failure *why)
{
    DIR *folder = opendir(mountpoint);
    if (!folder)
        return failure_set_errno(why, errno, "mounting on %s", mountpoint);
    const struct dirent *entry;
    bool empty = true;
    while (empty && (entry = readdir(folder)))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(folder);
    if (empty)
        return CODE_OK;
    struct statx status;
    if (statx(AT_FDCWD, mountpoint, AT_NO_AUTOMOUNT, 0, &status) == 0 && (status.stx_attributes & STATX_ATTR_MOUNT_ROOT))
        return failure_set(why, CODE_BUSY, "mounting on %s: something is mounted there already (unmount it first: %s -u %s)",
                           mountpoint, HELPER, mountpoint);
    return failure_set(why, CODE_NOT_EMPTY,
                       "mounting on %s: the folder is not empty, and a mount would hide its files "
                       "(name an empty folder)",
                       mountpoint);
}

enum code session_mount_prepare(const char *mountpoint, char **absolute, struct failure *why)
{
    /* realpath would stop at a dead mount, so that goes first, by the path as given. */
    enum code code = clear_dead_mount(mountpoint, why);
    if (code != CODE_OK)
        return code;
    SCOPE_FREE char *path = realpath(mountpoint, NULL);
    if (!path && errno == ENOENT)
        return failure_set(why, CODE_NOT_FOUND, "mounting on %s: there is no such folder (make it first: mkdir %s)",
                           mountpoint, mountpoint);
    if (!path)
        return failure_set_errno(why, errno, "mounting on %s", mountpoint);
    code = check_empty(path, why);
    if (code != CODE_OK)
        return code;
    *absolute = path;
    path = NULL;
    return CODE_OK;
}

static enum code mount_as_root(const char *mountpoint, const char *label, bool allow_other, int *fd, struct failure *why)
{
    SCOPE_CLOSE int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device < 0)
        return failure_set_errno(why, errno, "opening /dev/fuse (is the kernel module fuse loaded?)");
    char options[128];
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%u,group_id=%u%s", device, geteuid(), getegid(),
             allow_other ? ",allow_other,default_permissions" : "");
    if (mount(label, mountpoint, "fuse.cytofs", MS_NOSUID | MS_NODEV, options) != 0)
        return failure_set_errno(why, errno, "mounting on %s", mountpoint);
    *fd = device;
    device = -1;
    return CODE_OK;
}

static enum code receive_device(int from, int *fd, struct failure *why)
{
    char byte;
    struct iovec part = {&byte, 1};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got;
    do
        got = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
        return failure_set(why, CODE_IO, "%s passed no device back", HELPER);
    memcpy(fd, CMSG_DATA(header), sizeof *fd);
    return CODE_OK;
}

static enum code mount_by_helper(const char *mountpoint, const char *label, bool allow_other, int *fd, struct failure *why)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return failure_set_errno(why, errno, "making a socket for %s", HELPER);
    SCOPE_CLOSE int ours = pair[0];
    SCOPE_CLOSE int theirs = pair[1];
    fcntl(theirs, F_SETFD, 0);
    SCOPE_BUFFER options = {.max = 1024};
    buffer_printf(&options, "fsname=%s,subtype=cytofs,default_permissions%s", label, allow_other ? ",allow_other" : "");
    enum code code = buffer_check(&options, "the mount's label", why);
    if (code != CODE_OK)
        return code;
    const char *const arguments[] = {HELPER, "-o", options.data, "--", mountpoint, NULL};
    code = run_helper(arguments, theirs, why);
    if (code == CODE_OK)
        code = receive_device(ours, fd, why);
    return code == CODE_OK ? CODE_OK : failure_wrap(why, code, "mounting on %s", mountpoint);
}

enum code session_mount(const char *mountpoint, const char *label, bool allow_other, int *fd, struct failure *why)
{
    if (strpbrk(label, ",\\"))
        return failure_set(why, CODE_INVALID, "the mount's label \"%s\" must not hold a comma or a backslash", label);
    if (geteuid() == 0) {
        enum code code = mount_as_root(mountpoint, label, allow_other, fd, why);
        if (code != CODE_NOT_PERMITTED)
            return code;
        /* Root without the capability to mount, as in a container: like anyone else. */
    }
    return mount_by_helper(mountpoint, label, allow_other, fd, why);
}

void session_mount_widen_reads(const char *mountpoint)
{
    struct statx status;
    char path[128], text[16];
    if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &status) != 0)
        return;
    snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", status.stx_dev_major, status.stx_dev_minor);
    SCOPE_CLOSE int setting = open(path, O_WRONLY | O_CLOEXEC);
    int length = snprintf(text, sizeof text, "%u", SESSION_WRITE_MAX / 1024);
    if (setting < 0 || write(setting, text, (size_t)length) != length)
        logging_trace(TRACE_SESSION, "%s stays as it is: %s", path, strerror(errno));
}
