/* The work that tests/bench/fs times: one action in one folder of some file system, done with plain system calls.
 *
 *     fs_work ACTION FOLDER [files] [bytes] [threads]
 *
 * Prints one line: the seconds that it took, how much was done (bytes or calls), and its own CPU seconds.  Contents are
 * random bytes in which each block of 4096 bytes begins with a number that no other block has, so nothing compresses and no
 * two blocks are equal; whoever reads holds those numbers against what was written.  Any difference ends the program with
 * status 1.
 *
 * Files that are written "and synced" are all written first, and then fsynced one after the other: what every file
 * system understands in the same way.  Threads take every n-th file. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "timing.h"

#define BUFFER_BYTES ((size_t)1 << 20)
#define BLOCK_BYTES  4096
#define THREADS_MAX  64
#define RECORD_BYTES 100  /* one append */
#define PER_FOLDER   1500 /* names in a folder of a large tree */
#define PATH_BYTES   512

struct work {
    const char *folder;
    uint64_t files, bytes; /* how many, and of one */
    int threads;
};

struct part { /* of the work, one thread's */
    const struct work *work;
    uint64_t (*action)(struct part *part); /* gives what was done */
    pthread_t thread;
    int number;
    bool replaces; /* makes files as most programs do, O_CREAT|O_TRUNC; else with O_EXCL, as cp and tar do */
    uint64_t done;
    uint8_t *buffer; /* BUFFER_BYTES */
};

static void fail(const char *what)
{
    fprintf(stderr, "fs_work: %s: %s\n", what, errno ? strerror(errno) : "other bytes than were written");
    exit(1);
}

/* xorshift64*: fast, and nothing that compresses */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static uint8_t *make_buffer(void)
{
    uint64_t *buffer = malloc(BUFFER_BYTES), state = 88172645463325252u;
    if (!buffer)
        fail("memory");
    for (size_t i = 0; i < BUFFER_BYTES / 8; i++)
        buffer[i] = next_random(&state);
    return (uint8_t *)buffer;
}

/* The number that begins the block at `offset` of a file. */
static uint64_t stamp_of(uint64_t file, uint64_t offset)
{
    return (file + 1) << 32 | offset / BLOCK_BYTES;
}

static void stamp(uint8_t *buffer, uint64_t file, uint64_t offset, size_t count)
{
    for (size_t at = 0; at + 8 <= count; at += BLOCK_BYTES) {
        uint64_t number = stamp_of(file, offset + at);
        memcpy(buffer + at, &number, 8);
    }
}

static void check_stamps(const uint8_t *buffer, uint64_t file, uint64_t offset, size_t count, const char *path)
{
    for (size_t at = (BLOCK_BYTES - offset % BLOCK_BYTES) % BLOCK_BYTES; at + 8 <= count; at += BLOCK_BYTES) {
        uint64_t number = stamp_of(file, offset + at);
        if (memcmp(buffer + at, &number, 8) != 0) {
            errno = 0;
            fail(path);
        }
    }
}

static void name_file(const struct work *work, uint64_t file, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/file%07llu.png", work->folder, (unsigned long long)file);
}

static void write_file(struct part *part, uint64_t file, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | (part->replaces ? O_TRUNC : O_EXCL) | O_CLOEXEC, 0644);
    if (fd < 0)
        fail(path);
    for (uint64_t at = 0; at < part->work->bytes;) {
        uint64_t left = part->work->bytes - at;
        size_t count = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
        stamp(part->buffer, file, at, count);
        if (write(fd, part->buffer, count) != (ssize_t)count)
            fail(path);
        at += count;
    }
    if (close(fd) != 0)
        fail(path);
}

static uint64_t make_files(struct part *part)
{
    uint64_t bytes = 0;
    for (uint64_t i = (uint64_t)part->number; i < part->work->files; i += (uint64_t)part->work->threads) {
        char path[PATH_BYTES];
        name_file(part->work, i, path);
        write_file(part, i, path);
        bytes += part->work->bytes;
    }
    return bytes;
}

static uint64_t write_and_sync(struct part *part)
{
    uint64_t bytes = make_files(part);
    for (uint64_t i = (uint64_t)part->number; i < part->work->files; i += (uint64_t)part->work->threads) {
        char path[PATH_BYTES];
        name_file(part->work, i, path);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0 || fsync(fd) != 0 || close(fd) != 0)
            fail(path);
    }
    return bytes;
}

