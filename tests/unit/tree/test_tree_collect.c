/* Giving space back: how much comes back, and that nothing that anybody needs is taken, whatever goes on at the same time.
 */
#include "testing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk_store.h"
#include "lab_fixture.h"
#include "random.h"
#include "seeded_file.h"
#include "tree_collect.h"

static struct failure why;

static int make_lab(void **state)
{
    struct lab *lab = calloc(1, sizeof *lab);
    lab_create(lab);
    lab_make_folder(lab, "datasets/cells");
    *state = lab;
    return 0;
}

static int remove_lab(void **state)
{
    lab_destroy(*state);
    free(*state);
    return 0;
}

static uint64_t stored(struct lab *lab)
{
    struct chunk_store_statistics statistics;
    chunk_store_statistics(lab->chunks, &statistics);
    return statistics.bytes_stored;
}

static void collect(struct lab *lab, unsigned percent, struct tree_collect_summary *summary)
{
    assert_code_ok(tree_collect(lab->tree, &(struct tree_collect_options){.dead_percent = percent}, summary, &why), why);
}

/* 60 files of 1 MB in packs of 16 MiB; then every second one goes. */
static void make_half_dead(struct lab *lab)
{
    char path[64];
    for (int i = 0; i < 60; i++) {
        snprintf(path, sizeof path, "datasets/cells/file-%d", i);
        seeded_file_write(lab, path, 1000000, (uint64_t)i + 1);
    }
    assert_code_ok(tree_sync(lab->tree, &why), why);
    for (int i = 0; i < 60; i += 2) {
        snprintf(path, sizeof path, "datasets/cells/file-%d", i);
        assert_code_ok(tree_path_remove(lab->tree, path, &why), why);
    }
    assert_code_ok(tree_sync(lab->tree, &why), why);
}

static void expect_odd_files(struct lab *lab)
{
    char path[64];
    for (int i = 1; i < 60; i += 2) {
        SCOPE_BUFFER found = {0};
        snprintf(path, sizeof path, "datasets/cells/file-%d", i);
        assert_code_ok(tree_path_read(lab->tree, path, 1 << 20, &found, &why), why);
        assert_int_equal(found.length, 1000000);
        assert_true(seeded_file_is_whole(&found));
    }
}

static void half_dead_packs_are_emptied_and_a_second_time_finds_nothing(void **state)
{
    struct lab *lab = *state;
    struct tree_collect_summary summary;
    make_half_dead(lab);
    collect(lab, 90, &summary);
    assert_in_range(summary.bytes_after, 55000000, 62000000); /* no pack is that dead */
    collect(lab, 25, &summary);
    assert_in_range(summary.bytes_after, 30000000, 33000000);
    assert_in_range(summary.bytes_moved, 25000000, 32000000);
    assert_int_equal(summary.packs_stuck, 0);
    expect_odd_files(lab);
    collect(lab, 1, &summary);
    assert_true(summary.bytes_moved < 20000000); /* the last pack at most */
    uint64_t before = stored(lab);
    collect(lab, 25, &summary);
    assert_int_equal(summary.bytes_moved, 0);
    assert_true(stored(lab) <= before);
    lab_reopen(lab);
    expect_odd_files(lab);
    lab_check(lab);
}

static void a_snapshot_keeps_what_it_shows(void **state)
{
    struct lab *lab = *state;
    struct tree_collect_summary summary;
    char path[64], label[TREE_NAME_MAX + 1] = "v1";
    for (int i = 0; i < 20; i++) {
        snprintf(path, sizeof path, "datasets/cells/file-%d", i);
        seeded_file_write(lab, path, 1000000, (uint64_t)i + 1);
    }
    assert_code_ok(tree_path_snapshot(lab->tree, "datasets/cells", false, label, &why), why);
    for (int i = 0; i < 20; i++) {
        snprintf(path, sizeof path, "datasets/cells/file-%d", i);
        assert_code_ok(tree_path_remove(lab->tree, path, &why), why);
    }
    collect(lab, 1, &summary);
    assert_true(summary.bytes_after > 20000000);
    for (int i = 0; i < 20; i++) {
        SCOPE_BUFFER found = {0};
        snprintf(path, sizeof path, "datasets/cells/.snap/v1/file-%d", i);
        assert_code_ok(tree_path_read(lab->tree, path, 1 << 20, &found, &why), why);
        assert_true(seeded_file_is_whole(&found));
    }
    assert_code_ok(tree_remove_folder(lab->tree, lab_node(lab, "datasets/cells/.snap"), "v1", &why), why);
    collect(lab, 25, &summary);
    assert_true(summary.bytes_after < 1000000);
}

static void packs_that_are_held_stay_until_they_are_released(void **state)
{
    struct lab *lab = *state;
    struct tree_collect_summary summary;
    make_half_dead(lab);
    tree_hold_packs(lab->tree);
    collect(lab, 25, &summary);
    assert_true(summary.held);
    assert_true(summary.bytes_after >= summary.bytes_before);
    tree_release_packs(lab->tree);
    collect(lab, 25, &summary);
    assert_false(summary.held);
    assert_in_range(summary.bytes_after, 30000000, 35000000);
    expect_odd_files(lab);
}

/* Everything at once ------------------------------------------------------------------------------------------------ */

#define ACTORS_FILES 24

