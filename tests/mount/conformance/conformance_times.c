/* Which times an operation sets: of what it is done to, of the folder that holds it, and of the folder that it comes to.
 * Before each, access and modification are set into the past; a time is named where it has moved. */
#include "conformance.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 12000000 /* longer than the coarsest clock of a file system's times */

struct watched {
    const char *before, *after; /* its path before and after the operation */
    struct stat status;
};

static void age(struct watched *watched)
{
    const struct timespec past[2] = {{1000000000, 1}, {1000000001, 2}};
    require(utimensat(AT_FDCWD, watched->before, past, AT_SYMLINK_NOFOLLOW), watched->before);
    require(lstat(watched->before, &watched->status), watched->before);
}

static bool moved(const struct timespec *before, const struct timespec *after)
{
    return before->tv_sec != after->tv_sec || before->tv_nsec != after->tv_nsec;
}

static void compare(const struct watched *watched)
{
    struct stat now;
    if (lstat(watched->after, &now) != 0 || now.st_ino != watched->status.st_ino)
        return;
    case_say(" %s:%s%s%s", watched->after, moved(&watched->status.st_atim, &now.st_atim) ? " accessed" : "",
             moved(&watched->status.st_mtim, &now.st_mtim) ? " modified" : "",
             moved(&watched->status.st_ctim, &now.st_ctim) ? " changed" : "");
}

static int held; /* open to read and write on a/file */
static char bytes[16];