static uint64_t create(struct part *part)
{
    return make_files(part) / part->work->bytes;
}

static uint64_t read_files(struct part *part)
{
    uint64_t bytes = 0;
    for (uint64_t i = (uint64_t)part->number; i < part->work->files; i += (uint64_t)part->work->threads) {
        char path[PATH_BYTES];
        name_file(part->work, i, path);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            fail(path);
        uint64_t at = 0;
        ssize_t got;
        while ((got = read(fd, part->buffer, BUFFER_BYTES)) > 0) {
            check_stamps(part->buffer, i, at, (size_t)got, path);
            at += (uint64_t)got;
        }
        errno = got < 0 ? errno : 0;
        if (at != part->work->bytes)
            fail(path);
        close(fd);
        bytes += at;
    }
    return bytes;
}

static uint64_t read_blocks_at_random(struct part *part)
{
    char path[PATH_BYTES];
    name_file(part->work, 0, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0 || status.st_size < BLOCK_BYTES)
        fail(path);
    uint64_t state = 12345 + (uint64_t)part->number, calls = 0;
    for (; calls < part->work->files; calls++) {
        uint64_t at = next_random(&state) % ((uint64_t)status.st_size / BLOCK_BYTES) * BLOCK_BYTES;
        if (pread(fd, part->buffer, BLOCK_BYTES, (off_t)at) != BLOCK_BYTES)
            fail(path);
        check_stamps(part->buffer, 0, at, BLOCK_BYTES, path);
    }
    close(fd);
    return calls;
}

static uint64_t walk_folder(int above, const char *name)
{
    int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder)
        fail(name);
    uint64_t calls = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            fail(entry->d_name);
        calls++;
        if (S_ISDIR(status.st_mode))
            calls += walk_folder(fd, entry->d_name);
    }
    closedir(folder);
    return calls;
}

static uint64_t walk(struct part *part)
{
    return walk_folder(AT_FDCWD, part->work->folder);
}

static uint64_t remove_files(struct part *part)
{
    uint64_t calls = 0;
    for (uint64_t i = (uint64_t)part->number; i < part->work->files; i += (uint64_t)part->work->threads, calls++) {
        char path[PATH_BYTES];
        name_file(part->work, i, path);
        if (unlink(path) != 0)
            fail(path);
    }
    return calls;
}

/* Each thread has a file of its own: runs that keep a log each. */
static uint64_t append(struct part *part)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/log%d-of-%d", part->work->folder, part->number, part->work->threads);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        fail(path);
    uint64_t calls = 0;
    for (; calls < part->work->files; calls++)
        if (write(fd, part->buffer, RECORD_BYTES) != RECORD_BYTES || fsync(fd) != 0)
            fail(path);
    close(fd);
    return calls;
}

/* A large tree: file i lies in folder i / PER_FOLDER. -------------------------------------------------------------- */

static void name_in_tree(const struct work *work, uint64_t file, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/part%05llu/file%07llu.png", work->folder, (unsigned long long)(file / PER_FOLDER),
             (unsigned long long)file);
}

/* Grows the tree to `files` names; those that are there are taken as they are. */
static uint64_t grow_tree(struct part *part)
{
    uint64_t made = 0;
    for (uint64_t i = 0; i < part->work->files; i++) {
        char path[PATH_BYTES];
        if (i % PER_FOLDER == 0) {
            snprintf(path, sizeof path, "%s/part%05llu", part->work->folder, (unsigned long long)(i / PER_FOLDER));
            if (mkdir(path, 0755) != 0) {
                if (errno != EEXIST)
                    fail(path);
                i += PER_FOLDER - 1;
                continue;
            }
        }
        name_in_tree(part->work, i, path);
        write_file(part, i, path);
        made++;
    }
    return made;
}

/* Looks at each of the tree's folders, so that what follows pays for names in them only. */
static uint64_t look_at_folders(struct part *part)
{
    uint64_t calls = 0;
    for (; calls * PER_FOLDER < part->work->files; calls++) {
        char path[PATH_BYTES];
        struct stat status;
        snprintf(path, sizeof path, "%s/part%05llu", part->work->folder, (unsigned long long)calls);
        if (stat(path, &status) != 0)
            fail(path);
    }
    return calls;
}

