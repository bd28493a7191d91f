/* Renames: each kind onto each other, within a folder and between two, with each flag; and what must not be moved. */
#include "conformance.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_at(const char *path, const char *kind)
{
    switch (*kind) {
    case 'f':
        make_file(path, 0640);
        break;
    case 'e':
        make_folder(path, 0750);
        break;
    case 'd': {
        char inner[64];
        make_folder(path, 0751);
        snprintf(inner, sizeof inner, "%s/inner", path);
        make_file(inner, 0604);
        break;
    }
    case 'l':
        require(symlink("to", path), "symlink");
        break;
    case 'p':
        require(mkfifo(path, 0600), "mkfifo");
        break;
    default: /* nothing */
        break;
    }
}

static const char *const kinds[] = {"nothing", "file", "empty folder", "deep folder", "link", "pipe"};
#define KINDS (sizeof kinds / sizeof *kinds)

static const struct {
    const char *label;
    unsigned flags;
} flags[] = {
    {"plain", 0},
    {"no replace", RENAME_NOREPLACE},
    {"exchange", RENAME_EXCHANGE},
    {"whiteout", RENAME_WHITEOUT},
    {"no replace and whiteout", RENAME_NOREPLACE | RENAME_WHITEOUT},
    {"exchange and whiteout", RENAME_EXCHANGE | RENAME_WHITEOUT},
    {"no replace and exchange", RENAME_NOREPLACE | RENAME_EXCHANGE},
    {"unknown flag", 1u << 9},
};

static void each_onto_each(const char *from, const char *to)
{
    for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
        for (size_t i = 0; i < KINDS; i++)
            for (size_t j = 0; j < KINDS; j++) {
                case_begin("renames", "%s, %s %s onto %s %s", flags[f].label, kinds[i], from, kinds[j], to);
                make_folder("a", 0755);
                make_folder("b", 0755);
                make_at(from, kinds[i]);
                make_at(to, kinds[j]);
                case_result(renameat2(AT_FDCWD, from, AT_FDCWD, to, flags[f].flags));
                case_look(from);
                case_look(to);
                case_look("a/x/inner");
                case_look("b/y/inner");
                case_end();
            }
}

static void itself(void)
{
    static const struct {
        const char *label, *from, *to;
    } moves[] = {
        {"a folder into itself", "a", "a/b"},
        {"a folder deep into itself", "a", "a/deep/er"},
        {"a folder onto its parent", "a/deep", "a"},
        {"a folder onto its grandparent", "a/deep/er", "a"},
        {"a folder onto itself", "a", "a"},
        {"a file onto itself", "file", "file"},
        {"a file onto its other name", "file", "two"},
        {"dot", ".", "b"},
        {"a folder's dot", "a/.", "b"},
        {"a folder's dot dot", "a/deep/..", "b"},
        {"onto dot", "a", "."},
        {"onto a folder's dot dot", "a", "a/deep/.."},
        {"a file to a path with a slash", "file", "b/"},
        {"a folder to a path with a slash", "a", "b/"},
        {"a file with a slash", "file/", "b"},
        {"a folder with a slash", "a/", "b"},
    };
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
        for (int exchange = 0; exchange < 2; exchange++) {
            case_begin("renames", "%s%s", moves[i].label, exchange ? ", exchanged" : "");
            make_folder("a", 0755);
            make_folder("a/deep", 0755);
            make_folder("a/deep/er", 0755);
            make_file("file", 0644);
            require(link("file", "two"), "link");
            case_result(renameat2(AT_FDCWD, moves[i].from, AT_FDCWD, moves[i].to, exchange ? RENAME_EXCHANGE : 0));
            case_list();
            case_end();
        }
}

/* What is open stays open under its new name, and what was replaced stays readable. */
static void open_files(void)
{
    char bytes[8] = "";
    case_begin("renames", "open files");
    make_file("a", 0600);
    make_file("b", 0600);
    int a = open("a", O_RDWR | O_CLOEXEC), b = open("b", O_RDWR | O_CLOEXEC);
    require(pwrite(a, "AAA", 3, 0), "pwrite");
    case_result(rename("a", "b"));
    struct stat status = {0};
    case_result(fstat(b, &status));
    case_say(" replaced has %lu links", (unsigned long)status.st_nlink);
    case_number(pread(b, bytes, sizeof bytes, 0));
    case_say(" %s", bytes);
    case_number(pread(a, bytes, sizeof bytes, 0));
    case_say(" %s", bytes);
    case_number(pwrite(a, "more", 4, 3));
    close(a);
    close(b);
    case_list();
    case_end();
}

void renames_run(void)
{
    each_onto_each("a/x", "a/y");
    each_onto_each("a/x", "b/y");
    itself();
    open_files();
}
