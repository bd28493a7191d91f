/* How fast the tree itself is, without FUSE in front of it: what a session has to work with.
 *
 *     bench_tree FOLDER [images] [small files]
 *
 *     bench_tree FOLDER sequential [threads] [megabytes of each] [from-disk]
 *
 * FOLDER is made, and removed at the end.  `sequential`: one large file a thread, written, and read after opening the lab
 * anew; prints seconds, bytes and CPU seconds of the reading.  The packs are in the page cache then as they were written
 * there; with `from-disk`, as they come into it when they are read: in larger folios.  Otherwise one line a figure: images
 * of 400 KB written and synced, read after opening the lab anew, read again; small files of 1 KB created, looked up after
 * opening anew, removed; appends of 100 bytes with fsync.
 */
#include <pthread.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chunk_store.h"
#include "chunk_store_packs.h"
#include "file.h"
#include "member_key.h"
#include "random.h"
#include "scope.h"
#include "store_folder.h"
#include "timing.h"
#include "tree.h"
#include "tree_path.h"

#define IMAGE_BYTES 400000
#define SMALL_BYTES 1000
#define READ_BYTES  131072
#define APPENDS     500
#define PACKS_MAX   65536
#define THREADS_MAX 16

#define SEQUENTIAL_BYTES ((size_t)1 << 20) /* in one call, as a session does */

struct bench {
    const char *path;
    struct store_folder *folder;
    struct chunk_store *chunks;
    struct member_key *member;
    struct tree *tree;
    char *bytes; /* IMAGE_BYTES */
    size_t images, small;
    bool from_disk; /* packs are read from the disk before they are measured */
};

/* Opening and closing the lab ------------------------------------------------------------------ */

static enum code open_tree(struct bench *bench, bool create, struct failure *why)
{
    const struct chunk_store_packs_options packs = {.store = *store_folder_id(bench->folder)};
    enum code code = chunk_store_packs_open(store_folder_packs_path(bench->folder), &packs, &bench->chunks, why);
    const struct tree_open_options options = {.chunks = bench->chunks,
                                              .catalog_path = store_folder_catalog_path(bench->folder),
                                              .member = bench->member,
                                              .store = store_folder_id(bench->folder),
                                              .member_name = "bench"};
    if (code == CODE_OK && create)
        code = tree_create(&options, why);
    return code == CODE_OK ? tree_open(&options, &bench->tree, why) : code;
}

static void close_tree(struct bench *bench)
{
    if (bench->tree)
        tree_close(bench->tree);
    chunk_store_destroy(bench->chunks);
    bench->tree = NULL;
    bench->chunks = NULL;
}

static enum code reopen(struct bench *bench, struct failure *why)
{
    close_tree(bench);
    return open_tree(bench, false, why);
}

/* Files ---------------------------------------------------------------------------------------- */

static enum code find(struct bench *bench, const char *path, struct node_id *out, struct failure *why)
{
    struct node_attributes attributes;
    enum code code = tree_path_attributes(bench->tree, path, &attributes, why);
    *out = attributes.id;
    return code;
}

static enum code write_file(struct bench *bench, struct node_id folder, const char *name, size_t count, struct failure *why)
{
    struct node_attributes attributes;
    struct tree_file *file;
    enum code code = tree_create_file(bench->tree, folder, name, 0644, OPEN_WRITE | OPEN_EXCLUSIVE, &attributes, &file, why);
    for (size_t at = 0; code == CODE_OK && at < count; at += READ_BYTES)
        code = tree_write(file, at, bench->bytes + at, count - at < READ_BYTES ? count - at : READ_BYTES, why);
    if (code == CODE_OK)
        code = tree_flush(file, why);
    tree_release(file);
    return code;
}

static enum code read_file(struct bench *bench, struct node_id folder, const char *name, struct failure *why)
{
    struct node_attributes attributes;
    struct tree_file *file = NULL;
    enum code code = tree_lookup(bench->tree, folder, name, &attributes, why);
    if (code == CODE_OK)
        code = tree_open_file(bench->tree, attributes.id, OPEN_READ, &file, why);
    size_t got = 1;
    for (uint64_t at = 0; code == CODE_OK && got > 0; at += got)
        code = tree_read(file, at, bench->bytes, READ_BYTES, &got, why);
    if (file)
        tree_release(file);
    if (attributes.id.value)
        tree_forget(bench->tree, attributes.id, 1);
    return code;
}