/* A step that leads through all of so many files, none twice, and evenly all over them however early one stops: the golden
 * section of them, made prime to them. */
static uint64_t even_step(uint64_t files)
{
    for (uint64_t step = (uint64_t)((double)files * 0.6180339887498949);; step++) {
        uint64_t a = files, b = step;
        while (b) {
            uint64_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1)
            return step;
    }
}

/* Looks at `bytes` of the tree's `files` names; another round looks at others. */
static uint64_t look_up_round(struct part *part, uint64_t round)
{
    const uint64_t stride = even_step(part->work->files);
    uint64_t calls = 0;
    for (; calls < part->work->bytes; calls++) {
        char path[PATH_BYTES];
        struct stat status;
        name_in_tree(part->work, (round * part->work->bytes + calls) * stride % part->work->files, path);
        if (stat(path, &status) != 0)
            fail(path);
    }
    return calls;
}

static uint64_t look_up(struct part *part)
{
    return look_up_round(part, 0);
}

static uint64_t look_up_others(struct part *part)
{
    return look_up_round(part, 1);
}

/* Makes `bytes` files of 1 KB beside those of the tree, in folders chosen at random, and removes them again. */
static uint64_t create_in_tree(struct part *part)
{
    const struct work small = {part->work->folder, part->work->files, 1024, 1};
    struct part writer = {.work = &small, .buffer = part->buffer};
    uint64_t state = 815, folders = part->work->files / PER_FOLDER;
    for (uint64_t i = 0; i < part->work->bytes; i++) {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s/part%05llu/new%07llu-%llu", part->work->folder,
                 (unsigned long long)(next_random(&state) % folders), (unsigned long long)i,
                 (unsigned long long)part->work->files);
        write_file(&writer, part->work->files + i, path);
    }
    return part->work->bytes;
}

static uint64_t create_plain(struct part *part)
{
    part->replaces = true;
    return create(part);
}

/* Running ---------------------------------------------------------------------------------------------------------- */

static const struct action {
    const char *name;
    uint64_t (*run)(struct part *part);
    bool threaded;
} actions[] = {
    {"write", write_and_sync, true},
    {"create", create, true},
    {"read", read_files, true},
    {"random", read_blocks_at_random, true},
    {"walk", walk, false},
    {"remove", remove_files, true},
    {"append", append, true},
    {"grow", grow_tree, false},
    {"look-at-folders", look_at_folders, false},
    {"look-up", look_up, false},
    {"look-up-others", look_up_others, false},
    {"create-in", create_in_tree, false},
    {"create-plain", create_plain, true},
};

static void *run_part(void *argument)
{
    struct part *part = argument;
    part->done = part->action(part);
    return NULL;
}

static int run(const struct action *action, const struct work *work)
{
    static struct part parts[THREADS_MAX];
    int threads = action->threaded ? work->threads : 1;
    uint64_t done = 0;
    for (int i = 0; i < threads; i++)
        parts[i] = (struct part){.work = work, .action = action->run, .number = i, .buffer = make_buffer()};
    int64_t started_ns = timing_monotonic_ns();
    for (int i = 0; i < threads; i++)
        if ((errno = pthread_create(&parts[i].thread, NULL, run_part, &parts[i])) != 0)
            fail("starting a thread");
    for (int i = 0; i < threads; i++) {
        pthread_join(parts[i].thread, NULL);
        done += parts[i].done;
        free(parts[i].buffer);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%.6f %llu %.3f\n", (double)(timing_monotonic_ns() - started_ns) / 1e9, (unsigned long long)done,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    return 0;
}

int main(int argc, char **argv)
{
    struct work work = {.folder = argc > 2 ? argv[2] : NULL,
                        .files = argc > 3 ? strtoull(argv[3], NULL, 10) : 1,
                        .bytes = argc > 4 ? strtoull(argv[4], NULL, 10) : 1,
                        .threads = argc > 5 ? atoi(argv[5]) : 1};
    for (size_t i = 0; work.folder && work.threads >= 1 && work.threads <= THREADS_MAX && work.bytes &&
                       i < sizeof actions / sizeof *actions;
         i++)
        if (strcmp(argv[1], actions[i].name) == 0)
            return run(&actions[i], &work);
    fprintf(stderr, "usage: fs_work ACTION FOLDER [files] [bytes] [threads up to %d]\n", THREADS_MAX);
    return 2;
}
