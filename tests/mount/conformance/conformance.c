/* Says what a file system does: see conformance.h.
 *
 *   conformance FOLDER [GROUP ...]
 *
 * The cases are done in a folder of their own in FOLDER; nothing of them stays.  Groups that need root are passed over,
 * by name, where the program is not run by root.  Exit status: 0, whatever the file system answered; 1 where a case could
 * not be prepared. */
#include "conformance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char line[8192];
static int top = -1; /* the folder of all cases */

static void add(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

static void add(const char *format, va_list arguments)
{
    size_t used = strlen(line);
    vsnprintf(line + used, sizeof line - used, format, arguments);
}

void case_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(format, arguments);
    va_end(arguments);
}

void require(long result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "conformance: %s: %s\n    (%s)\n", what, strerror(errno), line);
    exit(1);
}

void case_begin(const char *group, const char *format, ...)
{
    snprintf(line, sizeof line, "%s: ", group);
    va_list arguments;
    va_start(arguments, format);
    add(format, arguments);
    va_end(arguments);
    case_say(" =");
    require(fchdir(top), "going to the cases' folder");
    require(mkdir("case", 0777), "making a case's folder");
    require(chdir("case"), "going to a case's folder");
}

void case_result(long result)
{
    case_say(" %s", result < 0 ? strerrorname_np(errno) : "ok");
}

void case_number(long result)
{
    if (result < 0)
        case_result(result);
    else
        case_say(" %ld", result);
}

static const char *kind_name(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "file";
    case S_IFDIR:
        return "folder";
    case S_IFLNK:
        return "link";
    case S_IFIFO:
        return "pipe";
    case S_IFSOCK:
        return "socket";
    case S_IFCHR:
        return "character";
    case S_IFBLK:
        return "block";
    default:
        return "?";
    }
}

void case_look(const char *path)
{
    struct stat status;
    if (lstat(path, &status) != 0) {
        case_say(" [%s]", strerrorname_np(errno));
        return;
    }
    case_say(" [%s %04o", kind_name(status.st_mode), status.st_mode & 07777);
    if (!S_ISDIR(status.st_mode))
        case_say(" links %lu size %lld", (unsigned long)status.st_nlink, (long long)status.st_size);
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
        case_say(" device %lx", (unsigned long)status.st_rdev);
    case_say("]");
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

void case_list(void)
{
    char *names[64];
    size_t count = 0;
    DIR *folder = opendir(".");
    require(folder ? 0 : -1, "listing a case's folder");
    for (const struct dirent *entry; count < 64 && (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            names[count++] = strdup(entry->d_name);
    closedir(folder);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        case_say(" %.40s", names[i]);
        case_look(names[i]);
        free(names[i]);
    }
}

/* Empties the open folder and closes it. */
static void clear(int folder)
{
    DIR *listing = fdopendir(folder);
    if (!listing)
        return;
    for (const struct dirent *entry; (entry = readdir(listing));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(folder, entry->d_name, 0) == 0)
            continue;
        fchmodat(folder, entry->d_name, 0700, 0);
        int below = openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0)
            clear(below);
        unlinkat(folder, entry->d_name, AT_REMOVEDIR);
    }
    closedir(listing);
}

void case_clear(void)
{
    clear(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

void case_end(void)
{
    puts(line);
    require(fchdir(top), "going to the cases' folder");
    chmod("case", 0700);
    clear(open("case", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    require(rmdir("case"), "removing a case's folder");
}

void case_result_as(const struct person *person, long (*what)(const char *path), const char *path)
{
    int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    require(here, "opening a case's folder");
    require(setgroups(1, &person->group), "setgroups");
    require(setegid(person->group), "setegid");
    require(seteuid(person->user), "seteuid");
    long result = what(path);
    int error = errno;
    require(seteuid(0), "seteuid");
    require(setegid(0), "setegid");
    require(setgroups(0, NULL), "setgroups");
    require(fchdir(here), "going back");
    close(here);
    errno = error;
    case_result(result);
}

static const struct case_group groups[] = {
    {"objects", false, objects_run}, {"renames", false, renames_run},        {"times", false, times_run},
    {"names", false, names_run},     {"attributes", false, attributes_run},  {"files", false, files_run},
    {"folders", false, folders_run}, {"permissions", true, permissions_run}, {"set-id", true, set_id_run},
};

static bool is_wanted(const struct case_group *group, char **wanted)
{
    for (; *wanted; wanted++)
        if (strcmp(*wanted, group->name) == 0)
            return true;
    return false;
}

int main(int count, char **arguments)
{
    if (count < 2) {
        fprintf(stderr, "usage: conformance FOLDER [GROUP ...]\n");
        return 2;
    }
    char name[] = "conformance-XXXXXX";
    umask(0);
    require(chdir(arguments[1]), arguments[1]);
    require(mkdtemp(name) ? 0 : -1, "making a folder");
    chmod(name, 0777);
    top = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int above = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(top < 0 || above < 0 ? -1 : 0, "opening a folder");
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (count > 2 && !is_wanted(&groups[i], arguments + 2))
            continue;
        if (groups[i].root && geteuid() != 0)
            printf("%s: passed over, it needs root\n", groups[i].name);
        else
            groups[i].run();
    }
    require(fchdir(above), "going back");
    require(rmdir(name), "removing the folder of all cases");
    return 0;
}
