/* A rotation in the background: what it waits for, and that it ends. */
#include "testing.h"

#include <string.h>
#include <unistd.h>

#include "lab_fixture.h"
#include "timing.h"
#include "tree_internal.h"
#include "tree_readers.h"

static struct failure why;

static void make_dataset(struct lab *lab)
{
    static char bytes[70000];
    memset(bytes, 'x', sizeof bytes - 1);
    lab_create(lab);
    lab_make_folder(lab, "datasets/cells");
    assert_code_ok(tree_path_write(lab->tree, "datasets/cells/a", 0644, bytes, sizeof bytes, &why), why);
    assert_code_ok(tree_sync(lab->tree, &why), why);
}

static bool waits(struct lab *lab)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&lab->tree->lock);
    return lab->tree->reseal.space && lab->tree->reseal.waits;
}

static uint64_t rounds(struct lab *lab)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&lab->tree->lock);
    return lab->tree->commit.started;
}

/* All is sealed anew, and the old pack cannot go. */
static void wait_until_it_waits(struct lab *lab)
{
    for (int i = 0; !waits(lab) && i < TESTING_PATIENCE_MS / 10; i++)
        usleep(10000);
    assert_true(waits(lab));
}

static void a_rotation_that_waited_for_packs_ends_though_nothing_else_changes(void **state)
{
    (void)state;
    struct lab lab;
    make_dataset(&lab);
    tree_hold_packs(lab.tree); /* as a backup does */
    assert_code_ok(readers_rotate(lab.tree, "cells", &why), why);
    wait_until_it_waits(&lab);
    usleep(10000);
    assert_true(waits(&lab));
    tree_release_packs(lab.tree);
    lab_wait_for_rotation(&lab, "cells", NULL);
    lab_check(&lab);
    lab_destroy(&lab);
}

static void a_rotation_that_waits_leaves_the_committer_at_rest(void **state)
{
    (void)state;
    struct lab lab;
    make_dataset(&lab);
    tree_hold_packs(lab.tree);
    assert_code_ok(readers_rotate(lab.tree, "cells", &why), why);
    wait_until_it_waits(&lab);
    int64_t began_ns = timing_monotonic_ns();
    uint64_t before = rounds(&lab);
    usleep(200000);
    uint64_t made = rounds(&lab) - before;
    int64_t intervals = (timing_monotonic_ns() - began_ns) / (INT64_C(1000000) * TREE_COMMIT_INTERVAL_MS);
    assert_true(made <= (uint64_t)intervals + 2);
    tree_release_packs(lab.tree);
    lab_wait_for_rotation(&lab, "cells", NULL);
    lab_destroy(&lab);
}

static void a_rotation_that_was_waiting_when_the_lab_was_closed_ends_the_next_time(void **state)
{
    (void)state;
    struct lab lab;
    make_dataset(&lab);
    tree_hold_packs(lab.tree);
    assert_code_ok(readers_rotate(lab.tree, "cells", &why), why);
    wait_until_it_waits(&lab);
    lab_reopen(&lab);
    lab_wait_for_rotation(&lab, "cells", NULL);
    lab_check(&lab);
    lab_destroy(&lab);
}

/* Each opening leaves a gap of 16 million numbers before the next inode. */
static void a_rotation_takes_as_many_rounds_in_an_old_lab_as_in_a_new_one(void **state)
{
    (void)state;
    struct lab lab;
    make_dataset(&lab);
    for (unsigned i = 0; i < 10; i++) {
        lab_reopen(&lab);
        lab_write(&lab, "datasets/cells/b", "made late");
    }
    assert_code_ok(tree_sync(lab.tree, &why), why);
    uint64_t before = rounds(&lab);
    assert_code_ok(readers_rotate(lab.tree, "cells", &why), why);
    lab_wait_for_rotation(&lab, "cells", NULL);
    assert_true(rounds(&lab) - before <
                6000); /* most of them those of the wait; by steps of 20,000 numbers it would be more than 8,000 */
    lab_check(&lab);
    lab_destroy(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rotation_that_waited_for_packs_ends_though_nothing_else_changes),
        cmocka_unit_test(a_rotation_that_waits_leaves_the_committer_at_rest),
        cmocka_unit_test(a_rotation_that_was_waiting_when_the_lab_was_closed_ends_the_next_time),
        cmocka_unit_test(a_rotation_takes_as_many_rounds_in_an_old_lab_as_in_a_new_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