static long run_read(void)
{
    return pread(held, bytes, 3, 0);
}
static long run_write(void)
{
    return pwrite(held, "xyz", 3, 1);
}
static long run_write_nothing(void)
{
    return pwrite(held, "", 0, 0);
}
static long run_ftruncate(void)
{
    return ftruncate(held, 1);
}
static long run_ftruncate_same(void)
{
    return ftruncate(held, 3);
}
static long run_truncate_same(void)
{
    return truncate("a/file", 3);
}
static long run_fallocate(void)
{
    return posix_fallocate(held, 0, 100) ? -1 : 0;
}
static long run_open_truncate(void)
{
    return close(open("a/file", O_WRONLY | O_TRUNC | O_CLOEXEC));
}
static long run_open_truncate_empty(void)
{
    return close(open("a/empty", O_WRONLY | O_TRUNC | O_CLOEXEC));
}
static long run_open(void)
{
    return close(open("a/file", O_RDWR | O_CLOEXEC));
}
static long run_open_existing(void)
{
    return close(open("a/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}
static long run_create(void)
{
    return close(open("a/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}
static long run_chmod(void)
{
    return chmod("a/file", 0600);
}
static long run_chmod_same(void)
{
    return chmod("a/file", 0644);
}
static long run_chown(void)
{
    return chown("a/file", geteuid(), getegid());
}
static long run_chown_nothing(void)
{
    return chown("a/file", (uid_t)-1, (gid_t)-1);
}
static long run_link(void)
{
    return link("a/file", "b/link");
}
static long run_unlink(void)
{
    return unlink("a/file");
}
static long run_unlink_one(void)
{
    return unlink("a/other");
}
static long run_symlink(void)
{
    return symlink("x", "a/link");
}
static long run_mkdir(void)
{
    return mkdir("a/new", 0700);
}
static long run_mkfifo(void)
{
    return mkfifo("a/new", 0700);
}
static long run_rmdir(void)
{
    return rmdir("a/folder");
}
static long run_rename(void)
{
    return rename("a/file", "a/moved");
}
static long run_rename_away(void)
{
    return rename("a/file", "b/moved");
}
static long run_rename_folder(void)
{
    return rename("a/folder", "b/folder");
}
static long run_rename_over(void)
{
    return rename("a/file", "a/other");
}
static long run_rename_same(void)
{
    return rename("a/file", "a/file");
}
static long run_exchange(void)
{
    return renameat2(AT_FDCWD, "a/file", AT_FDCWD, "b/file", RENAME_EXCHANGE);
}
static long run_set_attribute(void)
{
    return setxattr("a/file", "user.a", "x", 1, 0);
}
static long run_remove_attribute(void)
{
    return removexattr("a/marked", "user.a");
}
static long run_stat(void)
{
    return access("a/file", R_OK);
}
static long run_utime_now(void)
{
    return utimensat(AT_FDCWD, "a/file", NULL, 0);
}

static long touch(long access_ns, long modify_ns)
{
    const struct timespec times[2] = {{1234567890, access_ns}, {1234567891, modify_ns}};
    return utimensat(AT_FDCWD, "a/file", times, 0);
}

static long run_utime_access(void)
{
    return touch(5, UTIME_OMIT);
}
static long run_utime_modify(void)
{
    return touch(UTIME_OMIT, 5);
}
static long run_utime_none(void)
{
    return touch(UTIME_OMIT, UTIME_OMIT);
}
static long run_utime_wrong(void)
{
    return touch(1000000000, 0);
}

static const struct {
    const char *label;
    long (*run)(void);
} operations[] = {
    {"read", run_read},
    {"write", run_write},
    {"write nothing", run_write_nothing},
    {"ftruncate", run_ftruncate},
    {"ftruncate to the same size", run_ftruncate_same},
    {"truncate to the same size", run_truncate_same},
    {"fallocate", run_fallocate},
    {"open O_TRUNC", run_open_truncate},
    {"open O_TRUNC an empty file", run_open_truncate_empty},
    {"open", run_open},
    {"open O_CREAT what exists", run_open_existing},
    {"open O_CREAT", run_create},
    {"chmod", run_chmod},
    {"chmod to the same", run_chmod_same},
    {"chown", run_chown},
    {"chown of nothing", run_chown_nothing},
    {"link", run_link},
    {"unlink", run_unlink},
    {"unlink one name", run_unlink_one},
    {"symlink", run_symlink},
    {"mkdir", run_mkdir},
    {"mkfifo", run_mkfifo},
    {"rmdir", run_rmdir},
    {"rename", run_rename},
    {"rename to another folder", run_rename_away},
    {"rename a folder", run_rename_folder},
    {"rename onto another", run_rename_over},
    {"rename onto itself", run_rename_same},
    {"exchange", run_exchange},
    {"setxattr", run_set_attribute},
    {"removexattr", run_remove_attribute},
    {"access", run_stat},
    {"utimensat now", run_utime_now},
    {"utimensat of access only", run_utime_access},
    {"utimensat of modification only", run_utime_modify},
    {"utimensat of nothing", run_utime_none},
    {"utimensat of impossible nanoseconds", run_utime_wrong},
};

static void prepare(void)
{
    make_folder("a", 0755);
    make_folder("b", 0755);
    make_folder("a/folder", 0755);
    make_file("a/file", 0644);
    make_file("b/file", 0644);
    make_file("a/marked", 0644);
    require(setxattr("a/marked", "user.a", "x", 1, 0), "setxattr");
    require(link("a/marked", "a/other"), "link");
    int empty = open("a/empty", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    require(empty, "open");
    close(empty);
    held = open("a/file", O_RDWR | O_CLOEXEC);
    require(held, "open");
}

static void moving(size_t i)
{
    struct watched watched[] = {
        {"a", "a", {0}},
        {"b", "b", {0}},
        {"a/file", "a/file", {0}},
        {"a/file", "a/moved", {0}},
        {"a/file", "b/moved", {0}},
        {"a/marked", "a/marked", {0}},
        {"a/file", "a/other", {0}},
        {"a/file", "b/file", {0}},
        {"b/file", "a/file", {0}},
        {"a/folder", "a/folder", {0}},
        {"a/folder", "b/folder", {0}},
        {"a/empty", "a/empty", {0}},
    };
    const size_t count = sizeof watched / sizeof *watched;
    case_begin("times", "%s", operations[i].label);
    prepare();
    for (size_t j = count; j-- > 0;)
        age(&watched[j]);
    for (size_t j = 0; j < count; j++)
        require(lstat(watched[j].before, &watched[j].status), "lstat");
    nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
    case_result(operations[i].run());
    for (size_t j = 0; j < count; j++)
        compare(&watched[j]);
    close(held);
    case_end();
}

/* Times come back as they were set, to the nanosecond. */
static void kept(void)
{
    static const struct timespec values[] = {{0, 0},           {0, 1},          {1, 999999999},   {-1, 0},
                                             {-1, 999999999},  {2147483647, 5}, {-2147483648, 0}, {2147483648, 9},
                                             {4294967296, 11}, {7000000000, 13}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        case_begin("times", "kept %lld.%09ld", (long long)values[i].tv_sec, values[i].tv_nsec);
        make_file("file", 0644);
        const struct timespec times[2] = {values[i], values[i]};
        struct stat status;
        case_result(utimensat(AT_FDCWD, "file", times, 0));
        require(lstat("file", &status), "lstat");
        case_say(" %lld.%09ld %lld.%09ld", (long long)status.st_atim.tv_sec, status.st_atim.tv_nsec,
                 (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
        case_end();
    }
}

void times_run(void)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        moving(i);
    kept();
}