/* Figures -------------------------------------------------------------------------------------- */

typedef enum code bench_action(struct bench *bench, struct node_id folder, const char *name, struct failure *why);

static enum code write_image(struct bench *bench, struct node_id folder, const char *name, struct failure *why)
{
    return write_file(bench, folder, name, IMAGE_BYTES, why);
}

static enum code write_small(struct bench *bench, struct node_id folder, const char *name, struct failure *why)
{
    return write_file(bench, folder, name, SMALL_BYTES, why);
}

static enum code look_up(struct bench *bench, struct node_id folder, const char *name, struct failure *why)
{
    struct node_attributes attributes;
    enum code code = tree_lookup(bench->tree, folder, name, &attributes, why);
    if (code == CODE_OK)
        tree_forget(bench->tree, attributes.id, 1);
    return code;
}

static enum code remove_file(struct bench *bench, struct node_id folder, const char *name, struct failure *why)
{
    return tree_unlink(bench->tree, folder, name, why);
}

struct figure {
    const char *what, *folder;
    bench_action *action;
    size_t files, file_bytes; /* file_bytes 0: no MB/s */
    bool sync;
};

static enum code measure(struct bench *bench, const struct figure *figure, struct failure *why)
{
    struct node_id folder;
    int64_t start = timing_monotonic_ns(), busy = timing_read_ns(CLOCK_PROCESS_CPUTIME_ID);
    enum code code = find(bench, figure->folder, &folder, why);
    for (size_t i = 0; code == CODE_OK && i < figure->files; i++) {
        char name[32];
        snprintf(name, sizeof name, "file%07zu.png", i);
        code = figure->action(bench, folder, name, why);
    }
    if (code == CODE_OK && figure->sync)
        code = tree_sync(bench->tree, why);
    double seconds = (double)(timing_monotonic_ns() - start) / 1e9;
    busy = timing_read_ns(CLOCK_PROCESS_CPUTIME_ID) - busy;
    if (code != CODE_OK)
        return failure_wrap(why, code, "%s", figure->what);
    printf("%-22s %9.0f files/s %8.1f us CPU", figure->what, (double)figure->files / seconds,
           (double)busy / 1e3 / (double)figure->files);
    if (figure->file_bytes)
        printf(" %7.0f MB/s", (double)(figure->files * figure->file_bytes) / seconds / 1e6);
    putchar('\n');
    return CODE_OK;
}

static enum code measure_appends(struct bench *bench, struct failure *why)
{
    struct node_id folder;
    struct node_attributes attributes;
    struct tree_file *file;
    enum code code = find(bench, "datasets/small", &folder, why);
    if (code == CODE_OK)
        code = tree_create_file(bench->tree, folder, "log", 0644, OPEN_WRITE | OPEN_APPEND, &attributes, &file, why);
    if (code != CODE_OK)
        return code;
    int64_t start = timing_monotonic_ns();
    for (int i = 0; code == CODE_OK && i < APPENDS; i++) {
        code = tree_write(file, 0, bench->bytes, 100, why);
        if (code == CODE_OK)
            code = tree_fsync(file, why);
    }
    printf("%-22s %9.0f /s\n", "append+fsync", APPENDS / ((double)(timing_monotonic_ns() - start) / 1e9));
    tree_release(file);
    return code;
}

/* Large files, read as a session reads them ---------------------------------------------------- */

struct reader {
    struct bench *bench;
    pthread_t thread;
    char name[32];
    size_t blocks; /* of SEQUENTIAL_BYTES */
    struct failure why;
};

