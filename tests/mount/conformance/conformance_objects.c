/* Each operation on each kind of object: what it answers, and what is there afterwards.
 *
 * Paths that end in a slash, lead through something else or are too long are objects too.  Devices are not opened: what they
 * answer is theirs, and a mount may forbid it. */
#include "conformance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NAME_51  "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define NAME_255 NAME_51 NAME_51 NAME_51 NAME_51 NAME_51

void make_file(const char *path, mode_t mode)
{
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    require(file, path);
    require(write(file, "abc", 3), path);
    close(file);
    require(chmod(path, mode), path);
}

void make_folder(const char *path, mode_t mode)
{
    require(mkdir(path, 0700), path);
    require(chmod(path, mode), path);
}

static void make_plain(void)
{
    make_file("file", 0644);
}

static void make_two_names(void)
{
    make_file("file", 0644);
    require(link("file", "other"), "link");
}

static void make_empty(void)
{
    make_folder("folder", 0755);
}

static void make_full(void)
{
    make_folder("folder", 0755);
    make_file("folder/inner", 0600);
}

static void make_link_to_file(void)
{
    make_plain();
    require(symlink("file", "link"), "symlink");
}

static void make_link_to_folder(void)
{
    make_full();
    require(symlink("folder", "link"), "symlink");
}

static void make_dangling(void)
{
    require(symlink("nowhere", "link"), "symlink");
}

static void make_loop(void)
{
    require(symlink("link", "link"), "symlink");
}

static void make_pipe(void)
{
    require(mkfifo("pipe", 0640), "mkfifo");
}

static void make_socket(void)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(listener, "socket");
    require(bind(listener, (const struct sockaddr *)&address, sizeof address), "bind");
    close(listener);
}

static void make_long(void)
{
    make_file(NAME_255, 0644);
}

const struct object objects[] = {
    {"nothing", "none", NULL},
    {"file", "file", make_plain},
    {"file with two names", "file", make_two_names},
    {"empty folder", "folder", make_empty},
    {"full folder", "folder", make_full},
    {"link to a file", "link", make_link_to_file},
    {"link to a folder", "link", make_link_to_folder},
    {"dangling link", "link", make_dangling},
    {"link to itself", "link", make_loop},
    {"pipe", "pipe", make_pipe},
    {"socket", "socket", make_socket},
    {"longest name", NAME_255, make_long},
    {"too long a name", NAME_255 "n", NULL},
    {"path through nothing", "none/inner", NULL},
    {"path through a file", "file/inner", make_plain},
    {"path through a link to itself", "link/inner", make_loop},
    {"path through a link to a folder", "link/inner", make_link_to_folder},
    {"path through a pipe", "pipe/inner", make_pipe},
    {"file with a slash", "file/", make_plain},
    {"folder with a slash", "folder/", make_empty},
    {"link to a folder with a slash", "link/", make_link_to_folder},
    {"dangling link with a slash", "link/", make_dangling},
    {"nothing with a slash", "none/", NULL},
    {"folder's dot", "folder/.", make_empty},
    {"folder's dot dot", "folder/..", make_empty},
    {"empty path", "", NULL},
};
const size_t object_count = sizeof objects / sizeof *objects;

/* Operations ------------------------------------------------------------------------------------------------------- */

static long open_with(const char *path, int flags)
{
    int file = open(path, flags | O_NONBLOCK | O_CLOEXEC, 0640);
    if (file >= 0)
        close(file);
    return file < 0 ? -1 : 0;
}

#define OPENING(name, flags)                                                                                                \
    static long name(const char *path)                                                                                      \
    {                                                                                                                       \
        return open_with(path, flags);                                                                                      \
    }

OPENING(open_read, O_RDONLY)
OPENING(open_write, O_WRONLY)
OPENING(open_both, O_RDWR)
OPENING(open_append, O_WRONLY | O_APPEND)
OPENING(open_create, O_WRONLY | O_CREAT)
OPENING(open_create_read, O_RDONLY | O_CREAT)
OPENING(open_exclusive, O_WRONLY | O_CREAT | O_EXCL)
OPENING(open_truncate, O_WRONLY | O_TRUNC)
OPENING(open_create_truncate, O_RDWR | O_CREAT | O_TRUNC)
OPENING(open_folder, O_RDONLY | O_DIRECTORY)
OPENING(open_folder_write, O_RDWR | O_DIRECTORY)
OPENING(open_no_follow, O_RDONLY | O_NOFOLLOW)
OPENING(open_create_no_follow, O_WRONLY | O_CREAT | O_NOFOLLOW)
OPENING(open_path, O_PATH)
OPENING(open_path_no_follow, O_PATH | O_NOFOLLOW)
OPENING(open_sync, O_WRONLY | O_SYNC)

static long do_mkdir(const char *path)
{
    return mkdir(path, 0751);
}

static long do_mkfifo(const char *path)
{
    return mkfifo(path, 0642);
}

static long do_mknod_file(const char *path)
{
    return mknod(path, S_IFREG | 0604, 0);
}

static long do_mknod_socket(const char *path)
{
    return mknod(path, S_IFSOCK | 0604, 0);
}

static long do_symlink(const char *path)
{
    return symlink("some where", path);
}