struct stage {
    struct lab *lab;
    atomic_bool stop;
    atomic_uint_fast64_t round;
    atomic_uint reads, snapshots, collections;
};

static void *write_on(void *context)
{
    struct stage *stage = context;
    struct random random = {5};
    char path[64];
    while (!atomic_load(&stage->stop)) {
        uint64_t seed = atomic_fetch_add(&stage->round, 1) + 1;
        snprintf(path, sizeof path, "datasets/cells/file-%u", random_below(&random, ACTORS_FILES));
        seeded_file_write(stage->lab, path, 20000 + random_below(&random, 400000), seed);
    }
    return NULL;
}

/* Opens, waits a little while others change and collect, and reads what it opened. */
static void *read_on(void *context)
{
    struct stage *stage = context;
    struct random random = {9};
    char path[64];
    struct failure refused;
    while (!atomic_load(&stage->stop)) {
        SCOPE_BUFFER found = {0};
        snprintf(path, sizeof path, "datasets/cells/file-%u", random_below(&random, ACTORS_FILES));
        enum code code = tree_path_read(stage->lab->tree, path, 1 << 20, &found, &refused);
        if (code == CODE_NOT_FOUND)
            continue; /* replaced between its name and its opening */
        if (code != CODE_OK)
            fail_msg("%s", refused.text);
        if (!seeded_file_is_whole(&found))
            fail_msg("%s is a mixture", path);
        atomic_fetch_add(&stage->reads, 1);
    }
    return NULL;
}

static bool check_entry(void *context, const char *name, const struct node_attributes *attributes)
{
    (void)attributes;
    buffer_append(context, name, strlen(name) + 1);
    return true;
}

/* A snapshot is made, read twice with time between, the same both times, and dropped. */
static void *snapshot_on(void *context)
{
    struct stage *stage = context;
    struct tree *tree = stage->lab->tree;
    struct failure refused;
    struct node_id snapshots = lab_node(stage->lab, "datasets/cells/.snap");
    while (!atomic_load(&stage->stop)) {
        char label[TREE_NAME_MAX + 1] = "moment", path[400];
        SCOPE_BUFFER names = {0};
        SCOPE_BUFFER first = {0};
        SCOPE_BUFFER second = {0};
        assert_code_ok(tree_path_snapshot(tree, "datasets/cells", false, label, &refused), refused);
        assert_code_ok(tree_path_list(tree, "datasets/cells/.snap/moment", check_entry, &names, &refused), refused);
        for (int time = 0; time < 2; time++)
            for (const char *name = names.data; name && name < names.data + names.length; name += strlen(name) + 1) {
                snprintf(path, sizeof path, "datasets/cells/.snap/moment/%s", name);
                assert_code_ok(tree_path_read(tree, path, 1 << 20, time ? &second : &first, &refused), refused);
            }
        assert_int_equal(first.length, second.length);
        assert_memory_equal(first.data, second.data, first.length);
        assert_code_ok(tree_remove_folder(tree, snapshots, "moment", &refused), refused);
        atomic_fetch_add(&stage->snapshots, 1);
    }
    return NULL;
}

static void *collect_on(void *context)
{
    struct stage *stage = context;
    while (!atomic_load(&stage->stop)) {
        struct tree_collect_summary summary;
        struct failure refused;
        assert_code_ok(
            tree_collect(stage->lab->tree, &(struct tree_collect_options){.dead_percent = 10}, &summary, &refused), refused);
        assert_int_equal(summary.packs_stuck, 0);
        atomic_fetch_add(&stage->collections, 1);
    }
    return NULL;
}

static void readers_snapshots_and_collections_do_not_disturb_each_other(void **state)
{
    struct stage stage = {.lab = *state};
    char path[64];
    for (int i = 0; i < ACTORS_FILES; i++) {
        snprintf(path, sizeof path, "datasets/cells/file-%d", i);
        seeded_file_write(stage.lab, path, 300000, atomic_fetch_add(&stage.round, 1) + 1);
    }
    void *(*const actors[])(void *) = {write_on, read_on, read_on, snapshot_on, collect_on};
    pthread_t threads[sizeof actors / sizeof *actors];
    for (size_t i = 0; i < sizeof actors / sizeof *actors; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, actors[i], &stage), 0);
    /* Until each has had its turns; a slow machine takes longer. */
    const char *soak = getenv("CYTOFS_SOAK_ROUNDS");
    unsigned turns = soak ? (unsigned)strtoul(soak, NULL, 10) : 6;
    while (atomic_load(&stage.snapshots) < turns || atomic_load(&stage.collections) < turns ||
           atomic_load(&stage.reads) < 20 * turns)
        assert_code_ok(tree_sync(stage.lab->tree, &why), why);
    atomic_store(&stage.stop, true);
    for (size_t i = 0; i < sizeof actors / sizeof *actors; i++)
        pthread_join(threads[i], NULL);
    lab_check(stage.lab);
    lab_reopen(stage.lab);
    lab_check(stage.lab);
}

#define with_lab(test) cmocka_unit_test_setup_teardown(test, make_lab, remove_lab)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_lab(half_dead_packs_are_emptied_and_a_second_time_finds_nothing),
        with_lab(a_snapshot_keeps_what_it_shows),
        with_lab(packs_that_are_held_stay_until_they_are_released),
        with_lab(readers_snapshots_and_collections_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
