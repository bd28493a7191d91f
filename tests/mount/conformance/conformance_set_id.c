/* What clears the set-uid and set-gid bits, what sets them, and what folders hand down.  Umask. */
#include "conformance.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWNER 61001
#define OTHER 61003
#define GROUP 62001
#define ELSE  62002

static const struct person people[] = {{"root", 0, 0},
                                       {"owner", OWNER, GROUP},
                                       {"stranger in the group", OTHER, GROUP},
                                       {"owner outside of the group", OWNER, ELSE},
                                       {"stranger", OTHER, ELSE}};

static long writing(const char *path, int flags)
{
    int file = open(path, flags | O_CLOEXEC);
    if (file < 0)
        return -1;
    long result = write(file, "xy", 2);
    close(file);
    return result;
}

static long do_write(const char *path)
{
    return writing(path, O_WRONLY);
}
static long do_append(const char *path)
{
    return writing(path, O_WRONLY | O_APPEND);
}
static long do_truncate(const char *path)
{
    return truncate(path, 1);
}
static long do_truncate_same(const char *path)
{
    return truncate(path, 3);
}
static long do_open_truncate(const char *path)
{
    return close(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC));
}
static long do_chown_user(const char *path)
{
    return chown(path, OWNER, (gid_t)-1);
}
static long do_chown_group(const char *path)
{
    return chown(path, (uid_t)-1, GROUP);
}
static long do_chown_nothing(const char *path)
{
    return chown(path, (uid_t)-1, (gid_t)-1);
}
static long do_chmod(const char *path)
{
    return chmod(path, 06755);
}
static long do_chmod_sticky(const char *path)
{
    return chmod(path, 01644);
}
static long do_rename(const char *path)
{
    return rename(path, path);
}
static long do_touch(const char *path)
{
    return utimensat(AT_FDCWD, path, NULL, 0);
}

static long do_ftruncate(const char *path)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    long result = ftruncate(file, 2);
    close(file);
    return result;
}

static const struct {
    const char *label;
    long (*run)(const char *path);
} operations[] = {
    {"write", do_write},
    {"append", do_append},
    {"truncate", do_truncate},
    {"truncate to the same size", do_truncate_same},
    {"ftruncate", do_ftruncate},
    {"open O_TRUNC", do_open_truncate},
    {"chown", do_chown_user},
    {"chgrp", do_chown_group},
    {"chown of nothing", do_chown_nothing},
    {"chmod 6755", do_chmod},
    {"chmod 1644", do_chmod_sticky},
    {"rename", do_rename},
    {"touch", do_touch},
};

static void clearing(void)
{
    static const mode_t modes[] = {04777, 02777, 06777, 02767, 06666, 01777, 07777};
    for (size_t o = 0; o < sizeof operations / sizeof *operations; o++)
        for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
            for (int folder = 0; folder < 2; folder++) {
                case_begin("set-id", "%s, %s %04o", operations[o].label, folder ? "folder" : "file", modes[m]);
                for (size_t p = 0; p < sizeof people / sizeof *people; p++) {
                    struct stat status;
                    (folder ? make_folder : make_file)("it", 0600);
                    require(chown("it", OWNER, GROUP), "chown");
                    require(chmod("it", modes[m]), "chmod");
                    case_say(", %s", people[p].label);
                    case_result_as(&people[p], operations[o].run, "it");
                    require(lstat("it", &status), "lstat");
                    case_say(" %04o", status.st_mode & 07777);
                    case_clear();
                }
                case_end();
            }
}

static long make_all(const char *path)
{
    (void)path;
    long result = close(open("above/file", O_WRONLY | O_CREAT | O_CLOEXEC, 06777));
    result |= mkdir("above/folder", 01777);
    result |= mkfifo("above/pipe", 02777);
    result |= symlink("x", "above/link");
    result |= mknod("above/node", S_IFREG | 04711, 0);
    return result;
}

static void handing_down(void)
{
    static const char *const made[] = {"above/file", "above/folder", "above/pipe", "above/link", "above/node"};
    static const mode_t modes[] = {0777, 02777, 01777, 03777};
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
        for (size_t p = 0; p < sizeof people / sizeof *people; p++) {
            case_begin("set-id", "made in a folder %04o by %s", modes[m], people[p].label);
            make_folder("above", 0700);
            require(chown("above", OWNER, GROUP), "chown");
            require(chmod("above", modes[m]), "chmod");
            case_result_as(&people[p], make_all, "above");
            for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
                struct stat status;
                case_look(made[i]);
                if (lstat(made[i], &status) == 0)
                    case_say(" %u %u", status.st_uid, status.st_gid);
            }
            case_end();
        }
}

static void masks(void)
{
    static const mode_t values[] = {0, 022, 077, 0777, 0123};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        case_begin("set-id", "umask %04o", values[i]);
        make_folder("above", 0777);
        umask(values[i]);
        case_result(make_all("above"));
        umask(0);
        require(chdir("above"), "chdir");
        case_list();
        case_end();
    }
}

void set_id_run(void)
{
    clearing();
    handing_down();
    masks();
}
