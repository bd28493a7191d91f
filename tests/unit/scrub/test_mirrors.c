/* Mirrors: what is put lies in both folders, either can go at any moment, and an older one is never taken for a newer one.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer.h"
#include "file.h"
#include "mirror_fill.h"
#include "scrub.h"
#include "small_store.h"

static struct failure why;

static void put(struct small_store *store, int count)
{
    for (int i = 0; i < count; i++)
        small_store_put(store);
}

/* A command of the shell on one folder, or two. */
static void run(const char *words, const char *a, const char *b)
{
    char command[512];
    snprintf(command, sizeof command, "%s %s %s", words, a, b);
    if (system(command) != 0)
        fail_msg("%s", command);
}

static void put_away(const char *folder)
{
    char away[100];
    snprintf(away, sizeof away, "%s.away", folder);
    run("mv", folder, away);
}

static void bring_back(const char *folder)
{
    char away[100];
    snprintf(away, sizeof away, "%s.away", folder);
    run("mv", away, folder);
}

static void expect_equal_folders(const struct small_store *store)
{
    run("diff -r --exclude=lock --exclude='mirrors*'", store->a, store->b);
}

/* Opening through `path` gives everything that was put; nothing is damaged. */
static void expect_whole(struct small_store *store, const char *path)
{
    small_store_open(store, path);
    assert_int_equal(small_store_count_wrong(store), 0);
    assert_int_equal(small_store_scrub(store, true).damages, 0);
}

static void expect_leader(const struct small_store *store, const char *path)
{
    assert_string_equal(mirror_set_path(store->mirrors, mirror_set_leader(store->mirrors)), path);
}

static void fill_all(struct small_store *store)
{
    const struct mirror_fill fill = {.mirrors = store->mirrors, .chunks = store->chunks, .catalog = store->catalog};
    size_t left;
    mirror_fill_all(&fill, &left);
    assert_int_equal(left, 0);
}

static void a_new_mirror_is_the_same_store_and_stays_it(void **state)
{
    struct small_store *store = *state;
    small_store_mirror(store);
    put(store, 5);
    small_store_close(store);
    expect_equal_folders(store);
    expect_whole(store, store->b);
    put(store, 5);
    small_store_close(store);
    expect_equal_folders(store);
    run("rm -r", store->a, "");
    expect_whole(store, store->b);
}

static void either_folder_may_vanish_while_in_use_and_comes_back(void **state)
{
    struct small_store *store = *state;
    for (int round = 0; round < 4; round++) {
        const char *gone = round % 2 ? store->a : store->b, *left = round % 2 ? store->b : store->a;
        run("rm -r", gone, "");
        put(store, 3);
        assert_int_equal(small_store_count_wrong(store), 0);
        expect_leader(store, left);
        size_t side;
        const struct mirror_fill fill = {.mirrors = store->mirrors, .chunks = store->chunks, .catalog = store->catalog};
        assert_code_ok(mirror_set_add(store->mirrors, gone, &side, &why), why);
        assert_code_ok(mirror_fill_run(&fill, side, &why), why);
        put(store, 3);
        small_store_close(store);
        expect_equal_folders(store);
        expect_whole(store, left);
    }
}

static void a_folder_that_was_away_gets_what_it_lacks_at_the_next_opening(void **state)
{
    struct small_store *store = *state;
    small_store_close(store);
    put_away(store->b);
    small_store_open(store, store->a);
    put(store, 4);
    small_store_close(store);
    bring_back(store->b);
    for (int i = 0; i < 2; i++) { /* whichever of the two is named, the newer one leads */
        small_store_open(store, i ? store->a : store->b);
        expect_leader(store, store->a);
        assert_int_equal(small_store_count_wrong(store), 0);
        put(store, 1);
        small_store_close(store);
    }
    small_store_open(store, store->b);
    fill_all(store);
    put(store, 1);
    small_store_close(store);
    expect_equal_folders(store);
}

static void folders_that_were_changed_without_each_other_are_told_apart(void **state)
{
    struct small_store *store = *state;
    small_store_close(store);
    put_away(store->b);
    small_store_open(store, store->a);
    put(store, 1);
    small_store_close(store);
    put_away(store->a);
    bring_back(store->b);
    small_store_open(store, store->b);
    small_store_close(store);
    bring_back(store->a);
    assert_int_equal(small_store_try_open(store, store->a, &why), CODE_NOT_PERMITTED);
    assert_non_null(strstr(why.text, "without the other"));
    assert_int_equal(small_store_try_open(store, store->b, &why), CODE_NOT_PERMITTED);
    /* One is given up, and filled from the other. */
    run("rm -r", store->b, "");
    small_store_open(store, store->a);
    small_store_mirror(store);
    small_store_close(store);
    expect_equal_folders(store);
}

static void a_foreign_folder_is_never_filled_over(void **state)
{
    struct small_store *store = *state;
    size_t side;
    char path[100];
    run("cp -a", store->a, store->b); /* a copy that was not a mirror */
    assert_int_equal(mirror_set_add(store->mirrors, store->b, &side, &why), CODE_NOT_PERMITTED);
    run("rm -r", store->b, "");
    run("mkdir", store->b, "");
    snprintf(path, sizeof path, "%s/thesis.txt", store->b);
    assert_code_ok(file_write(path, "precious", 8, &why), why);
    assert_int_equal(mirror_set_add(store->mirrors, store->b, &side, &why), CODE_NOT_EMPTY);
    assert_true(file_exists(path));
    put(store, 1);
    assert_int_equal(small_store_count_wrong(store), 0);
}

