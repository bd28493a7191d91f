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
#include "recent_format.h"
#include "scope.h"
#include "scrub.h"
#include "small_store.h"

#define FOUND_MAX  800 /* bytes of one file */
#define MENDED_MAX 40

static struct failure why;

/* As the program opens it: what a log held is in the file. */
static void reopen(struct small_store *store)
{
    small_store_close(store);
    small_store_open(store, store->a);
}

static void flip(const char *path, uint64_t bit)
{
    SCOPE_CLOSE int fd = open(path, O_RDWR);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)(bit / 8)), 1);
    byte ^= (uint8_t)(1 << bit % 8);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
}

/* The catalog's file is open, and closing a second descriptor of it would drop SQLite's locks; nobody else is here, though.
 */
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

/* Calls `try` for one random bit of each byte of the store's files, or of so many random bytes where there are more; the
 * number of calls. */
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
    struct scrub_summary summary = small_store_scrub(store, true);
    if (summary.damages != 1 || summary.mended != 0)
        fail_msg("%s, bit %lu: %lu damages, %lu unneeded bytes", path, (unsigned long)bit, (unsigned long)summary.damages,
                 (unsigned long)summary.unnamed_bytes);
    flip(path, bit);
}

static void each_flipped_byte_of_a_store_is_found(void **state)
{
    struct small_store *store = *state;
    reopen(store);
    struct scrub_summary summary = small_store_scrub(store, true);
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
    struct scrub_summary summary = small_store_scrub(store, false);
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
    assert_int_equal(small_store_scrub(store, true).damages, 0);
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
    struct scrub_summary summary = small_store_scrub(store, false);
    assert_true(summary.damages >= 1 && summary.mended == summary.damages);
    small_store_close(store);
    assert_int_equal(unlink(a), 0);
    small_store_open(store, store->a);
    summary = small_store_scrub(store, true);
    assert_true(summary.damages >= 1 && summary.mended == 0);
    summary = small_store_scrub(store, false);
    assert_true(summary.damages >= 1 && summary.mended == summary.damages);
    assert_int_equal(small_store_scrub(store, true).damages, 0);
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
    struct scrub_summary summary = small_store_scrub(store, false);
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
    assert_int_equal(small_store_scrub(store, true).damages, 0);
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
    small_store_scrub(store, false);
    assert_int_equal(small_store_scrub(store, true).damages, 0);
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

/* The log of recent writes ------------------------------------------------------------------------------------------------
 */

#define RECENT_WRITES 3

/* Some writes that follow the last commit.  What stands for ciphertext here is opened by nobody. */
static size_t write_recent(const struct small_store *store, char path[120])
{
    uint8_t log[RECENT_WRITES * RECENT_FORMAT_RECORD_MAX + RECENT_FORMAT_HEAD] = {0};
    size_t end = 0;
    for (unsigned i = 0; i < RECENT_WRITES; i++) {
        const struct recent_head head = {.count = 20 + i, .commit = 7, .sequence = i, .inode = 20, .space = 3};
        memset(log + end, (int)(100 + i), recent_format_bytes(&head));
        recent_format_write_head(&head, log + end);
        recent_format_write_sum(log + end, recent_format_bytes(&head));
        end += recent_format_bytes(&head);
    }
    snprintf(path, 120, "%s/" RECENT_FORMAT_FILE, store->a);
    assert_code_ok(file_write(path, log, end + RECENT_FORMAT_HEAD, &why), why);
    return end;
}

static void each_flipped_bit_of_the_log_of_recent_writes_is_found(void **state)
{
    struct small_store *store = *state;
    char path[120];
    size_t end = write_recent(store, path);
    assert_int_equal(small_store_scrub(store, true).damages, 0);
    for (uint64_t bit = 0; bit < 8 * end; bit++)
        expect_found(store, path, bit);
    assert_int_equal(truncate(path, (off_t)end), 0); /* a log that ends with the file */
    assert_int_equal(small_store_scrub(store, true).damages, 0);
}

/* Stands for a lab that commits, and then overwrites what nobody needs. */
static enum code commit(void *context, bool wipe, struct failure *reason)
{
    static const uint8_t end[RECENT_FORMAT_HEAD];
    return wipe ? file_write(context, end, sizeof end, reason) : CODE_OK;
}

static void damage_of_that_log_is_mended_by_a_commit(void **state)
{
    struct small_store *store = *state;
    struct scrub_summary summary;
    char path[120];
    write_recent(store, path);
    flip(path, 8 * 100);
    const struct scrub_options options = {
        .mirrors = store->mirrors, .chunks = store->chunks, .catalog = store->catalog, .commit = commit, .context = path};
    assert_code_ok(scrub_run(&options, &summary, &why), why);
    assert_true(summary.damages == 1 && summary.mended == 1);
    assert_int_equal(small_store_scrub(store, true).damages, 0);
}

static void a_log_that_follows_an_older_commit_is_needed_by_nobody(void **state)
{
    struct small_store *store = *state;
    char path[120];
    size_t end = write_recent(store, path);
    flip(path, 8 * (end - 1));
    assert_code_ok(catalog_operation_begin(store->catalog, &why), why);
    assert_code_ok(catalog_set_number(store->catalog, CATALOG_COMMIT, 8, &why), why);
    assert_code_ok(catalog_operation_end(store->catalog, true, &why), why);
    assert_int_equal(small_store_scrub(store, true).damages, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SMALL_STORE_TEST(each_flipped_byte_of_a_store_is_found),
        SMALL_STORE_MIRRORED_TEST(each_flipped_byte_of_a_mirrored_store_is_mended),
        SMALL_STORE_MIRRORED_TEST(a_pack_that_is_missing_or_too_short_is_found_and_brought_back),
        SMALL_STORE_TEST(bytes_that_nothing_needs_are_told_and_are_no_damage),
        SMALL_STORE_TEST(it_stops_when_it_is_told_to),
        SMALL_STORE_MIRRORED_TEST(a_damaged_chunk_is_read_from_the_mirror_and_mended_on_the_way),
        SMALL_STORE_MIRRORED_TEST(a_damaged_page_is_read_from_the_mirror_and_mended_on_the_way),
        SMALL_STORE_TEST(a_damaged_format_file_is_written_anew_from_the_packs),
        SMALL_STORE_TEST(each_flipped_bit_of_the_log_of_recent_writes_is_found),
        SMALL_STORE_TEST(damage_of_that_log_is_mended_by_a_commit),
        SMALL_STORE_TEST(a_log_that_follows_an_older_commit_is_needed_by_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
