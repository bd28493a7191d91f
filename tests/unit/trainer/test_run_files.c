/* kernels/trainer: the files of a run. */
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "run_files.h"
#include "scope.h"

struct fixture {
    char folder[40];
    struct run_files *files;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->folder, "/tmp/cytofs-run-XXXXXX");
    if (!mkdtemp(fixture->folder) || run_files_create(fixture->folder, &fixture->files, NULL) != CODE_OK)
        return -1;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    run_files_destroy(fixture->files);
    enum code code = file_remove_tree(fixture->folder, NULL);
    free(fixture);
    return code == CODE_OK ? 0 : -1;
}

static void assert_text(const struct fixture *fixture, const char *name, const char *expected)
{
    SCOPE_FREE char *path = file_join(fixture->folder, name);
    SCOPE_BUFFER text = {0};
    struct failure why;
    assert_code_ok(file_read(path, 100000, &text, &why), why);
    assert_string_equal(buffer_text(&text), expected);
}

/* "<ms> <value> <step>" with the milliseconds left out. */
static void assert_metric(const struct fixture *fixture, const char *key, const char *expected)
{
    SCOPE_FREE char *path = NULL;
    assert_true(asprintf(&path, "%s/metrics/%s", fixture->folder, key) > 0);
    SCOPE_BUFFER text = {0};
    SCOPE_BUFFER bare = {0};
    struct failure why;
    assert_code_ok(file_read(path, 100000, &text, &why), why);
    for (const char *line = buffer_text(&text); *line; line = strchr(line, '\n') + 1) {
        assert_true(strtoll(line, NULL, 10) > 1000000000000);
        const char *rest = strchr(line, ' ') + 1;
        buffer_append(&bare, rest, strcspn(rest, "\n") + 1);
    }
    assert_string_equal(buffer_text(&bare), expected);
}

static void metric_lines_carry_time_value_and_step(void **state)
{
    struct fixture *fixture = *state;
    struct failure why;
    run_files_metric(fixture->files, "train/loss", 2.5, 1);
    run_files_metric(fixture->files, "train/loss", 0.125, 2);
    run_files_metric(fixture->files, "val/ap50", NAN, 2);
    assert_code_ok(run_files_flush(fixture->files, true, &why), why);
    run_files_metric(fixture->files, "train/loss", 1e-9, 3);
    assert_code_ok(run_files_flush(fixture->files, true, &why), why);
    assert_metric(fixture, "train/loss", "2.5 1\n0.125 2\n1e-09 3\n");
    SCOPE_FREE char *absent = file_join(fixture->folder, "metrics/val/ap50");
    assert_false(file_exists(absent));
}

static void params_say_what_was_used_last(void **state)
{
    struct fixture *fixture = *state;
    struct failure why;
    assert_code_ok(run_files_param(fixture->files, "batch", "8\n", &why), why);
    assert_code_ok(run_files_param(fixture->files, "batch", "16\n", &why), why);
    assert_text(fixture, "params/batch", "16\n");
}

static void progress_is_one_line_that_may_become_shorter(void **state)
{
    struct fixture *fixture = *state;
    struct failure why;
    assert_code_ok(run_files_progress(fixture->files, 1000, 3000, 123.4567, &why), why);
    assert_text(fixture, "progress", "1000 3000 steps 123.457\n");
    assert_code_ok(run_files_progress(fixture->files, 1, 3, 9, &why), why);
    assert_text(fixture, "progress", "1 3 steps 9.000\n");
}

static void going_back_drops_lines_of_later_steps(void **state)
{
    struct fixture *fixture = *state;
    struct failure why;
    for (int step = 1; step <= 5; step++)
        run_files_metric(fixture->files, "train/loss", step / 2.0, step);
    run_files_metric(fixture->files, "val/ap50", 0.5, 4);
    assert_code_ok(run_files_flush(fixture->files, true, &why), why);
    assert_code_ok(run_files_rewind(fixture->files, "val", 4, &why), why);
    assert_metric(fixture, "val/ap50", "0.5 4\n");
    assert_code_ok(run_files_rewind(fixture->files, "test", 0, &why), why); /* nothing there yet */
    assert_code_ok(run_files_rewind(fixture->files, "", 3, &why), why);
    assert_metric(fixture, "train/loss", "0.5 1\n1 2\n1.5 3\n");
    assert_metric(fixture, "val/ap50", "");
}

static void a_write_that_fails_is_a_failure_in_words(void **state)
{
    struct fixture *fixture = *state;
    struct failure why;
    SCOPE_FREE char *obstacle = file_join(fixture->folder, "metrics/train");
    assert_code_ok(file_write(obstacle, "", 0, &why), why); /* a file where the folder should be */
    run_files_metric(fixture->files, "train/loss", 1, 1);
    assert_int_not_equal(run_files_flush(fixture->files, true, &why), CODE_OK);
    assert_non_null(strstr(why.text, "writing metrics"));
}

static void class_names_become_safe_keys(void **state)
{
    (void)state;
    char key[16];
    run_files_key_part("../a b/\xC3\xA9-1", key, sizeof key);
    assert_string_equal(key, ".._a_b___-1");
    run_files_key_part("a very long class name", key, sizeof key);
    assert_string_equal(key, "a_very_long_cla");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(metric_lines_carry_time_value_and_step, set_up, tear_down),
        cmocka_unit_test_setup_teardown(params_say_what_was_used_last, set_up, tear_down),
        cmocka_unit_test_setup_teardown(progress_is_one_line_that_may_become_shorter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(going_back_drops_lines_of_later_steps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_write_that_fails_is_a_failure_in_words, set_up, tear_down),
        cmocka_unit_test(class_names_become_safe_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
