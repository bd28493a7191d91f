/* What a snapshot's time grows with.
 *
 *     bench_snapshots FOLDER [files]
 *
 * FOLDER is made, and removed at the end.  One line a dataset: so many files of so many bytes each, in so many 128 KiB
 * parts; the median time of SNAPSHOTS snapshots, and that of dropping them.  The first three have 1, 10 and 100 times the
 * bytes in as many files; the last two more files, and more parts. */
#include <stdio.h>
#include <stdlib.h>

#include "chunk_store.h"
#include "chunk_store_packs.h"
#include "file.h"
#include "member_key.h"
#include "random.h"
#include "store_folder.h"
#include "timing.h"
#include "tree.h"
#include "tree_path.h"

#define SNAPSHOTS      9
#define FILE_BYTES_MAX ((size_t)4 << 20)
#define PART_BYTES     131072

struct bench {
    struct store_folder *folder;
    struct chunk_store *chunks;
    struct member_key *member;
    struct tree *tree;
    uint64_t *words; /* FILE_BYTES_MAX of them */
    struct random random;
};

static enum code open_lab(struct bench *bench, const char *path, struct failure *why)
{
    enum code code = store_folder_create(path, &bench->folder, why);
    if (code == CODE_OK)
        code = member_key_generate(&bench->member, why);
    if (code != CODE_OK)
        return code;
    const struct chunk_store_packs_options packs = {.store = *store_folder_id(bench->folder)};
    code = chunk_store_packs_open(store_folder_packs_path(bench->folder), &packs, &bench->chunks, why);
    const struct tree_open_options options = {.chunks = bench->chunks,
                                              .catalog_path = store_folder_catalog_path(bench->folder),
                                              .member = bench->member,
                                              .store = store_folder_id(bench->folder),
                                              .member_name = "bench"};
    if (code == CODE_OK)
        code = tree_create(&options, why);
    return code == CODE_OK ? tree_open(&options, &bench->tree, why) : code;
}

static enum code fill_dataset(struct bench *bench, const char *dataset, size_t files, size_t file_bytes, struct failure *why)
{
    char path[256];
    enum code code = tree_path_make_folders(bench->tree, dataset, why);
    for (size_t i = 0; code == CODE_OK && i < files; i++) {
        for (size_t word = 0; word * 8 < file_bytes; word++)
            bench->words[word] = random_next(&bench->random);
        snprintf(path, sizeof path, "%s/file%07zu.png", dataset, i);
        code = tree_path_write(bench->tree, path, 0644, bench->words, file_bytes, why);
    }
    return code == CODE_OK ? tree_sync(bench->tree, why) : code;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static enum code measure(struct bench *bench, size_t files, size_t file_bytes, struct failure *why)
{
    char dataset[64], snapshots[128];
    double made_ms[SNAPSHOTS] = {0}, dropped_ms[SNAPSHOTS] = {0};
    struct node_attributes folder;
    snprintf(dataset, sizeof dataset, "datasets/files-%zu-of-%zu", files, file_bytes);
    snprintf(snapshots, sizeof snapshots, "%s/.snap", dataset);
    enum code code = fill_dataset(bench, dataset, files, file_bytes, why);
    if (code == CODE_OK)
        code = tree_path_attributes(bench->tree, snapshots, &folder, why);
    for (int i = 0; code == CODE_OK && i < SNAPSHOTS; i++) {
        char label[TREE_NAME_MAX + 1] = "measured";
        int64_t start_ns = timing_monotonic_ns();
        code = tree_path_snapshot(bench->tree, dataset, false, label, why);
        made_ms[i] = (double)(timing_monotonic_ns() - start_ns) / 1e6;
        if (code == CODE_OK)
            code = tree_sync(bench->tree, why);
        start_ns = timing_monotonic_ns();
        if (code == CODE_OK)
            code = tree_remove_folder(bench->tree, folder.id, label, why);
        dropped_ms[i] = (double)(timing_monotonic_ns() - start_ns) / 1e6;
        if (code == CODE_OK)
            code = tree_sync(bench->tree, why);
    }
    if (code != CODE_OK)
        return code;
    qsort(made_ms, SNAPSHOTS, sizeof *made_ms, compare);
    qsort(dropped_ms, SNAPSHOTS, sizeof *dropped_ms, compare);
    printf("snapshot files=%zu bytes=%zu parts=%zu made_ms=%.2f dropped_ms=%.2f\n", files, files * file_bytes,
           files * ((file_bytes + PART_BYTES - 1) / PART_BYTES), made_ms[SNAPSHOTS / 2], dropped_ms[SNAPSHOTS / 2]);
    fflush(stdout);
    return CODE_OK;
}

static enum code measure_all(struct bench *bench, size_t files, struct failure *why)
{
    const struct {
        size_t files, file_bytes;
    } datasets[] = {{files, 1000}, {files, 10000}, {files, 100000}, {10 * files, 1000}, {files / 10 + 1, FILE_BYTES_MAX}};
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < sizeof datasets / sizeof *datasets; i++)
        code = measure(bench, datasets[i].files, datasets[i].file_bytes, why);
    return code;
}

int main(int argc, char **argv)
{
    struct failure why;
    if (argc < 2 || file_exists(argv[1])) {
        fprintf(stderr, "usage: bench_snapshots FOLDER [files]     (a folder that does not exist yet)\n");
        return 2;
    }
    struct bench bench = {.words = malloc(FILE_BYTES_MAX), .random = {1}};
    enum code code = bench.words ? open_lab(&bench, argv[1], &why) : failure_set(&why, CODE_NO_MEMORY, "out of memory");
    if (code == CODE_OK)
        code = measure_all(&bench, argc > 2 ? (size_t)atol(argv[2]) : 1000, &why);
    if (code != CODE_OK)
        fprintf(stderr, "bench_snapshots: %s\n", why.text);
    if (bench.tree)
        tree_close(bench.tree);
    chunk_store_destroy(bench.chunks);
    member_key_destroy(bench.member);
    if (bench.folder) {
        store_folder_close(bench.folder);
        if (file_remove_tree(argv[1], &why) != CODE_OK)
            fprintf(stderr, "bench_snapshots: %s\n", why.text);
    }
    free(bench.words);
    return failure_to_exit_status(code);
}