static long do_link_from(const char *path)
{
    return link(path, "second");
}

static long do_link_from_following(const char *path)
{
    return linkat(AT_FDCWD, path, AT_FDCWD, "second", AT_SYMLINK_FOLLOW);
}

static long do_link_to(const char *path)
{
    make_file("first", 0600);
    return link("first", path);
}

static long do_unlink(const char *path)
{
    return unlink(path);
}

static long do_rmdir(const char *path)
{
    return rmdir(path);
}

static long do_remove_at(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

static long do_stat(const char *path)
{
    struct stat status;
    return stat(path, &status);
}

static long do_read_link(const char *path)
{
    char target[16];
    return readlink(path, target, sizeof target);
}

static long do_chmod(const char *path)
{
    return chmod(path, 0421);
}

static long do_chown(const char *path)
{
    return chown(path, geteuid(), getegid());
}

static long do_lchown(const char *path)
{
    return lchown(path, (uid_t)-1, getegid());
}

static long do_truncate(const char *path)
{
    return truncate(path, 1);
}

static long do_truncate_longer(const char *path)
{
    return truncate(path, 100000);
}

static long do_truncate_negative(const char *path)
{
    return truncate(path, -1);
}

static long do_touch(const char *path)
{
    return utimensat(AT_FDCWD, path, NULL, 0);
}

static long do_touch_link(const char *path)
{
    const struct timespec times[2] = {{1, 2}, {3, 4}};
    return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static long do_access(const char *path)
{
    return access(path, R_OK | W_OK);
}

static long do_enter(const char *path)
{
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long result = chdir(path);
    int error = errno;
    require(fchdir(here), "going back");
    close(here);
    errno = error;
    return result;
}

static long do_rename_away(const char *path)
{
    return rename(path, "elsewhere");
}

static long do_rename_onto(const char *path)
{
    make_file("first", 0600);
    return rename("first", path);
}

static long do_rename_folder_onto(const char *path)
{
    make_folder("first", 0700);
    return rename("first", path);
}

static long do_exchange(const char *path)
{
    make_file("first", 0600);
    return renameat2(AT_FDCWD, "first", AT_FDCWD, path, RENAME_EXCHANGE);
}

static long do_bind(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path || !*path)
        return 0; /* the address would be too long, or of another kind */
    strcpy(address.sun_path, path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    long result = bind(listener, (const struct sockaddr *)&address, sizeof address);
    int error = errno;
    close(listener);
    errno = error;
    return result;
}

static long do_set_attribute(const char *path)
{
    return setxattr(path, "user.colour", "blue", 4, 0);
}

static long do_get_attribute(const char *path)
{
    char value[8];
    return getxattr(path, "user.colour", value, sizeof value);
}

static const struct operation {
    const char *label;
    long (*run)(const char *path);
} operations[] = {
    {"open to read", open_read},
    {"open to write", open_write},
    {"open to read and write", open_both},
    {"open to append", open_append},
    {"open O_CREAT", open_create},
    {"open to read O_CREAT", open_create_read},
    {"open O_CREAT O_EXCL", open_exclusive},
    {"open O_TRUNC", open_truncate},
    {"open O_CREAT O_TRUNC", open_create_truncate},
    {"open O_DIRECTORY", open_folder},
    {"open O_DIRECTORY to write", open_folder_write},
    {"open O_NOFOLLOW", open_no_follow},
    {"open O_CREAT O_NOFOLLOW", open_create_no_follow},
    {"open O_PATH", open_path},
    {"open O_PATH O_NOFOLLOW", open_path_no_follow},
    {"open O_SYNC", open_sync},
    {"mkdir", do_mkdir},
    {"mkfifo", do_mkfifo},
    {"mknod file", do_mknod_file},
    {"mknod socket", do_mknod_socket},
    {"bind", do_bind},
    {"symlink", do_symlink},
    {"link from", do_link_from},
    {"link from, following", do_link_from_following},
    {"link to", do_link_to},
    {"unlink", do_unlink},
    {"rmdir", do_rmdir},
    {"unlinkat AT_REMOVEDIR", do_remove_at},
    {"stat", do_stat},
    {"readlink", do_read_link},
    {"chmod", do_chmod},
    {"chown", do_chown},
    {"lchown", do_lchown},
    {"truncate shorter", do_truncate},
    {"truncate longer", do_truncate_longer},
    {"truncate below zero", do_truncate_negative},
    {"utimensat now", do_touch},
    {"utimensat not following", do_touch_link},
    {"access", do_access},
    {"chdir", do_enter},
    {"rename away", do_rename_away},
    {"rename a file onto it", do_rename_onto},
    {"rename a folder onto it", do_rename_folder_onto},
    {"exchange with a file", do_exchange},
    {"setxattr", do_set_attribute},
    {"getxattr", do_get_attribute},
};

void objects_run(void)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        for (size_t j = 0; j < object_count; j++) {
            case_begin("objects", "%s, %s", operations[i].label, objects[j].label);
            if (objects[j].make)
                objects[j].make();
            int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            require(here, "open");
            case_result(operations[i].run(objects[j].path));
            require(fchmod(here, 0700), "fchmod"); /* "folder/.." was this folder */
            close(here);
            case_list();
            case_end();
        }
}
