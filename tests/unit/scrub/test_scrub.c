/* Every flipped bit of a store is found without keys, and mended where there is a mirror.
 *
 * By default each byte of the small files has one bit flipped, and a sample of those of the pack and of the catalog; with
 * CYTOFS_SCRUB_ALL=1 each byte of all of them (some minutes). */
#include "testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer.h"
#include "catalog_pages.h"
#include "file.h"
#include "random.h"
#include "scope.h"
#include "scrub.h"
#include "small_store.h"

#define FOUND_MAX  800 /* bytes of one file */
#define MENDED_MAX 40

static struct failure why;

static int make(void **state)
{
    struct small_store *store = malloc(sizeof *store);
    small_store_make(store);
    *state = store;
    return 0;
}

static int make_mirrored(void **state)
{
    make(state);
    small_store_mirror(*state);
    return 0;
}

static int clean_up(void **state)
{
    small_store_remove(*state);
    free(*state);
    return 0;
}

/* As the program opens it: what a log held is in the file. */
static void reopen(struct small_store *store)
{
    small_store_close(store);
    small_store_open(store, store->a);
}

static struct scrub_summary scrub(struct small_store *store, bool look_only)
{
    struct scrub_summary summary;
    const struct scrub_options options = {
        .mirrors = store->mirrors, .chunks = store->chunks, .catalog = store->catalog, .look_only = look_only};
    assert_code_ok(scrub_run(&options, &summary, &why), why);
    return summary;
}

static void flip(const char *path, uint64_t bit)
{
    SCOPE_CLOSE int fd = open(path, O_RDWR);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)(bit / 8)), 1);
    byte ^= (uint8_t)(1 << bit % 8);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
}

/* The catalog's file is open, and closing a second descriptor of it would drop SQLite's locks; nobody else is here, though. */
static uint64_t bits_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return 8 * (uint64_t)status.st_size;
}

static bool wants_all(void)
{
    const char *all = getenv("CYTOFS_SCRUB_ALL");
    return all && all[0] == '1';
}

static const char *const files[] = {"FORMAT", "mirrors", "mirrors-copy", "packs/00000001.pack", "catalog.db"};

typedef void try_flip(struct small_store *store, const char *path, uint64_t bit);

/* Calls `try` for one random bit of each byte of the store's files, or of so many random bytes where there are more; the number
 * of calls. */
static uint64_t for_each_byte(struct small_store *store, const char *folder, uint64_t bytes_max, try_flip *try)
{
    struct random random = {7};
    uint64_t tried = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        if (!file_exists(path))
            continue;
        uint64_t bytes = bits_of(path) / 8;
        bool all = wants_all() || bytes <= bytes_max;
        for (uint64_t n = 0; n < (all ? bytes : bytes_max); n++, tried++)
            try(store, path, 8 * (all ? n : random_below(&random, (uint32_t)bytes)) + random_below(&random, 8));
    }
    return tried;
}

static void expect_found(struct small_store *store, const char *path, uint64_t bit)
{
    flip(path, bit);
    struct scrub_summary summary = scrub(store, true);
    if (summary.damages != 1 || summary.mended != 0)
        fail_msg("%s, bit %lu: %lu damages, %lu unneeded bytes", path, (unsigned long)bit, (unsigned long)summary.damages,
                 (unsigned long)summary.unnamed_bytes);
    flip(path, bit);
}

static void each_flipped_byte_of_a_store_is_found(void **state)
{
    struct small_store *store = *state;
    reopen(store);
    struct scrub_summary summary = scrub(store, true);
    assert_int_equal(summary.damages + summary.unnamed_bytes, 0);
    assert_int_equal(summary.records, SMALL_STORE_CHUNKS);
    print_message("%lu flips, each found\n", (unsigned long)for_each_byte(store, store->a, FOUND_MAX, expect_found));
}

static void expect_mended(struct small_store *store, const char *path, uint64_t bit)
{
    SCOPE_BUFFER before = {0};
    SCOPE_BUFFER after = {0};
    assert_code_ok(file_read(path, 1 << 24, &before, &why), why);
    flip(path, bit);
    struct scrub_summary summary = scrub(store, false);
    if (summary.damages != 1 || summary.mended != 1)
        fail_msg("%s, bit %lu: %lu damages, %lu mended", path, (unsigned long)bit, (unsigned long)summary.damages,
                 (unsigned long)summary.mended);
    assert_code_ok(file_read(path, 1 << 24, &after, &why), why);
    assert_int_equal(before.length, after.length);
    assert_memory_equal(before.data, after.data, before.length);
}

static void each_flipped_byte_of_a_mirrored_store_is_mended(void **state)
{
    struct small_store *store = *state;
    reopen(store);
    assert_int_equal(scrub(store, true).damages, 0);
    uint64_t tried = for_each_byte(store, store->a, MENDED_MAX, expect_mended);
    tried += for_each_byte(store, store->b, MENDED_MAX, expect_mended);
    print_message("%lu flips, each mended\n", (unsigned long)tried);
}

static void cut(const char *path, off_t bytes)
{
    assert_int_equal(truncate(path, bytes), 0);
}

