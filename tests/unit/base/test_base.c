/* fs/base: failures, buffers, host files. */
#include "testing.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer.h"
#include "failure.h"
#include "file.h"
#include "logging.h"
#include "random.h"
#include "scope.h"

static void a_wrapped_failure_reads_from_the_outside_in(void **state)
{
    (void)state;
    struct failure why;
    assert_int_equal(failure_set(&why, CODE_NOT_FOUND, "b.png: is missing"), CODE_NOT_FOUND);
    assert_int_equal(failure_wrap(&why, CODE_NOT_FOUND, "importing %s", "a"), CODE_NOT_FOUND);
    assert_string_equal(why.text, "importing a: b.png: is missing");
}

static void every_code_becomes_an_errno_and_posix_ones_come_back(void **state)
{
    (void)state;
    for (int code = CODE_OK + 1; code < CODE_COUNT; code++) {
        assert_int_not_equal(failure_to_errno((enum code)code), 0);
        assert_int_not_equal(failure_to_exit_status((enum code)code), 0);
    }
    assert_int_equal(failure_from_errno(ENOSPC), CODE_NO_SPACE);
    assert_int_equal(failure_from_errno(EIO), CODE_IO);
    assert_int_equal(failure_from_errno(ECHILD), CODE_IO);
}

static void a_buffer_stops_at_its_maximum_and_keeps_what_it_had(void **state)
{
    (void)state;
    SCOPE_BUFFER text = {.max = 10};
    buffer_append_text(&text, "12345");
    buffer_printf(&text, "%s", "678901234");
    assert_true(text.failed);
    assert_string_equal(buffer_text(&text), "12345");
    struct failure why;
    assert_int_equal(buffer_check(&text, "a list", &why), CODE_TOO_LARGE);
}

static void csv_and_json_fields_are_quoted(void **state)
{
    (void)state;
    SCOPE_BUFFER text = {0};
    buffer_append_csv(&text, "a \"b\", c");
    buffer_append_json(&text, "q\"\n\xff\xc3\xa9");
    assert_string_equal(buffer_text(&text), "\"a \"\"b\"\", c\"\"q\\\"\\u000a\\ufffd\xc3\xa9\"");
}

static void a_replaced_file_reads_back_and_leaves_no_temporary(void **state)
{
    (void)state;
    char folder[] = "/tmp/cytofs-base-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct failure why;
    SCOPE_FREE char *deep = file_join(folder, "x/y");
    assert_code_ok(file_make_folders(deep, &why), why);
    SCOPE_FREE char *path = file_join(deep, "note.txt");
    assert_code_ok(file_replace(path, "one", 3, &why), why);
    assert_code_ok(file_append(path, "two", 3, &why), why);
    SCOPE_BUFFER text = {0};
    assert_code_ok(file_read(path, 100, &text, &why), why);
    assert_string_equal(buffer_text(&text), "onetwo");
    buffer_clear(&text);
    assert_int_equal(file_read(path, 5, &text, &why), CODE_TOO_LARGE);
    struct file_names names;
    assert_code_ok(file_list(deep, 10, &names, &why), why);
    assert_int_equal(names.count, 1);
    file_names_free(&names);
    assert_code_ok(file_remove_tree(folder, &why), why);
    assert_false(file_exists(folder));
}

static void random_numbers_are_the_published_sequence(void **state)
{
    (void)state;
    /* The first outputs of splitmix64 for seed 1234567, as in the reference program of Vigna. */
    struct random random = {1234567};
    assert_true(random_next(&random) == UINT64_C(6457827717110365317));
    assert_true(random_next(&random) == UINT64_C(3203168211198807973));
}

static void an_unknown_trace_category_changes_nothing(void **state)
{
    (void)state;
    struct failure why;
    assert_code_ok(logging_trace_select("tree, jobs", &why), why);
    assert_int_equal(logging_trace_select("store bogus", &why), CODE_INVALID);
    assert_true(logging_trace_enabled(TRACE_TREE));
    assert_false(logging_trace_enabled(TRACE_STORE));
    assert_code_ok(logging_trace_select("none", &why), why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrapped_failure_reads_from_the_outside_in),
        cmocka_unit_test(every_code_becomes_an_errno_and_posix_ones_come_back),
        cmocka_unit_test(a_buffer_stops_at_its_maximum_and_keeps_what_it_had),
        cmocka_unit_test(csv_and_json_fields_are_quoted),
        cmocka_unit_test(a_replaced_file_reads_back_and_leaves_no_temporary),
        cmocka_unit_test(random_numbers_are_the_published_sequence),
        cmocka_unit_test(an_unknown_trace_category_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
