/* What sealing, storing, reading and opening contents costs together, on pack files in a folder.
 *
 *     bench_store FOLDER [MiB] [threads]
 *
 * FOLDER is made, and removed at the end.  One line a figure: write (seal, put, one sync at the end), read
 * (get, open; packs in the page cache), each in MB/s over all threads, and durable puts a second: threads
 * that put 4 KiB and sync each time.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "chunk_store.h"
#include "chunk_store_packs.h"
#include "entropy.h"
#include "file.h"
#include "timing.h"

#define CHUNK_BYTES 131072
#define SMALL_BYTES 4096
#define SMALL_PUTS  200 /* a thread */
#define THREADS_MAX 64

struct bench {
    struct chunk_store *store;
    struct aead_key *key;
    struct chunk_address *addresses;
    size_t chunks;
    atomic_size_t next, failures;
};

typedef enum code bench_step(struct bench *bench, size_t index, uint8_t *plain, uint8_t *sealed);

static enum code write_chunk(struct bench *bench, size_t index, uint8_t *plain, uint8_t *sealed)
{
    const struct aead_message message = {&index, sizeof index, plain, CHUNK_BYTES};
    enum code code = aead_seal(bench->key, &message, sealed, NULL);
    if (code != CODE_OK)
        return code;
    return chunk_store_put(bench->store, sealed, CHUNK_BYTES + AEAD_OVERHEAD, &bench->addresses[index], NULL);
}

static enum code read_chunk(struct bench *bench, size_t index, uint8_t *plain, uint8_t *sealed)
{
    enum code code = chunk_store_get(bench->store, &bench->addresses[index], sealed, NULL);
    const struct aead_message message = {&index, sizeof index, sealed, CHUNK_BYTES + AEAD_OVERHEAD};
    return code == CODE_OK ? aead_open(bench->key, &message, plain, NULL) : code;
}

static enum code put_durably(struct bench *bench, size_t index, uint8_t *plain, uint8_t *sealed)
{
    (void)index;
    (void)sealed;
    struct chunk_address address;
    enum code code = chunk_store_put(bench->store, plain, SMALL_BYTES, &address, NULL);
    return code == CODE_OK ? chunk_store_sync(bench->store, NULL) : code;
}

struct worker {
    struct bench *bench;
    bench_step *step;
};

static void *work(void *context)
{
    const struct worker *worker = context;
    struct bench *bench = worker->bench;
    uint8_t *plain = calloc(1, CHUNK_BYTES), *sealed = malloc(CHUNK_BYTES + AEAD_OVERHEAD);
    size_t index;
    while (plain && sealed && (index = atomic_fetch_add(&bench->next, 1)) < bench->chunks)
        if (worker->step(bench, index, plain, sealed) != CODE_OK)
            atomic_fetch_add(&bench->failures, 1);
    if (!plain || !sealed)
        atomic_fetch_add(&bench->failures, 1);
    free(plain);
    free(sealed);
    return NULL;
}

/* Seconds that `threads` threads take for bench->chunks steps. */
static double run_threads(struct bench *bench, bench_step *step, size_t threads, bool sync_after)
{
    pthread_t handles[THREADS_MAX];
    struct worker worker = {bench, step};
    int64_t start = timing_monotonic_ns();
    bench->next = 0;
    for (size_t i = 0; i < threads; i++)
        if (pthread_create(&handles[i], NULL, work, &worker) != 0)
            abort();
    for (size_t i = 0; i < threads; i++)
        pthread_join(handles[i], NULL);
    if (sync_after && chunk_store_sync(bench->store, NULL) != CODE_OK)
        bench->failures++;
    return (double)(timing_monotonic_ns() - start) / 1e9;
}

static void measure(struct bench *bench, size_t chunks, size_t threads)
{
    double mega = (double)chunks * CHUNK_BYTES / 1e6;
    bench->chunks = chunks;
    printf("write %7.0f MB/s  %zu threads\n", mega / run_threads(bench, write_chunk, threads, true), threads);
    printf("read  %7.0f MB/s  %zu threads\n", mega / run_threads(bench, read_chunk, threads, false), threads);
    bench->chunks = SMALL_PUTS * threads;
    double seconds = run_threads(bench, put_durably, threads, false);
    printf("sync  %7.0f puts/s %zu threads\n", (double)bench->chunks / seconds, threads);
}

static enum code open_bench(struct bench *bench, const char *folder, size_t chunks, struct failure *why)
{
    const struct chunk_store_packs_options options = {.store = {{1}}};
    uint8_t key[AEAD_KEY_BYTES];
    bench->addresses = calloc(chunks, sizeof *bench->addresses);
    if (!bench->addresses)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    if (file_exists(folder))
        return failure_set(why, CODE_EXISTS, "%s: exists: name a folder that does not", folder);
    enum code code = file_make_folders(folder, why);
    if (code == CODE_OK)
        code = entropy_fill(key, sizeof key, why);
    if (code == CODE_OK)
        code = aead_key_create(key, &bench->key, why);
    return code == CODE_OK ? chunk_store_packs_open(folder, &options, &bench->store, why) : code;
}

int main(int argc, char **argv)
{
    struct failure why;
    struct bench bench = {0};
    size_t mebibytes = argc > 2 ? (size_t)atol(argv[2]) : 512, threads = argc > 3 ? (size_t)atol(argv[3]) : 1;
    if (argc < 2 || mebibytes < 1 || threads < 1 || threads > THREADS_MAX) {
        fprintf(stderr, "usage: bench_store FOLDER [MiB] [threads, up to %d]\n", THREADS_MAX);
        return 2;
    }
    size_t chunks = mebibytes * (1048576 / CHUNK_BYTES);
    enum code code = open_bench(&bench, argv[1], chunks, &why);
    if (code == CODE_OK)
        measure(&bench, chunks, threads);
    if (code == CODE_OK && bench.failures)
        code = failure_set(&why, CODE_IO, "%zu calls failed", (size_t)bench.failures);
    chunk_store_destroy(bench.store);
    aead_key_destroy(bench.key);
    free(bench.addresses);
    if (bench.key && code != CODE_EXISTS)
        code = file_remove_tree(argv[1], &why) == CODE_OK ? code : CODE_IO;
    if (code != CODE_OK)
        fprintf(stderr, "bench_store: %s\n", why.text);
    return failure_to_exit_status(code);
}
