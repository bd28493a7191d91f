/* Backups of a lab that is being written, snapshotted, read and collected: each point is a state that the lab once had, of
 * one moment, with every byte.
 *
 * The writer changes files in turn, in rounds: at every moment the files of a lower number are of the round that is being
 * written, or all are of the one before.  A backup that mixed two moments would show a file out of turn. */
#include "testing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup_make.h"
#include "backup_restore.h"
#include "file.h"
#include "lab_fixture.h"
#include "random.h"
#include "seeded_file.h"
#include "tree_collect.h"

#define FILES 16

struct stage {
    struct lab lab;
    atomic_bool stop;
    atomic_uint_fast64_t round; /* complete ones */
    atomic_uint snapshots, collections;
    char above[32], backup[64], restored[48];
};

static struct failure why;

static void write_round(struct stage *stage, struct random *random)
{
    uint64_t round = atomic_load(&stage->round) + 1;
    char path[64];
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "datasets/cells/file-%d", i);
        seeded_file_write(&stage->lab, path, 10000 + random_below(random, 200000), round);
    }
    atomic_store(&stage->round, round);
}

static void *write_on(void *context)
{
    struct stage *stage = context;
    struct random random = {3};
    while (!atomic_load(&stage->stop))
        write_round(stage, &random);
    return NULL;
}

static void *snapshot_on(void *context)
{
    struct stage *stage = context;
    struct failure refused;
    struct node_id snapshots = lab_node(&stage->lab, "datasets/cells/.snap");
    while (!atomic_load(&stage->stop)) {
        char label[TREE_NAME_MAX + 1] = "moment";
        assert_code_ok(tree_path_snapshot(stage->lab.tree, "datasets/cells", false, label, &refused), refused);
        assert_code_ok(tree_remove_folder(stage->lab.tree, snapshots, label, &refused), refused);
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
        assert_code_ok(tree_collect(stage->lab.tree, &(struct tree_collect_options){.dead_percent = 5}, &summary, &refused),
                       refused);
        atomic_fetch_add(&stage->collections, 1);
    }
    return NULL;
}

static enum code save_catalog(void *tree, const char *path, struct failure *failure)
{
    return tree_save_catalog(tree, path, failure);
}

static void back_up(struct stage *stage)
{
    struct backup_summary made;
    const struct backup_source source = {.id = stage->lab.store,
                                         .folder = stage->lab.folder,
                                         .chunks = stage->lab.chunks,
                                         .save_catalog = save_catalog,
                                         .context = stage->lab.tree};
    assert_code_ok(tree_sync(stage->lab.tree, &why), why);
    tree_hold_packs(stage->lab.tree);
    assert_code_ok(backup_make(stage->backup, &source, &(struct backup_options){.keep = 3}, &made, &why), why);
    tree_release_packs(stage->lab.tree);
    assert_int_equal(made.damages, 0);
}

/* The restored lab shows a moment not before `least` complete rounds. */
static void expect_one_moment(struct stage *stage, uint64_t least)
{
    struct backup_restore_options options = {0};
    struct backup_restore_summary restored;
    assert_code_ok(backup_restore_choose(stage->backup, NULL, &options.point, &why), why);
    assert_code_ok(backup_restore(stage->backup, stage->restored, &options, &restored, &why), why);
    struct lab lab = stage->lab;
    lab.tree = NULL;
    lab.chunks = NULL;
    snprintf(lab.folder, sizeof lab.folder, "%s", stage->restored);
    lab_open(&lab);
    lab_check(&lab);
    uint64_t first = 0, before = 0;
    for (int i = 0; i < FILES; i++) {
        char path[64];
        SCOPE_BUFFER found = {0};
        snprintf(path, sizeof path, "datasets/cells/file-%d", i);
        assert_code_ok(tree_path_read(lab.tree, path, 1 << 20, &found, &why), why);
        assert_true(seeded_file_is_whole(&found));
        uint64_t round = seeded_file_number(&found);
        first = i == 0 ? round : first;
        assert_true(i == 0 || round <= before);
        assert_true(round + 1 >= first);
        before = round;
    }
    assert_true(before >= least);
    lab_close(&lab);
    assert_code_ok(file_remove_tree(stage->restored, &why), why);
}

static void each_point_is_one_moment_of_a_busy_lab(void **state)
{
    (void)state;
    static struct stage stage;
    lab_create(&stage.lab);
    strcpy(stage.above, "/tmp/cytofs-backup-XXXXXX");
    assert_non_null(mkdtemp(stage.above));
    snprintf(stage.backup, sizeof stage.backup, "%s/backup", stage.above);
    snprintf(stage.restored, sizeof stage.restored, "%s/restored", stage.above);
    char format[128];
    snprintf(format, sizeof format, "%s/FORMAT", stage.lab.folder);
    assert_code_ok(file_write(format, "a format\n", 9, &why), why);
    lab_make_folder(&stage.lab, "datasets/cells");
    struct random random = {1};
    write_round(&stage, &random);

    void *(*const actors[])(void *) = {write_on, snapshot_on, collect_on};
    pthread_t threads[sizeof actors / sizeof *actors];
    for (size_t i = 0; i < sizeof actors / sizeof *actors; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, actors[i], &stage), 0);
    const char *soak = getenv("CYTOFS_SOAK_ROUNDS");
    unsigned turns = soak ? (unsigned)strtoul(soak, NULL, 10) : 6;
    for (unsigned turn = 0; turn < turns; turn++) {
        uint64_t least = atomic_load(&stage.round);
        back_up(&stage);
        expect_one_moment(&stage, least);
    }
    atomic_store(&stage.stop, true);
    for (size_t i = 0; i < sizeof actors / sizeof *actors; i++)
        pthread_join(threads[i], NULL);
    assert_true(atomic_load(&stage.snapshots) > 0);
    lab_check(&stage.lab);
    lab_destroy(&stage.lab);
    assert_code_ok(file_remove_tree(stage.above, &why), why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_point_is_one_moment_of_a_busy_lab)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
