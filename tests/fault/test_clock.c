/* The wall clock jumps forwards and backwards between operations: commits happen all the same, times are what the clock
 * said, and the lab opens again whatever the clock says then.  Only the wall clock is moved: what waits must not look at it.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "file.h"
#include "lab_store.h"
#include "scope.h"
#include "testing.h"
#include "timing.h"
#include "tree_path.h"

static int64_t shift_s; /* of the wall clock */

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static __typeof__(&clock_gettime) next;
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "clock_gettime");
    int result = next(clock, out);
    if (clock == CLOCK_REALTIME)
        out->tv_sec += __atomic_load_n(&shift_s, __ATOMIC_RELAXED);
    return result;
}

static void jump(int64_t seconds)
{
    __atomic_store_n(&shift_s, seconds, __ATOMIC_RELAXED);
}

/* Nobody asks for it: the committer must do it by itself. */
static void wait_for_commit(struct tree *tree)
{
    struct tree_statistics before, now;
    tree_statistics(tree, &before);
    int64_t until_ms = timing_monotonic_ms() + TESTING_PATIENCE_MS;
    do {
        usleep(20000);
        tree_statistics(tree, &now);
    } while (now.commits == before.commits && timing_monotonic_ms() < until_ms);
    assert_true(now.commits > before.commits);
}

static void the_lab_bears_any_clock(void **state)
{
    (void)state;
    static const int64_t jumps[] = {0, 86400, -86400, -1700000000, 3000000000, 0};
    struct failure why;
    struct lab_store lab;
    struct check_summary summary;
    char folder[] = "/tmp/cytofs-clock-XXXXXX", store[64], key[64], path[32];
    struct lab_store_made made = {0};
    const struct lab_store_plan plan = {.path = store, .member = "ada", .key = key};
    assert_non_null(mkdtemp(folder));
    snprintf(store, sizeof store, "%s/store", folder);
    snprintf(key, sizeof key, "%s/key", folder);
    assert_code_ok(lab_store_create(&plan, &made, &why), why);
    buffer_free(&made.key_path);
    for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        struct node_attributes node;
        SCOPE_BUFFER report = {0};
        assert_code_ok(lab_store_open(store, &(struct lab_store_options){.key = key}, &lab, &why), why);
        snprintf(path, sizeof path, "jobs/at%zu", i);
        jump(jumps[i]);
        int64_t before_ns = timing_wall_ns();
        assert_code_ok(tree_path_write(lab.tree, path, 0644, "now", 3, &why), why);
        assert_code_ok(tree_path_attributes(lab.tree, path, &node, &why), why);
        assert_in_range(node.modify_ns - before_ns, 0, INT64_C(60000000000));
        if (i % 2)
            wait_for_commit(lab.tree);
        else
            assert_code_ok(tree_sync(lab.tree, &why), why);
        for (size_t old = 0; old <= i; old++) {
            SCOPE_BUFFER text = {0};
            snprintf(path, sizeof path, "jobs/at%zu", old);
            assert_code_ok(tree_path_read(lab.tree, path, 10, &text, &why), why);
            assert_string_equal(buffer_text(&text), "now");
        }
        assert_code_ok(check_run(lab.tree, &(struct check_options){.contents = true}, &report, &summary, &why), why);
        assert_int_equal(summary.problems, 0);
        lab_store_close(&lab);
    }
    assert_code_ok(file_remove_tree(folder, &why), why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_lab_bears_any_clock)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