static enum code read_blocks(struct reader *reader, char *bytes, struct failure *why)
{
    struct node_id folder;
    struct node_attributes attributes;
    struct tree_file *file;
    enum code code = find(reader->bench, "datasets/large", &folder, why);
    if (code == CODE_OK)
        code = tree_lookup(reader->bench->tree, folder, reader->name, &attributes, why);
    if (code == CODE_OK)
        code = tree_open_file(reader->bench->tree, attributes.id, OPEN_READ, &file, why);
    if (code != CODE_OK)
        return code;
    for (size_t i = 0; code == CODE_OK && i < reader->blocks; i++) {
        size_t got;
        code = tree_read(file, i * SEQUENTIAL_BYTES, bytes, SEQUENTIAL_BYTES, &got, why);
        if (code == CODE_OK && got != SEQUENTIAL_BYTES)
            code = failure_set(why, CODE_CORRUPT, "the file is too short");
    }
    tree_release(file);
    return code;
}

static void *run_reader(void *argument)
{
    struct reader *reader = argument;
    reader->why.code = CODE_OK;
    char *bytes = malloc(SEQUENTIAL_BYTES);
    if (bytes)
        reader->why.code = read_blocks(reader, bytes, &reader->why);
    else
        failure_set(&reader->why, CODE_NO_MEMORY, "out of memory");
    free(bytes);
    return NULL;
}

static enum code write_large(struct bench *bench, struct node_id folder, const struct reader *reader, struct failure *why)
{
    struct node_attributes attributes;
    struct tree_file *file;
    char *bytes = malloc(SEQUENTIAL_BYTES);
    struct random random = {1};
    if (!bytes)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    enum code code =
        tree_create_file(bench->tree, folder, reader->name, 0644, OPEN_WRITE | OPEN_EXCLUSIVE, &attributes, &file, why);
    for (size_t i = 0; code == CODE_OK && i < reader->blocks; i++) {
        for (size_t at = 0; at < SEQUENTIAL_BYTES; at += 4096) { /* no two chunks are equal */
            uint64_t number = random_next(&random);
            memcpy(bytes + at, &number, sizeof number);
        }
        code = tree_write(file, i * SEQUENTIAL_BYTES, bytes, SEQUENTIAL_BYTES, why);
    }
    if (code == CODE_OK)
        tree_release(file);
    free(bytes);
    return code;
}

static enum code read_at_once(struct reader *readers, size_t threads, struct failure *why)
{
    int64_t start = timing_monotonic_ns(), busy = timing_read_ns(CLOCK_PROCESS_CPUTIME_ID);
    size_t started = 0;
    while (started < threads && pthread_create(&readers[started].thread, NULL, run_reader, &readers[started]) == 0)
        started++;
    enum code code = started == threads ? CODE_OK : failure_set(why, CODE_NO_MEMORY, "no more threads");
    for (size_t i = 0; i < started; i++) {
        pthread_join(readers[i].thread, NULL);
        if (readers[i].why.code != CODE_OK) {
            *why = readers[i].why;
            code = why->code;
        }
    }
    printf("%.6f %zu %.6f\n", (double)(timing_monotonic_ns() - start) / 1e9, threads * readers[0].blocks * SEQUENTIAL_BYTES,
           (double)(timing_read_ns(CLOCK_PROCESS_CPUTIME_ID) - busy) / 1e9);
    return code;
}