static bool stop_soon(void *context, uint64_t done, uint64_t all)
{
    int *left = context;
    (void)done;
    (void)all;
    return (*left)-- > 0;
}

static void an_interrupted_filling_is_no_store_and_is_gone_on_with(void **state)
{
    struct small_store *store = *state;
    size_t side;
    int left = 5;
    const struct mirror_fill fill = {.mirrors = store->mirrors,
                                     .chunks = store->chunks,
                                     .catalog = store->catalog,
                                     .progress = stop_soon,
                                     .context = &left};
    assert_code_ok(mirror_set_add(store->mirrors, store->b, &side, &why), why);
    assert_int_equal(mirror_fill_run(&fill, side, &why), CODE_INTERRUPTED);
    put(store, 1);
    small_store_close(store);
    put_away(store->a);
    assert_int_equal(small_store_try_open(store, store->b, &why), CODE_NOT_PERMITTED);
    assert_non_null(strstr(why.text, "never brought up to date"));
    bring_back(store->a);
    small_store_open(store, store->a);
    fill_all(store);
    small_store_close(store);
    expect_equal_folders(store);
}

/* One folder has transactions in its log that the other has not.  Both were current. */
static void after_a_power_cut_the_folder_that_went_furthest_leads(void **state)
{
    struct small_store *store = *state;
    char log[100];
    SCOPE_BUFFER bytes = {0};
    snprintf(log, sizeof log, "%s/catalog.db-wal", store->a);
    put(store, 2);
    assert_code_ok(file_read(log, 1 << 24, &bytes, &why), why);
    put(store, 2);
    small_store_die(store);
    assert_code_ok(file_write(log, bytes.data, bytes.length, &why), why); /* as of two transactions ago */
    small_store_open(store, store->a);
    expect_leader(store, store->b);
    assert_int_equal(small_store_count_wrong(store), 0);
    put(store, 1);
    fill_all(store);
    put(store, 1);
    small_store_close(store);
    expect_equal_folders(store);
    expect_whole(store, store->a);
}

static void a_kill_after_a_loss_leaves_nothing_older_in_the_lead(void **state)
{
    struct small_store *store = *state;
    put_away(store->b);
    put(store, 3); /* acknowledged without b */
    bring_back(store->b);
    small_store_die(store);
    small_store_open(store, store->b);
    expect_leader(store, store->a);
    assert_int_equal(small_store_count_wrong(store), 0);
    fill_all(store);
    small_store_close(store);
    expect_equal_folders(store);
}

static void a_removed_mirror_is_a_store_of_its_own(void **state)
{
    struct small_store *store = *state;
    uint64_t then = store->chunk_count;
    assert_code_ok(mirror_set_remove(store->mirrors, store->b, &why), why);
    put(store, 2);
    assert_int_equal(small_store_count_wrong(store), 0);
    small_store_close(store);
    uint64_t now = store->chunk_count;
    store->chunk_count = then;
    expect_whole(store, store->b);
    assert_int_equal(mirror_set_count(store->mirrors), 1);
    small_store_close(store);
    store->chunk_count = now;
    expect_whole(store, store->a);
    assert_int_equal(mirror_set_remove(store->mirrors, store->a, &why), CODE_NOT_PERMITTED);
    assert_int_equal(mirror_set_remove(store->mirrors, "/nowhere", &why), CODE_NOT_FOUND);
}

static void a_list_that_is_damaged_is_read_from_its_copy(void **state)
{
    struct small_store *store = *state;
    char path[100];
    small_store_close(store);
    snprintf(path, sizeof path, "%s/mirrors", store->a);
    assert_code_ok(file_write(path, "rubbish\n", 8, &why), why);
    small_store_open(store, store->a);
    assert_int_equal(mirror_set_count(store->mirrors), 2);
    assert_true(mirror_set_is_current(store->mirrors, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SMALL_STORE_TEST(a_new_mirror_is_the_same_store_and_stays_it),
        SMALL_STORE_MIRRORED_TEST(either_folder_may_vanish_while_in_use_and_comes_back),
        SMALL_STORE_MIRRORED_TEST(a_folder_that_was_away_gets_what_it_lacks_at_the_next_opening),
        SMALL_STORE_MIRRORED_TEST(folders_that_were_changed_without_each_other_are_told_apart),
        SMALL_STORE_TEST(a_foreign_folder_is_never_filled_over),
        SMALL_STORE_TEST(an_interrupted_filling_is_no_store_and_is_gone_on_with),
        SMALL_STORE_MIRRORED_TEST(after_a_power_cut_the_folder_that_went_furthest_leads),
        SMALL_STORE_MIRRORED_TEST(a_kill_after_a_loss_leaves_nothing_older_in_the_lead),
        SMALL_STORE_MIRRORED_TEST(a_removed_mirror_is_a_store_of_its_own),
        SMALL_STORE_MIRRORED_TEST(a_list_that_is_damaged_is_read_from_its_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
