/* Extended attributes: flags, sizes, names, what carries them; and that no access control lists are pretended. */
#include "conformance.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static int by_name(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void list(const char *path)
{
    static char names[70000];
    char *sorted[256];
    size_t count = 0;
    ssize_t got = llistxattr(path, names, sizeof names);
    case_number(got);
    for (ssize_t at = 0; at < got && count < 256; at += (ssize_t)strlen(names + at) + 1)
        sorted[count++] = names + at;
    qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 0; i < count && i < 5; i++)
        case_say(" %.20s", sorted[i]);
}

static void flags(void)
{
    char value[16] = "";
    case_begin("attributes", "making, replacing, removing");
    make_file("file", 0600);
    case_result(setxattr("file", "user.a", "1", 1, XATTR_REPLACE));
    case_result(setxattr("file", "user.a", "12", 2, XATTR_CREATE));
    case_result(setxattr("file", "user.a", "3", 1, XATTR_CREATE));
    case_result(setxattr("file", "user.a", "456", 3, XATTR_REPLACE));
    case_result(setxattr("file", "user.b", "", 0, 0));
    case_result(setxattr("file", "user.c", "x", 1, 99));
    case_number(getxattr("file", "user.a", value, sizeof value));
    case_say(" %s", value);
    case_number(getxattr("file", "user.a", value, 2));
    case_number(getxattr("file", "user.a", NULL, 0));
    case_number(getxattr("file", "user.b", value, sizeof value));
    case_number(getxattr("file", "user.none", value, sizeof value));
    list("file");
    case_number(listxattr("file", value, 3));
    case_result(removexattr("file", "user.a"));
    case_result(removexattr("file", "user.a"));
    list("file");
    require(rename("file", "moved"), "rename");
    list("moved");
    case_end();
}

static void sizes(void)
{
    static const size_t values[] = {0, 1, 100, 1000, 2000};
    static char value[3000], found[3000];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        memset(value, 'v', sizeof value);
        case_begin("attributes", "a value of %zu bytes", values[i]);
        make_file("file", 0600);
        case_result(setxattr("file", "user.a", value, values[i], 0));
        case_number(getxattr("file", "user.a", found, sizeof found));
        case_say(" %s", memcmp(value, found, values[i]) == 0 ? "the same" : "another");
        case_end();
    }
    case_begin("attributes", "a value of 65537 bytes");
    make_file("file", 0600);
    char *large = calloc(1, 65537);
    case_result(setxattr("file", "user.a", large, 65537, 0));
    free(large);
    case_end();
}

static void names(void)
{
    static const char *const values[] = {"user.",
                                         "user",
                                         "a",
                                         "",
                                         "system.a",
                                         "nonsense.a",
                                         "user.\xc3\xa4",
                                         "user.with space",
                                         "trusted.a",
                                         "security.capability"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        case_begin("attributes", "the name \"%s\"", values[i]);
        make_file("file", 0600);
        case_result(setxattr("file", values[i], "x", 1, 0));
        case_result(getxattr("file", values[i], NULL, 0));
        case_result(removexattr("file", values[i]));
        case_end();
    }
    char name[300] = "user.";
    static const size_t lengths[] = {200, 254, 255, 256};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memset(name + 5, 'n', lengths[i] - 5);
        name[lengths[i]] = 0;
        case_begin("attributes", "a name of %zu bytes", lengths[i]);
        make_file("file", 0600);
        case_result(setxattr("file", name, "x", 1, 0));
        list("file");
        case_end();
    }
    case_begin("attributes", "many on one file");
    make_file("file", 0600);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "user.%d", i);
        require(setxattr("file", name, name, strlen(name), 0), "setxattr");
    }
    list("file");
    case_end();
}

static void carriers(void)
{
    for (size_t i = 0; i < object_count; i++) {
        case_begin("attributes", "on %s", objects[i].label);
        if (objects[i].make)
            objects[i].make();
        case_result(lsetxattr(objects[i].path, "user.a", "x", 1, 0));
        list(objects[i].path);
        case_result(setxattr(objects[i].path, "user.a", "yz", 2, XATTR_REPLACE));
        case_number(getxattr(objects[i].path, "user.a", NULL, 0));
        case_result(lremovexattr(objects[i].path, "user.a"));
        case_end();
    }
    case_begin("attributes", "of an open file without a name");
    make_file("file", 0600);
    int file = open("file", O_RDWR | O_CLOEXEC);
    require(unlink("file"), "unlink");
    case_result(fsetxattr(file, "user.a", "x", 1, 0));
    case_number(fgetxattr(file, "user.a", NULL, 0));
    close(file);
    case_end();
}

/* An access control list (version 2) that grants nothing beyond the mode, and one that names a user. */
static void access_lists(void)
{
    static const unsigned char named[] = {2, 0,    0,    0,    1,    0,    6,    0, 0xff, 0xff, 0xff, 0xff, 2,    0,    4,
                                          0, 0x49, 0xee, 0,    0,    4,    0,    4, 0,    0xff, 0xff, 0xff, 0xff, 0x10, 0,
                                          4, 0,    0xff, 0xff, 0xff, 0xff, 0x20, 0, 4,    0,    0xff, 0xff, 0xff, 0xff};
    case_begin("attributes", "access control lists");
    make_file("file", 0644);
    case_result(setxattr("file", "system.posix_acl_access", named, sizeof named, 0));
    case_result(getxattr("file", "system.posix_acl_access", NULL, 0));
    case_result(getxattr("file", "system.posix_acl_default", NULL, 0));
    case_look("file");
    case_end();
}

void attributes_run(void)
{
    flags();
    sizes();
    names();
    carriers();
    access_lists();
}