static enum code read_pack_from_disk(const char *path, char *bytes, struct failure *why)
{
    SCOPE_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = 0;
    if (fd < 0 || fsync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
        return failure_set(why, CODE_IO, "%s cannot be taken out of the page cache", path);
    while ((got = read(fd, bytes, IMAGE_BYTES)) > 0)
        ;
    return got == 0 ? CODE_OK : failure_set(why, CODE_IO, "%s cannot be read", path);
}

/* Takes the packs out of the page cache and reads them into it again.  No lab is open. */
static enum code read_packs_from_disk(struct bench *bench, struct failure *why)
{
    struct file_names packs;
    const char *folder = store_folder_packs_path(bench->folder);
    enum code code = file_list(folder, PACKS_MAX, &packs, why);
    if (code != CODE_OK)
        return code;
    for (size_t i = 0; code == CODE_OK && i < packs.count; i++) {
        SCOPE_FREE char *path = file_join(folder, packs.names[i]);
        code = path ? read_pack_from_disk(path, bench->bytes, why) : failure_set(why, CODE_NO_MEMORY, "out of memory");
    }
    file_names_free(&packs);
    return code;
}

static enum code measure_sequential(struct bench *bench, size_t threads, size_t megabytes, struct failure *why)
{
    static struct reader readers[THREADS_MAX];
    struct node_id folder;
    enum code code = tree_path_make_folders(bench->tree, "datasets/large", why);
    if (code == CODE_OK)
        code = find(bench, "datasets/large", &folder, why);
    for (size_t i = 0; code == CODE_OK && i < threads; i++) {
        readers[i] = (struct reader){.bench = bench, .blocks = megabytes};
        snprintf(readers[i].name, sizeof readers[i].name, "large%zu", i);
        code = write_large(bench, folder, &readers[i], why);
    }
    close_tree(bench);
    if (code == CODE_OK && bench->from_disk)
        code = read_packs_from_disk(bench, why);
    if (code == CODE_OK)
        code = open_tree(bench, false, why);
    return code == CODE_OK ? read_at_once(readers, threads, why) : code;
}

static enum code measure_all(struct bench *bench, struct failure *why)
{
    const struct figure figures[] = {
        {"images written+synced", "datasets/images", write_image, bench->images, IMAGE_BYTES, true},
        {"images read cold", "datasets/images", read_file, bench->images, IMAGE_BYTES, false},
        {"images read again", "datasets/images", read_file, bench->images, IMAGE_BYTES, false},
        {"small files created", "datasets/small", write_small, bench->small, 0, true},
        {"small files looked up", "datasets/small", look_up, bench->small, 0, false},
        {"small files read", "datasets/small", read_file, bench->small, 0, false},
        {"small files removed", "datasets/small", remove_file, bench->small, 0, true},
    };
    enum code code = tree_path_make_folders(bench->tree, "datasets/images", why);
    if (code == CODE_OK)
        code = tree_path_make_folders(bench->tree, "datasets/small", why);
    for (size_t i = 0; code == CODE_OK && i < sizeof figures / sizeof *figures; i++) {
        if (figures[i].action == read_file || figures[i].action == look_up)
            code = i == 2 || i == 5 ? CODE_OK : reopen(bench, why);
        if (code == CODE_OK)
            code = measure(bench, &figures[i], why);
    }
    return code == CODE_OK ? measure_appends(bench, why) : code;
}

int main(int argc, char **argv)
{
    struct failure why;
    if (argc < 2 || file_exists(argv[1])) {
        fprintf(stderr, "usage: bench_tree FOLDER [images] [small files]     (a folder that does not exist yet)\n");
        return 2;
    }
    bool sequential = argc > 2 && strcmp(argv[2], "sequential") == 0;
    struct bench bench = {.path = argv[1],
                          .images = argc > 2 ? (size_t)atol(argv[2]) : 500,
                          .small = argc > 3 ? (size_t)atol(argv[3]) : 5000,
                          .bytes = calloc(1, IMAGE_BYTES),
                          .from_disk = sequential && argc > 5 && strcmp(argv[5], "from-disk") == 0};
    enum code code = bench.bytes ? store_folder_create(bench.path, &bench.folder, &why)
                                 : failure_set(&why, CODE_NO_MEMORY, "out of memory");
    if (code == CODE_OK) {
        struct random random = {1}; /* zeros would be stored as holes */
        for (size_t i = 0; i < IMAGE_BYTES; i++)
            bench.bytes[i] = (char)random_next(&random);
        code = member_key_generate(&bench.member, &why);
    }
    if (code == CODE_OK)
        code = open_tree(&bench, true, &why);
    size_t threads = sequential && argc > 3 ? (size_t)atol(argv[3]) : 1;
    if (code == CODE_OK)
        code = sequential ? measure_sequential(&bench,
                                               threads < 1             ? 1
                                               : threads > THREADS_MAX ? THREADS_MAX
                                                                       : threads,
                                               argc > 4 ? (size_t)atol(argv[4]) : 256, &why)
                          : measure_all(&bench, &why);
    if (code != CODE_OK)
        fprintf(stderr, "bench_tree: %s\n", why.text);
    close_tree(&bench);
    member_key_destroy(bench.member);
    if (bench.folder) {
        store_folder_close(bench.folder);
        if (file_remove_tree(bench.path, &why) != CODE_OK)
            fprintf(stderr, "bench_tree: %s\n", why.text);
    }
    free(bench.bytes);
    return failure_to_exit_status(code);
}
