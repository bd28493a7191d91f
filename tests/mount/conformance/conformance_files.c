/* Contents: sizes, holes, offsets, appending, descriptors and what they share, files without names, pipes and sockets. */
#include "conformance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static char buffer[300000];

static int fresh(const char *path, int flags)
{
    int file = open(path, flags | O_CREAT | O_CLOEXEC, 0644);
    require(file, path);
    return file;
}

/* A number that stands for what the file holds. */
static void sum(const char *path)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;
    require(file, path);
    while ((got = read(file, buffer, sizeof buffer)) > 0)
        for (ssize_t i = 0; i < got; i++)
            hash = (hash ^ (unsigned char)buffer[i]) * UINT64_C(1099511628211);
    close(file);
    case_say(" holds %016llx", (unsigned long long)hash);
}

/* Writes at offsets, and sizes set, around the borders of pages and chunks. */
static void borders(void)
{
    static const long places[] = {0, 1, 4095, 4096, 4097, 65536, 131071, 131072, 131073, 262144};
    const size_t count = sizeof places / sizeof *places;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            case_begin("files", "written at %ld, cut to %ld, written again", places[i], places[j]);
            int file = fresh("file", O_RDWR);
            case_number(pwrite(file, "first", 5, places[i]));
            case_result(ftruncate(file, places[j]));
            case_look("file");
            sum("file");
            case_number(pwrite(file, "second", 6, places[j] + 3));
            case_result(ftruncate(file, places[i] + 10));
            sum("file");
            close(file);
            sum("file");
            case_end();
        }
}

static void offsets(void)
{
    case_begin("files", "offsets");
    int file = fresh("file", O_RDWR);
    case_number(pwrite(file, "abc", 3, -1));
    case_number(pread(file, buffer, 3, -1));
    case_number(pread(file, buffer, 3, 100));
    case_number(lseek(file, -1, SEEK_SET));
    case_number(lseek(file, 10, SEEK_END));
    case_number(write(file, "x", 1));
    case_number(lseek(file, 0, SEEK_CUR));
    case_number(read(file, buffer, 3));
    case_number(lseek(file, 0, 99));
    case_result(ftruncate(file, -1));
    case_result(posix_fallocate(file, 0, 0) ? -1 : 0);
    case_look("file");
    close(file);
    case_end();
}

static void wrong_ways(void)
{
    case_begin("files", "descriptors used in ways that they were not opened for");
    make_file("file", 0644);
    make_folder("folder", 0755);
    int reading = fresh("file", O_RDONLY), writing = fresh("file", O_WRONLY), path = open("file", O_PATH | O_CLOEXEC);
    int folder = open("folder", O_RDONLY | O_CLOEXEC);
    case_number(write(reading, "x", 1));
    case_number(read(writing, buffer, 1));
    case_result(ftruncate(reading, 1));
    case_number(read(path, buffer, 1));
    case_result(fchmod(path, 0600));
    case_number(read(folder, buffer, 1));
    case_result(ftruncate(folder, 0));
    case_result(fsync(folder));
    case_result(fchmod(folder, 0700));
    case_look("folder");
    close(reading);
    close(writing);
    close(path);
    close(folder);
    case_end();
}

static void appending(void)
{
    case_begin("files", "appending by several");
    int one = fresh("file", O_WRONLY | O_APPEND), two = fresh("file", O_WRONLY | O_APPEND), place = fresh("file", O_RDWR);
    for (int i = 0; i < 20; i++) {
        require(write(one, "one", 3), "write");
        require(write(two, "two2", 4), "write");
        require(pwrite(place, "P", 1, i * 7), "pwrite");
    }
    case_number(lseek(one, 0, SEEK_CUR));
    case_number(pwrite(one, "end", 3, 0)); /* Linux appends even so */
    case_look("file");
    sum("file");
    case_result(fcntl(one, F_SETFL, 0));
    case_number(pwrite(one, "start", 5, 0));
    sum("file");
    close(one);
    close(two);
    close(place);
    case_end();
}

