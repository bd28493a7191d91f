/* Who may do what: each operation by each person, for the modes and owners that decide it. */
#include "conformance.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OWNER  61001
#define MEMBER 61002
#define OTHER  61003
#define GROUP  62001
#define ELSE   62002

static const struct person people[] = {
    {"owner", OWNER, GROUP}, {"member", MEMBER, GROUP}, {"other", OTHER, ELSE}, {"root", 0, 0}};
#define PEOPLE (sizeof people / sizeof *people)

static long opened(const char *path, int flags)
{
    int file = open(path, flags | O_CLOEXEC, 0666);
    return file < 0 ? -1 : close(file);
}

static long do_read(const char *path)
{
    return opened(path, O_RDONLY);
}
static long do_write(const char *path)
{
    return opened(path, O_WRONLY);
}
static long do_truncating(const char *path)
{
    return opened(path, O_RDONLY | O_TRUNC);
}
static long do_execute(const char *path)
{
    return access(path, X_OK);
}
static long do_truncate(const char *path)
{
    return truncate(path, 0);
}
static long do_chmod(const char *path)
{
    return chmod(path, 0777);
}
static long do_give_away(const char *path)
{
    return chown(path, OTHER, (gid_t)-1);
}
static long do_own_group(const char *path)
{
    return chown(path, (uid_t)-1, getegid());
}
static long do_other_group(const char *path)
{
    return chown(path, (uid_t)-1, ELSE);
}
static long do_same_owner(const char *path)
{
    return chown(path, OWNER, GROUP);
}
static long do_touch(const char *path)
{
    return utimensat(AT_FDCWD, path, NULL, 0);
}
static long do_attribute(const char *path)
{
    return setxattr(path, "user.a", "x", 1, 0);
}
static long do_read_attribute(const char *path)
{
    return getxattr(path, "user.marked", NULL, 0);
}

static long do_set_times(const char *path)
{
    const struct timespec times[2] = {{5, 0}, {6, 0}};
    return utimensat(AT_FDCWD, path, times, 0);
}

static long do_half_now(const char *path)
{
    const struct timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
    return utimensat(AT_FDCWD, path, times, 0);
}

static long do_list(const char *path)
{
    return opened(path, O_RDONLY | O_DIRECTORY);
}
static long do_enter(const char *path)
{
    return chdir(path);
}
static long do_mkfifo(const char *path)
{
    return chdir(path) != 0 ? -1 : mkfifo("new", 0600);
}
static long do_device(const char *path)
{
    return chdir(path) != 0 ? -1 : mknod("new", S_IFCHR | 0600, 0x0103);
}
static long do_create_in(const char *path)
{
    return chdir(path) != 0 ? -1 : opened("new", O_WRONLY | O_CREAT);
}
static long do_mkdir_in(const char *path)
{
    return chdir(path) != 0 ? -1 : mkdir("new", 0777);
}
static long do_symlink_in(const char *path)
{
    return chdir(path) != 0 ? -1 : symlink("x", "new");
}
static long do_unlink_in(const char *path)
{
    return chdir(path) != 0 ? -1 : unlink("file");
}
static long do_rmdir_in(const char *path)
{
    return chdir(path) != 0 ? -1 : rmdir("folder");
}
static long do_rename_in(const char *path)
{
    return chdir(path) != 0 ? -1 : rename("file", "renamed");
}
static long do_rename_onto_in(const char *path)
{
    return chdir(path) != 0 ? -1 : rename("mine", "file");
}
static long do_move_folder(const char *path)
{
    return chdir(path) != 0 ? -1 : rename("folder", "../open/folder");
}
static long do_link_in(const char *path)
{
    return chdir(path) != 0 ? -1 : link("file", "new");
}
static long do_stat_in(const char *path)
{
    char inner[64];
    struct stat status;
    snprintf(inner, sizeof inner, "%s/file", path);
    return stat(inner, &status);
}

struct operation {
    const char *label;
    long (*run)(const char *path);
};

