/* How fast a folder is, mounted or not:  bench_mount FOLDER [MEGABYTES]
 *
 * Times what a lab does all day: makes small files, looks at them, lists and reads them, writes and reads a large one.
 * It knows nothing of cytofs; run it in other file systems to compare.  Everything that it made is removed. */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "timing.h"

#define SMALL_FILES 2000
#define SMALL_BYTES 4096
#define BLOCK_BYTES ((size_t)1 << 20)
#define EXPIRE_US   1200000 /* longer than the kernel may keep attributes */
#define LARGE_NAME  "large"

static char block[BLOCK_BYTES];

static void die(const char *what)
{
    perror(what);
    exit(3);
}

static void report(const char *what, double amount, const char *unit, int64_t started_ns)
{
    double seconds = (double)(timing_monotonic_ns() - started_ns) / 1e9;
    printf("%-34s %12.0f %s/s\n", what, amount / seconds, unit);
    fflush(stdout);
}

static const char *small_name(int number)
{
    static char name[32];
    snprintf(name, sizeof name, "small-%d", number);
    return name;
}

static void make_small(void)
{
    int64_t started = timing_monotonic_ns();
    for (int i = 0; i < SMALL_FILES; i++) {
        int fd = open(small_name(i), O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (fd < 0 || write(fd, block, SMALL_BYTES) != SMALL_BYTES || close(fd) != 0)
            die("making a small file");
    }
    report("create, write 4 KiB, close", SMALL_FILES, "files", started);
}

static void look_at_small(const char *what)
{
    struct stat status;
    int64_t started = timing_monotonic_ns();
    for (int i = 0; i < SMALL_FILES; i++)
        if (stat(small_name(i), &status) != 0 || status.st_size != SMALL_BYTES)
            die("looking at a small file");
    report(what, SMALL_FILES, "files", started);
}

static void list_with_attributes(void)
{
    int64_t started = timing_monotonic_ns();
    DIR *folder = opendir(".");
    if (!folder)
        die("listing");
    int entries = 0;
    struct stat status;
    for (struct dirent *entry; (entry = readdir(folder)); entries++)
        if (fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            die(entry->d_name);
    closedir(folder);
    report("list with attributes (ls -l)", entries, "files", started);
}

static void read_small(const char *what)
{
    int64_t started = timing_monotonic_ns();
    for (int i = 0; i < SMALL_FILES; i++) {
        int fd = open(small_name(i), O_RDONLY);
        if (fd < 0 || read(fd, block, SMALL_BYTES) != SMALL_BYTES || close(fd) != 0)
            die("reading a small file");
    }
    report(what, SMALL_FILES, "files", started);
}

static void remove_small(void)
{
    int64_t started = timing_monotonic_ns();
    for (int i = 0; i < SMALL_FILES; i++)
        if (unlink(small_name(i)) != 0)
            die("removing a small file");
    report("remove", SMALL_FILES, "files", started);
}

static void write_large(int blocks)
{
    int64_t started = timing_monotonic_ns();
    int fd = open(LARGE_NAME, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        die("making a large file");
    for (int i = 0; i < blocks; i++)
        if (write(fd, block, BLOCK_BYTES) != (ssize_t)BLOCK_BYTES)
            die("writing a large file");
    report("write, 1 MiB at a time", blocks, "MiB", started);
    if (fsync(fd) != 0 || close(fd) != 0)
        die("syncing a large file");
    report("write with fsync at the end", blocks, "MiB", started);
}

static void read_large(int blocks, const char *what, bool drop_pages)
{
    int fd = open(LARGE_NAME, O_RDONLY);
    if (fd < 0)
        die("opening a large file");
    if (drop_pages)
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    int64_t started = timing_monotonic_ns();
    for (int i = 0; i < blocks; i++)
        if (read(fd, block, BLOCK_BYTES) != (ssize_t)BLOCK_BYTES)
            die("reading a large file");
    report(what, blocks, "MiB", started);
    close(fd);
}

int main(int count, char **arguments)
{
    int blocks = count > 2 ? atoi(arguments[2]) : 256;
    if (count < 2 || blocks < 1) {
        fprintf(stderr, "usage: bench_mount FOLDER [MEGABYTES]\n");
        return 2;
    }
    if (chdir(arguments[1]) != 0 || mkdir("bench_mount", 0755) != 0 || chdir("bench_mount") != 0)
        die(arguments[1]);
    uint64_t state = 1;
    for (size_t i = 0; i < BLOCK_BYTES; i++) /* nothing that compresses */
        block[i] = (char)((state = state * UINT64_C(6364136223846793005) + 1442695040888963407) >> 56);
    make_small();
    look_at_small("stat, fresh");
    usleep(EXPIRE_US);
    look_at_small("stat, not cached");
    usleep(EXPIRE_US);
    list_with_attributes();
    read_small("open, read 4 KiB, close");
    read_small("the same again");
    remove_small();
    write_large(blocks);
    read_large(blocks, "read, cold", true);
    read_large(blocks, "read, warm", false);
    unlink(LARGE_NAME);
    if (chdir("..") != 0 || rmdir("bench_mount") != 0)
        die("cleaning up");
    return 0;
}