static void without_a_name(void)
{
    case_begin("files", "a file without a name");
    int file = fresh("file", O_RDWR), again;
    require(write(file, "text", 4), "write");
    require(unlink("file"), "unlink");
    again = fresh("file", O_RDWR);
    case_number(pread(file, buffer, 10, 0));
    case_number(pread(again, buffer, 10, 0));
    case_result(ftruncate(file, 200000));
    case_number(pread(file, buffer, 10, 199995));
    case_result(fchmod(file, 0400));
    struct stat status;
    require(fstat(file, &status), "fstat");
    case_say(" %04o %lu %lld", status.st_mode & 07777, (unsigned long)status.st_nlink, (long long)status.st_size);
    case_look("file");
    close(file);
    close(again);
    case_end();

    case_begin("files", "a folder that was removed while it is open");
    make_folder("folder", 0755);
    int folder = open("folder", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(rmdir("folder"), "rmdir");
    case_result(openat(folder, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    case_result(mkdirat(folder, "new", 0700));
    case_result(faccessat(folder, ".", F_OK, 0));
    case_result(fchmod(folder, 0700));
    close(folder);
    case_end();
}

static void vectors_and_maps(void)
{
    case_begin("files", "vectors and maps");
    int file = fresh("file", O_RDWR);
    char one[] = "one", two[] = "two";
    const struct iovec parts[] = {{one, 3}, {one, 0}, {two, 3}};
    case_number(writev(file, parts, 3));
    case_result(ftruncate(file, 10000));
    char *map = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    case_result(map == MAP_FAILED ? -1 : 0);
    if (map != MAP_FAILED) {
        memcpy(map + 5000, "mapped", 6);
        require(pwrite(file, "W", 1, 0), "pwrite");
        case_say(" %c", map[0]);
        case_result(msync(map, 10000, MS_SYNC));
        case_number(pread(file, buffer, 6, 5000));
        case_say(" %.6s", buffer);
        munmap(map, 10000);
    }
    close(file);
    sum("file");
    case_end();
}

/* What is only named by the file system, and made by the kernel. */
static void pipes_and_sockets(void)
{
    case_begin("files", "a pipe carries bytes");
    require(mkfifo("pipe", 0600), "mkfifo");
    int reading = open("pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC), writing = open("pipe", O_WRONLY | O_CLOEXEC);
    case_number(write(writing, "through", 7));
    case_number(read(reading, buffer, 100));
    case_result(truncate("pipe", 0));
    case_number(lseek(reading, 0, SEEK_SET));
    close(reading);
    close(writing);
    case_end();

    case_begin("files", "a socket is connected to");
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), caller = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    case_result(bind(listener, (const struct sockaddr *)&address, sizeof address));
    case_result(bind(caller, (const struct sockaddr *)&address, sizeof address));
    case_result(listen(listener, 1));
    case_result(connect(caller, (const struct sockaddr *)&address, sizeof address));
    case_result(open("socket", O_RDONLY | O_CLOEXEC));
    require(rename("socket", "renamed"), "rename");
    case_look("renamed");
    close(listener);
    close(caller);
    case_end();
}

static void limits(void)
{
    struct statvfs numbers;
    case_begin("files", "limits");
    case_result(statvfs(".", &numbers));
    case_say(" %lu", numbers.f_namemax);
    case_number(pathconf(".", _PC_NAME_MAX));
    case_number(pathconf(".", _PC_PATH_MAX));
    case_say(" %s", numbers.f_bavail <= numbers.f_bfree && numbers.f_bfree <= numbers.f_blocks ? "in order" : "impossible");
    case_end();
}

void files_run(void)
{
    borders();
    offsets();
    wrong_ways();
    appending();
    without_a_name();
    vectors_and_maps();
    pipes_and_sockets();
    limits();
}