static void a_pack_that_is_missing_or_too_short_is_found_and_brought_back(void **state)
{
    struct small_store *store = *state;
    char a[120], b[120];
    SCOPE_BUFFER before = {0};
    SCOPE_BUFFER after = {0};
    snprintf(a, sizeof a, "%s/packs/00000001.pack", store->a);
    snprintf(b, sizeof b, "%s/packs/00000001.pack", store->b);
    assert_code_ok(file_read(a, 1 << 24, &before, &why), why);
    cut(b, (off_t)before.length / 2);
    reopen(store);
    struct scrub_summary summary = scrub(store, false);
    assert_true(summary.damages >= 1 && summary.mended == summary.damages);
    small_store_close(store);
    assert_int_equal(unlink(a), 0);
    small_store_open(store, store->a);
    summary = scrub(store, true);
    assert_true(summary.damages >= 1 && summary.mended == 0);
    summary = scrub(store, false);
    assert_true(summary.damages >= 1 && summary.mended == summary.damages);
    assert_int_equal(scrub(store, true).damages, 0);
    assert_code_ok(file_read(a, 1 << 24, &after, &why), why);
    assert_int_equal(before.length, after.length);
    assert_memory_equal(before.data, after.data, before.length);
    assert_code_ok(file_read(b, 1 << 24, &after, &why), why);
    assert_int_equal(after.length, 2 * before.length);
    assert_int_equal(small_store_count_wrong(store), 0);
}

static void bytes_that_nothing_needs_are_told_and_are_no_damage(void **state)
{
    struct small_store *store = *state;
    char path[120];
    snprintf(path, sizeof path, "%s/packs/00000001.pack", store->a);
    small_store_close(store);
    assert_code_ok(file_append(path, "what a power cut left", 21, &why), why);
    small_store_open(store, store->a);
    struct scrub_summary summary = scrub(store, false);
    assert_int_equal(summary.damages, 0);
    assert_int_equal(summary.unnamed_bytes, 21);
}

static bool stop_at_once(void *context, uint64_t done, uint64_t all)
{
    int *calls = context;
    assert_true(done <= all);
    return ++*calls < 3;
}

static void it_stops_when_it_is_told_to(void **state)
{
    struct small_store *store = *state;
    struct scrub_summary summary;
    _Atomic uint64_t rate = 1; /* a byte a second: it would take days */
    int calls = 0;
    const struct scrub_options options = {.mirrors = store->mirrors,
                                          .chunks = store->chunks,
                                          .catalog = store->catalog,
                                          .rate = &rate,
                                          .progress = stop_at_once,
                                          .context = &calls};
    assert_int_equal(scrub_run(&options, &summary, &why), CODE_INTERRUPTED);
}

static void a_damaged_chunk_is_read_from_the_mirror_and_mended_on_the_way(void **state)
{
    struct small_store *store = *state;
    char path[120];
    snprintf(path, sizeof path, "%s/packs/00000001.pack", store->a);
    reopen(store);
    flip(path, 8 * 200);
    assert_int_equal(small_store_count_wrong(store), 0);
    assert_int_equal(mirror_set_repairs(store->mirrors), 1);
    assert_int_equal(scrub(store, true).damages, 0);
}

static void a_damaged_page_is_read_from_the_mirror_and_mended_on_the_way(void **state)
{
    struct small_store *store = *state;
    char path[120];
    snprintf(path, sizeof path, "%s/catalog.db", store->a);
    small_store_close(store);
    for (uint64_t page = 0; page < bits_of(path) / 8 / 4096; page++)
        flip(path, 8 * (page * 4096 + 50));
    small_store_open(store, store->a);
    assert_int_equal(small_store_count_wrong(store), 0);
    assert_true(mirror_set_repairs(store->mirrors) >= 1);
    scrub(store, false);
    assert_int_equal(scrub(store, true).damages, 0);
}

static void a_damaged_format_file_is_written_anew_from_the_packs(void **state)
{
    struct small_store *store = *state;
    char path[120];
    bool mended;
    SCOPE_BUFFER before = {0};
    SCOPE_BUFFER after = {0};
    snprintf(path, sizeof path, "%s/FORMAT", store->a);
    small_store_close(store);
    assert_code_ok(file_read(path, 1000, &before, &why), why);
    flip(path, 8 * 30);
    assert_code_ok(scrub_mend_format(store->a, &mended, &why), why);
    assert_true(mended);
    assert_code_ok(file_read(path, 1000, &after, &why), why);
    assert_string_equal(buffer_text(&before), buffer_text(&after));
    assert_code_ok(scrub_mend_format(store->a, &mended, &why), why);
    assert_false(mended);
}

#define on_store(name)  cmocka_unit_test_setup_teardown(name, make, clean_up)
#define on_mirror(name) cmocka_unit_test_setup_teardown(name, make_mirrored, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_store(each_flipped_byte_of_a_store_is_found),
        on_mirror(each_flipped_byte_of_a_mirrored_store_is_mended),
        on_mirror(a_pack_that_is_missing_or_too_short_is_found_and_brought_back),
        on_store(bytes_that_nothing_needs_are_told_and_are_no_damage),
        on_store(it_stops_when_it_is_told_to),
        on_mirror(a_damaged_chunk_is_read_from_the_mirror_and_mended_on_the_way),
        on_mirror(a_damaged_page_is_read_from_the_mirror_and_mended_on_the_way),
        on_store(a_damaged_format_file_is_written_anew_from_the_packs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
