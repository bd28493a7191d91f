/* Listing: everything once, also where the folder changes meanwhile; going back; kinds; removing while listing. */
#include "conformance.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANY 700 /* more than one reply holds */

static void fill(int from, int to)
{
    char name[64];
    for (int i = from; i < to; i++) {
        snprintf(name, sizeof name, "a-name-that-is-not-too-short-%d", i);
        int file = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        require(file, name);
        close(file);
    }
}

/* How often each of the names below `to` is met; "." and ".." are 0 and 1 of *dots. */
static int count(DIR *folder, int *seen, int to, int *dots)
{
    int others = 0;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        int number;
        if (strcmp(entry->d_name, ".") == 0)
            dots[0]++;
        else if (strcmp(entry->d_name, "..") == 0)
            dots[1]++;
        else if (sscanf(entry->d_name, "a-name-that-is-not-too-short-%d", &number) == 1 && number >= 0 && number < to)
            seen[number]++;
        else
            others++;
    }
    return others;
}

static void tell(const int *seen, int from, int to, const char *label)
{
    int missing = 0, twice = 0;
    for (int i = from; i < to; i++) {
        missing += seen[i] == 0;
        twice += seen[i] > 1;
    }
    case_say(" %s: %d missing, %d twice;", label, missing, twice);
}

static void everything_once(void)
{
    int seen[2 * MANY] = {0}, dots[2] = {0};
    case_begin("folders", "a large one");
    fill(0, MANY);
    DIR *folder = opendir(".");
    require(folder ? 0 : -1, "opendir");
    int others = count(folder, seen, MANY, dots);
    tell(seen, 0, MANY, "all");
    case_say(" dots %d %d, others %d", dots[0], dots[1], others);
    memset(seen, 0, sizeof seen);
    rewinddir(folder);
    count(folder, seen, MANY, dots);
    tell(seen, 0, MANY, "again");
    fill(MANY, 2 * MANY);
    memset(seen, 0, sizeof seen);
    rewinddir(folder);
    count(folder, seen, 2 * MANY, dots);
    tell(seen, 0, 2 * MANY, "with new ones");
    closedir(folder);
    case_end();
}

static void changing(void)
{
    int seen[2 * MANY] = {0}, dots[2] = {0}, removed = 0;
    case_begin("folders", "removed from and added to while it is listed");
    fill(0, MANY);
    DIR *folder = opendir(".");
    require(folder ? 0 : -1, "opendir");
    for (int i = 0; i < 10; i++)
        readdir(folder);
    rewinddir(folder);
    for (const struct dirent *entry; removed < MANY / 2 && (entry = readdir(folder));) {
        int number;
        if (sscanf(entry->d_name, "a-name-that-is-not-too-short-%d", &number) != 1 || number >= MANY)
            continue;
        seen[number]++;
        require(unlink(entry->d_name), "unlink");
        if (removed++ == 10)
            fill(MANY, MANY + 50);
    }
    count(folder, seen, MANY, dots);
    tell(seen, 0, MANY, "old ones");
    closedir(folder);
    case_end();

    case_begin("folders", "emptied while it is listed");
    fill(0, MANY);
    folder = opendir(".");
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            require(unlink(entry->d_name), "unlink");
    closedir(folder);
    case_list();
    case_end();
}

static void places(void)
{
    case_begin("folders", "going back to a place");
    fill(0, 50);
    DIR *folder = opendir(".");
    require(folder ? 0 : -1, "opendir");
    char next[300] = "";
    for (int i = 0; i < 20; i++)
        readdir(folder);
    long place = telldir(folder);
    const struct dirent *entry = readdir(folder);
    snprintf(next, sizeof next, "%s", entry ? entry->d_name : "none");
    while (readdir(folder))
        ;
    seekdir(folder, place);
    entry = readdir(folder);
    case_say(" %s", entry && strcmp(entry->d_name, next) == 0 ? "the same" : "another");
    closedir(folder);
    case_end();
}

static void kinds(void)
{
    static const struct {
        unsigned char type;
        const char *name;
    } names[] = {{DT_REG, "file"}, {DT_DIR, "folder"}, {DT_LNK, "link"}, {DT_FIFO, "pipe"}, {DT_SOCK, "socket"}};
    for (size_t i = 0; i < object_count; i++) {
        if (!objects[i].make || strchr(objects[i].path, '/'))
            continue;
        case_begin("folders", "the kind of %s", objects[i].label);
        objects[i].make();
        DIR *folder = opendir(".");
        for (const struct dirent *entry; (entry = readdir(folder));) {
            struct stat status;
            if (strcmp(entry->d_name, objects[i].path) != 0)
                continue;
            require(lstat(entry->d_name, &status), "lstat");
            for (size_t j = 0; j < sizeof names / sizeof *names; j++)
                if (names[j].type == entry->d_type)
                    case_say(" %s", names[j].name);
            case_say(" %s", status.st_ino == entry->d_ino ? "of that number" : "of another number");
        }
        closedir(folder);
        case_end();
    }
}

void folders_run(void)
{
    everything_once();
    changing();
    places();
    kinds();
}
