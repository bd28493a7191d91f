/* See small_store.h.  Chunk k holds the bytes of the generator with seed k, so what must come out is known. */
#include "testing.h"

#include "small_store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalog_chunk.h"
#include "catalog_inode.h"
#include "catalog_pages.h"
#include "chunk_store_mirror.h"
#include "file.h"
#include "mirror_fill.h"
#include "random.h"
#include "store_folder.h"

#define CHUNK_BYTES_MAX 3000

static struct failure why;

static size_t make_chunk(uint64_t index, uint8_t bytes[CHUNK_BYTES_MAX])
{
    struct random random = {index};
    size_t count = 100 + random_below(&random, CHUNK_BYTES_MAX - 100);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)random_next(&random);
    return count;
}

void small_store_put(struct small_store *store)
{
    uint8_t bytes[CHUNK_BYTES_MAX];
    uint64_t index = store->chunk_count;
    size_t count = make_chunk(index, bytes);
    struct chunk_address address;
    bool lost;
    assert_code_ok(chunk_store_put(store->chunks, bytes, count, &address, &why), why);
    assert_code_ok(chunk_store_sync(store->chunks, &why), why);
    assert_code_ok(catalog_operation_begin(store->catalog, &why), why);
    const struct catalog_chunk row = {.inode = 20,
                                      .index = index,
                                      .pack = address.pack,
                                      .bytes = address.bytes,
                                      .offset = address.offset,
                                      .generation = 1};
    assert_code_ok(catalog_chunk_put(store->catalog, &row, &why), why);
    assert_code_ok(catalog_operation_end(store->catalog, true, &why), why);
    assert_code_ok(catalog_commit(store->catalog, &lost, &why), why);
    assert_code_ok(catalog_sync(store->catalog, &why), why);
    store->chunk_count++;
}

uint64_t small_store_count_wrong(struct small_store *store)
{
    uint64_t wrong = 0;
    for (uint64_t index = 0; index < store->chunk_count; index++) {
        uint8_t bytes[CHUNK_BYTES_MAX], out[CHUNK_BYTES_MAX];
        size_t count = make_chunk(index, bytes);
        struct catalog_chunk row;
        if (catalog_chunk_get(store->catalog, 20, index, &row, NULL) != CODE_OK || row.bytes != count ||
            chunk_store_get(store->chunks, &(struct chunk_address){row.pack, row.bytes, row.offset}, out, NULL) != CODE_OK ||
            memcmp(out, bytes, count) != 0)
            wrong++;
    }
    return wrong;
}

static enum code open_parts(struct small_store *store, bool create, struct failure *reason)
{
    size_t leader = mirror_set_leader(store->mirrors);
    const struct catalog_options catalog = {.path = store_folder_catalog_path(mirror_set_folder(store->mirrors, leader)),
                                            .create = create,
                                            .mirrors = store->mirrors};
    enum code code = chunk_store_mirror_open(store->mirrors, false, &store->chunks, reason);
    return code == CODE_OK ? catalog_open(&catalog, &store->catalog, reason) : code;
}

void small_store_make(struct small_store *store)
{
    struct store_folder *folder;
    *store = (struct small_store){.folder = "/tmp/cytofs-small-XXXXXX"};
    assert_non_null(mkdtemp(store->folder));
    snprintf(store->a, sizeof store->a, "%s/a", store->folder);
    snprintf(store->b, sizeof store->b, "%s/b", store->folder);
    assert_code_ok(store_folder_create(store->a, &folder, &why), why);
    assert_code_ok(mirror_set_adopt(folder, &store->mirrors, &why), why);
    assert_code_ok(open_parts(store, true, &why), why);
    for (int i = 0; i < SMALL_STORE_CHUNKS; i++)
        small_store_put(store);
}

enum code small_store_try_open(struct small_store *store, const char *path, struct failure *reason)
{
    const struct mirror_set_options options = {.newest = catalog_pages_newest};
    enum code code = mirror_set_open(path, &options, &store->mirrors, reason);
    return code == CODE_OK ? open_parts(store, false, reason) : code;
}

void small_store_open(struct small_store *store, const char *path)
{
    assert_code_ok(small_store_try_open(store, path, &why), why);
}

void small_store_close(struct small_store *store)
{
    catalog_close(store->catalog);
    chunk_store_destroy(store->chunks);
    mirror_set_close(store->mirrors);
    store->catalog = NULL;
    store->chunks = NULL;
    store->mirrors = NULL;
}

/* The folders are put aside, everything is closed, and they come back. */
void small_store_die(struct small_store *store)
{
    char command[512];
    snprintf(command, sizeof command, "cp -a %s %s.died", store->folder, store->folder);
    assert_int_equal(system(command), 0);
    small_store_close(store);
    snprintf(command, sizeof command, "rm -rf %s && mv %s.died %s", store->folder, store->folder, store->folder);
    assert_int_equal(system(command), 0);
}

void small_store_mirror(struct small_store *store)
{
    const struct mirror_fill fill = {.mirrors = store->mirrors, .chunks = store->chunks, .catalog = store->catalog};
    size_t side;
    assert_code_ok(mirror_set_add(store->mirrors, store->b, &side, &why), why);
    assert_code_ok(mirror_fill_run(&fill, side, &why), why);
}

void small_store_remove(struct small_store *store)
{
    small_store_close(store);
    assert_code_ok(file_remove_tree(store->folder, &why), why);
}

struct scrub_summary small_store_scrub(struct small_store *store, bool look_only)
{
    struct scrub_summary summary;
    const struct scrub_options options = {
        .mirrors = store->mirrors, .chunks = store->chunks, .catalog = store->catalog, .look_only = look_only};
    assert_code_ok(scrub_run(&options, &summary, &why), why);
    return summary;
}

int small_store_set_up(void **state)
{
    struct small_store *store = malloc(sizeof *store);
    small_store_make(store);
    *state = store;
    return 0;
}

int small_store_set_up_mirrored(void **state)
{
    small_store_set_up(state);
    small_store_mirror(*state);
    return 0;
}

int small_store_tear_down(void **state)
{
    small_store_remove(*state);
    free(*state);
    return 0;
}