static const struct operation on_files[] = {
    {"read", do_read},
    {"write", do_write},
    {"open to read O_TRUNC", do_truncating},
    {"execute", do_execute},
    {"truncate", do_truncate},
    {"chmod", do_chmod},
    {"give away", do_give_away},
    {"give to one's group", do_own_group},
    {"give to another group", do_other_group},
    {"chown to the same", do_same_owner},
    {"touch", do_touch},
    {"set times", do_set_times},
    {"set one time to now", do_half_now},
    {"setxattr", do_attribute},
    {"getxattr", do_read_attribute},
};

static const struct operation in_folders[] = {
    {"list", do_list},
    {"enter", do_enter},
    {"stat in it", do_stat_in},
    {"create", do_create_in},
    {"mkdir", do_mkdir_in},
    {"mkfifo", do_mkfifo},
    {"mknod a device", do_device},
    {"symlink", do_symlink_in},
    {"link", do_link_in},
    {"unlink", do_unlink_in},
    {"rmdir", do_rmdir_in},
    {"rename", do_rename_in},
    {"rename onto", do_rename_onto_in},
    {"move a folder out", do_move_folder},
};

static void give(const char *path, uid_t user, mode_t mode)
{
    require(lchown(path, user, GROUP), path);
    require(chmod(path, mode), path);
}

static void files(void)
{
    static const mode_t modes[] = {0777, 0000, 0700, 0070, 0007, 0400, 0200, 0100, 0040, 0020, 0010, 0004, 0002, 0001, 0644};
    for (size_t o = 0; o < sizeof on_files / sizeof *on_files; o++)
        for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
            case_begin("permissions", "%s, file %04o", on_files[o].label, modes[m]);
            for (size_t p = 0; p < PEOPLE; p++) {
                make_file("file", 0600);
                require(setxattr("file", "user.marked", "x", 1, 0), "setxattr");
                give("file", OWNER, modes[m]);
                case_say(", %s", people[p].label);
                case_result_as(&people[p], on_files[o].run, "file");
                struct stat status;
                require(lstat("file", &status), "lstat");
                case_say(" %04o %u %u", status.st_mode & 07777, status.st_uid, status.st_gid);
                require(unlink("file"), "unlink");
            }
            case_end();
        }
}

/* A folder of OWNER's with things of MEMBER's in it. */
static void fill(mode_t mode)
{
    make_folder("folder", 0755);
    make_folder("open", 0777);
    make_file("folder/file", 0644);
    make_file("folder/mine", 0666);
    make_folder("folder/folder", 0755);
    give("folder/file", MEMBER, 0644);
    give("folder/mine", MEMBER, 0666);
    give("folder/folder", MEMBER, 0755);
    give("folder", OWNER, mode);
}

static void folders(void)
{
    static const mode_t modes[] = {0777, 01777, 0000, 0700, 0070, 0007, 0500, 0300, 0050, 0030, 01770, 01775, 02777};
    for (size_t o = 0; o < sizeof in_folders / sizeof *in_folders; o++)
        for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
            case_begin("permissions", "%s, folder %04o", in_folders[o].label, modes[m]);
            for (size_t p = 0; p < PEOPLE; p++) {
                fill(modes[m]);
                case_say(", %s", people[p].label);
                case_result_as(&people[p], in_folders[o].run, "folder");
                struct stat status;
                if (lstat("folder/new", &status) == 0)
                    case_say(" %04o %u %u", status.st_mode & 07777, status.st_uid, status.st_gid);
                case_clear();
            }
            case_end();
        }
}

/* A file that was opened stays open for what it was opened for, whatever its mode becomes. */
static void after_opening(void)
{
    case_begin("permissions", "after opening");
    make_file("file", 0600);
    int file = open("file", O_RDWR | O_CLOEXEC);
    require(file, "open");
    require(chmod("file", 0), "chmod");
    require(seteuid(OTHER), "seteuid");
    char byte;
    case_number(pread(file, &byte, 1, 0));
    case_number(pwrite(file, "x", 1, 0));
    case_result(ftruncate(file, 0));
    case_result(fchmod(file, 0777));
    require(seteuid(0), "seteuid");
    close(file);
    case_end();
}

void permissions_run(void)
{
    files();
    folders();
    after_opening();
}
