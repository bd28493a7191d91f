/* Names: lengths, bytes, targets of links, deep folders, paths longer than a system call takes, link counts. */
#include "conformance.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void lengths(void)
{
    static const size_t values[] = {1, 100, 200, 254, 255, 256, 300, 1023, 1024, 1025};
    char name[1100];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        memset(name, 'x', values[i]);
        name[values[i]] = 0;
        case_begin("names", "a name of %zu bytes", values[i]);
        case_result(mkdir(name, 0700));
        case_result(rmdir(name));
        case_result(mkfifo(name, 0600));
        case_result(rename(name, "b"));
        case_result(rename("b", name));
        case_result(link(name, "c"));
        case_result(symlink("c", name));
        case_result(unlink(name));
        case_end();
    }
}

/* Each byte that a name may have, and some that are no text in any encoding. */
static void bytes(void)
{
    for (int byte = 1; byte < 256; byte++) {
        if (byte == '/')
            continue;
        const char name[] = {'n', (char)byte, 0}, alone[] = {(char)byte, 0};
        struct stat status;
        case_begin("names", "byte %d", byte);
        make_file(name, 0600);
        case_result(stat(name, &status));
        case_result(byte == '.' ? 0 : mkdir(alone, 0700));
        case_result(rename(name, "plain"));
        case_end();
    }
    static const char *const names[] = {"...",       ".. ",      "-", "*",  "a\nb",   "\xc3\xa4",
                                        "a\xcc\x88", "\xff\xfe", "A", "\\", ".hidden"};
    case_begin("names", "beside each other");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        make_file(names[i], 0600);
    case_list();
    case_end();
}

static void targets(void)
{
    static const size_t values[] = {0, 1, 255, 256, 1023, 4000, 4094, 4095, 4096};
    char target[4200], found[4200];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        for (size_t j = 0; j < values[i]; j++)
            target[j] = j % 100 == 99 ? '/' : (char)('a' + j % 23);
        target[values[i]] = 0;
        case_begin("names", "a target of %zu bytes", values[i]);
        case_result(symlink(target, "link"));
        ssize_t got = readlink("link", found, sizeof found);
        case_number(got);
        case_say(" %s", got == (ssize_t)values[i] && memcmp(found, target, values[i]) == 0 ? "the same" : "another");
        case_number(readlink("link", found, 10));
        case_look("link");
        case_end();
    }
}

static void chains(void)
{
    case_begin("names", "links in a row");
    make_file("0", 0600);
    for (int i = 1; i <= 41; i++) {
        char from[16], to[16];
        struct stat status;
        snprintf(to, sizeof to, "%d", i - 1);
        snprintf(from, sizeof from, "%d", i);
        require(symlink(to, from), "symlink");
        if (i > 38)
            case_result(stat(from, &status));
    }
    case_end();
}

/* A path of exactly this many bytes, made of "./". */
static void paths(void)
{
    static const size_t values[] = {4094, 4095, 4096, 5000};
    char path[5100];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct stat status;
        for (size_t at = 0; at < values[i]; at++)
            path[at] = at % 2 ? '/' : '.';
        memset(path + values[i] - 4, 'f', 4);
        path[values[i] - 5] = '/';
        path[values[i]] = 0;
        case_begin("names", "a path of %zu bytes", values[i]);
        case_result(mkdir(path, 0700));
        case_result(stat(path, &status));
        case_result(rename(path, "short"));
        case_result(symlink(path, "link"));
        case_end();
    }
}

/* Folders in folders until the path is longer than PATH_MAX: everything works there by steps. */
static void deep(void)
{
    enum { DEPTH = 30, LENGTH = 200 };
    char name[LENGTH + 1];
    memset(name, 'd', LENGTH);
    name[LENGTH] = 0;
    case_begin("names", "folders deeper than a path can say");
    for (int i = 0; i < DEPTH; i++) {
        require(mkdir(name, 0700), "mkdir");
        require(chdir(name), "chdir");
    }
    make_file("file", 0600);
    case_result(rename("file", "moved"));
    case_result(symlink("moved", "link"));
    case_result(link("moved", "again"));
    case_result(mkdir("below", 0700));
    case_result(rename("below", "other"));
    case_result(close(open("link", O_RDWR | O_TRUNC | O_CLOEXEC)));
    case_result(mkfifo("pipe", 0600));
    case_list();
    case_result(unlink("again"));
    case_result(rmdir("other"));
    case_result(rename("moved", "../up"));
    case_clear();
    case_list();
    require(chdir(".."), "chdir");
    case_list();
    case_end();
}

static void link_counts(void)
{
    enum { LINKS = 300 };
    char name[16];
    struct stat status;
    case_begin("names", "%d names of one file", LINKS);
    make_file("file", 0600);
    for (int i = 0; i < LINKS; i++) {
        snprintf(name, sizeof name, "n%d", i);
        require(link("file", name), "link");
    }
    case_look("file");
    int file = open("n7", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < LINKS; i++) {
        snprintf(name, sizeof name, "n%d", i);
        require(unlink(name), "unlink");
    }
    case_look("file");
    case_result(unlink("file"));
    require(fstat(file, &status), "fstat");
    case_say(" %lu left", (unsigned long)status.st_nlink);
    char link_path[32];
    snprintf(link_path, sizeof link_path, "/proc/self/fd/%d", file);
    case_result(linkat(AT_FDCWD, link_path, AT_FDCWD, "revived", AT_SYMLINK_FOLLOW));
    case_number(pwrite(file, "more", 4, 0));
    case_number(pread(file, name, sizeof name, 0));
    close(file);
    case_end();
}

void names_run(void)
{
    lengths();
    bytes();
    targets();
    chains();
    paths();
    deep();
    link_counts();
}
