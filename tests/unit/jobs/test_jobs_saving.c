/* runner/jobs over a real tree: saving a spec in every way that editors know, and refusing one. */
#include "lab.h"

#include <string.h>

#include "buffer.h"
#include "spec.h"

#define SPEC     "dataset: datasets/cells\ntrain: {network: celldet-n, epochs: 3, lr: 2e-3}\n"
#define RUN      "experiments/a/001"
#define NEXT_RUN "experiments/a/002"

/* Saving --------------------------------------------------------------------------------------- */

static void a_saved_spec_becomes_a_run_with_all_its_files(void **state)
{
    struct lab *lab = *state;
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_int_equal(lab_count_runs(lab, "a"), 1);
    lab_expect_state(lab, RUN, RUN_QUEUED);
    lab_expect_file(lab, RUN "/spec.yaml", SPEC);
    lab_expect_file(lab, RUN "/params/epochs", "3\n");
    lab_expect_file(lab, RUN "/params/lr", "0.002\n");
    lab_expect_file(lab, RUN "/tags/member", "eve\n");
    lab_expect_file(lab, RUN "/tags/job", "a\n");
    struct run_summary run = lab_summary(lab, RUN);
    assert_string_equal(run.member, "eve");
    assert_string_equal(run.dataset, "datasets/cells/.snap/auto-1");
    SCOPE_BUFFER target = {0};
    assert_code_ok(tree_path_read_link(lab->tree, "jobs/a", &target, &lab->why), lab->why);
    assert_string_equal(buffer_text(&target), "../" RUN);
    buffer_clear(&target);
    assert_code_ok(tree_path_read_link(lab->tree, RUN "/dataset", &target, &lab->why), lab->why);
    assert_string_equal(buffer_text(&target), "../../../datasets/cells/.snap/auto-1");
    const char *folders[] = {RUN "/metrics", RUN "/artifacts", RUN "/plots"};
    for (size_t i = 0; i < 3; i++)
        assert_true(tree_path_exists(lab->tree, folders[i]));
    struct node_attributes attributes;
    assert_code_ok(tree_path_attributes(lab->tree, RUN "/spec.yaml", &attributes, &lab->why), lab->why);
    assert_int_equal(attributes.mode, 0444);
}

static void the_same_text_saved_again_runs_once(void **state)
{
    struct lab *lab = *state;
    for (int i = 0; i < 3; i++)
        assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_int_equal(lab_count_runs(lab, "a"), 1);
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC "# more\n"), lab->why);
    assert_int_equal(lab_count_runs(lab, "a"), 2);
    SCOPE_BUFFER target = {0};
    assert_code_ok(tree_path_read_link(lab->tree, "jobs/a", &target, &lab->why), lab->why);
    assert_string_equal(buffer_text(&target), "../" NEXT_RUN);
}

static void a_temporary_file_renamed_into_place_runs_once(void **state)
{
    struct lab *lab = *state;
    assert_code_ok(lab_save(lab, "jobs/.a.yaml.tmp", SPEC), lab->why);
    assert_code_ok(lab_save(lab, "jobs/a.yaml~", SPEC), lab->why);
    assert_code_ok(lab_save(lab, "jobs/4913", ""), lab->why);
    assert_code_ok(lab_save(lab, "jobs/.a.yaml.swp", "b0VIM"), lab->why);
    assert_int_equal(lab_count_runs(lab, "a"), 0);
    lab_rename(lab, "jobs/.a.yaml.tmp", "jobs/a.yaml");
    assert_int_equal(lab_count_runs(lab, "a"), 1);
}

static void a_backup_made_by_renaming_cancels_nothing_and_the_new_file_runs(void **state)
{
    struct lab *lab = *state;
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    lab_rename(lab, "jobs/a.yaml", "jobs/a.yaml~");
    lab_expect_state(lab, RUN, RUN_QUEUED);
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC "# two\n"), lab->why);
    lab_unlink(lab, "jobs/a.yaml~");
    assert_int_equal(lab_count_runs(lab, "a"), 2);
    lab_expect_state(lab, RUN, RUN_QUEUED);
    lab_expect_state(lab, NEXT_RUN, RUN_QUEUED);
}

/* A shell's `>`: opened and truncated, closed once before the first write (a duplicate of the descriptor),
 * written, closed. */
static void a_shell_redirection_runs_once(void **state)
{
    struct lab *lab = *state;
    struct node_attributes attributes;
    struct tree_file *file;
    assert_code_ok(tree_create_file(lab->tree, lab_node(lab, "jobs"), "a.yaml", 0644, OPEN_WRITE | OPEN_TRUNCATE,
                                    &attributes, &file, &lab->why),
                   lab->why);
    assert_code_ok(tree_flush(file, &lab->why), lab->why);
    assert_code_ok(tree_write(file, 0, SPEC, strlen(SPEC), &lab->why), lab->why);
    assert_code_ok(tree_flush(file, &lab->why), lab->why);
    assert_code_ok(tree_flush(file, &lab->why), lab->why);
    assert_int_equal(lab_count_runs(lab, "a"), 0);
    tree_release(file);
    assert_int_equal(lab_count_runs(lab, "a"), 1);
}

static void files_elsewhere_below_jobs_never_run(void **state)
{
    struct lab *lab = *state;
    assert_code_ok(tree_path_make_folders(lab->tree, "jobs/old", &lab->why), lab->why);
    assert_code_ok(lab_save(lab, "jobs/old/a.yaml", SPEC), lab->why);
    assert_code_ok(lab_save(lab, "jobs/notes.txt", "hello"), lab->why);
    assert_int_equal(lab_save(lab, "jobs/a.yml", SPEC), CODE_INVALID);
    assert_non_null(strstr(lab->why.text, "call it jobs/a.yaml"));
    assert_int_equal(lab_count_runs(lab, "a"), 0);
}

static void an_unchanged_dataset_is_snapshotted_once(void **state)
{
    struct lab *lab = *state;
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_code_ok(lab_save(lab, "jobs/b.yaml", SPEC "experiment: a\n"), lab->why);
    assert_string_equal(lab_summary(lab, NEXT_RUN).dataset, "datasets/cells/.snap/auto-1");
    assert_code_ok(lab_save(lab, "datasets/cells/b.png", "more"), lab->why);
    assert_code_ok(lab_save(lab, "jobs/c.yaml", SPEC "experiment: a\n"), lab->why);
    assert_string_equal(lab_summary(lab, "experiments/a/003").dataset, "datasets/cells/.snap/auto-2");
    assert_code_ok(lab_save(lab, "jobs/d.yaml", "dataset: datasets/cells/.snap/auto-1\nrun: ls\nexperiment: a\n"), lab->why);
    assert_string_equal(lab_summary(lab, "experiments/a/004").dataset, "datasets/cells/.snap/auto-1");
    /* By number and by moment; what is recorded is the label. */
    assert_int_equal(lab_save(lab, "jobs/e.yaml", "dataset: datasets/cells/.snap/1\nrun: ls\nexperiment: a\n"), CODE_OK);
    assert_string_equal(lab_summary(lab, "experiments/a/005").dataset, "datasets/cells/.snap/auto-1");
    assert_int_equal(
        lab_save(lab, "jobs/f.yaml", "dataset: datasets/cells/.snap/2999-12-31T23:59\nrun: ls\nexperiment: a\n"), CODE_OK);
    assert_string_equal(lab_summary(lab, "experiments/a/006").dataset, "datasets/cells/.snap/auto-2");
}

/* Refusing ------------------------------------------------------------------------------------- */

static void a_spec_with_three_mistakes_is_refused_and_all_three_are_listed(void **state)
{
    struct lab *lab = *state;
    const char *bad = "dataset: datasets/cell\ntrain:\n  epochs: many\n  bacth: 3\n";
    assert_int_equal(lab_save(lab, "jobs/a.yaml", bad), CODE_INVALID);
    assert_non_null(strstr(lab->why.text, "not submitted, 3 mistakes (see jobs/a.error)\n"));
    lab_expect_file(lab, "jobs/a.error",
                    "jobs/a.yaml:1:10: there is no dataset datasets/cell, did you mean datasets/cells?\n"
                    "  dataset: datasets/cell\n"
                    "           ^\n"
                    "jobs/a.yaml:3:11: \"epochs: many\" is not a whole number (write 1 to 100000)\n"
                    "    epochs: many\n"
                    "            ^\n"
                    "jobs/a.yaml:4:3: \"bacth\" is not a key of train, did you mean \"batch\"?\n"
                    "    bacth: 3\n"
                    "    ^\n");
    lab_expect_file(lab, "jobs/a.yaml", bad);
    assert_int_equal(lab_count_runs(lab, "a"), 0);
    struct node_attributes attributes;
    assert_code_ok(tree_lookup(lab->tree, lab_node(lab, "jobs"), "a.error", &attributes, &lab->why), lab->why);
    assert_true(attributes.derived);
    SCOPE_BUFFER text = {0};
    assert_code_ok(tree_path_read(lab->tree, "jobs/a.error", 10000, &text, &lab->why), lab->why);
    assert_int_equal(attributes.size, text.length);
}

static bool find_error_name(struct lab *lab)
{
    struct tree_folder *folder;
    const char *name;
    struct node_attributes attributes;
    bool found = false;
    assert_code_ok(tree_open_folder(lab->tree, lab_node(lab, "jobs"), &folder, &lab->why), lab->why);
    for (uint64_t at = 0; tree_folder_entry(folder, at, &name, &attributes); at++)
        found |= strcmp(name, "a.error") == 0;
    tree_close_folder(folder);
    return found;
}

static void the_error_file_goes_when_the_mistake_does(void **state)
{
    struct lab *lab = *state;
    assert_false(find_error_name(lab));
    assert_int_equal(lab_save(lab, "jobs/a.yaml", "run: ls\nzebra: 1\n"), CODE_INVALID);
    assert_true(find_error_name(lab));
    assert_code_ok(lab_save(lab, "jobs/a.yaml", "run: ls\n"), lab->why);
    assert_false(find_error_name(lab));
    assert_false(tree_path_exists(lab->tree, "jobs/a.error"));
    assert_int_equal(lab_count_runs(lab, "a"), 1);
}

static void an_error_about_a_dataset_goes_when_the_dataset_comes(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(lab_save(lab, "jobs/a.yaml", "dataset: datasets/zebra\nrun: ls\n"), CODE_INVALID);
    lab_expect_part(lab, "jobs/a.error", "there is no dataset datasets/zebra (there is cells, nuclei)");
    assert_code_ok(tree_path_make_folders(lab->tree, "datasets/zebra", &lab->why), lab->why);
    assert_false(tree_path_exists(lab->tree, "jobs/a.error"));
    assert_int_equal(lab_save(lab, "jobs/b.yaml", "dataset: datasets/zebra/.snap/v1\nrun: ls\n"), CODE_INVALID);
    lab_expect_part(lab, "jobs/b.error", "\"datasets/zebra\" has no snapshot \"v1\"");
}

static void names_that_would_collide_are_refused(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(lab_save(lab, "jobs/queue.yaml", SPEC), CODE_INVALID);
    assert_non_null(strstr(lab->why.text, "no job can be called \"queue\""));
    assert_int_equal(lab_save(lab, "jobs/a.error.yaml", SPEC), CODE_INVALID);
    assert_int_equal(lab_save(lab, "jobs/a.yaml.yaml", SPEC), CODE_INVALID);
}

static void a_spec_that_is_too_large_is_refused_with_the_limit(void **state)
{
    struct lab *lab = *state;
    static char text[SPEC_BYTES_MAX + 2];
    memset(text, '#', SPEC_BYTES_MAX + 1);
    assert_int_equal(lab_save(lab, "jobs/a.yaml", text), CODE_INVALID);
    lab_expect_part(lab, "jobs/a.error", "jobs/a.yaml:1:1: the spec has more than 65536 bytes");
    assert_int_equal(lab_count_runs(lab, "a"), 0);
}

#define LAB_TEST(function) cmocka_unit_test_setup_teardown(function, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(a_saved_spec_becomes_a_run_with_all_its_files),
        LAB_TEST(the_same_text_saved_again_runs_once),
        LAB_TEST(a_temporary_file_renamed_into_place_runs_once),
        LAB_TEST(a_backup_made_by_renaming_cancels_nothing_and_the_new_file_runs),
        LAB_TEST(a_shell_redirection_runs_once),
        LAB_TEST(files_elsewhere_below_jobs_never_run),
        LAB_TEST(an_unchanged_dataset_is_snapshotted_once),
        LAB_TEST(a_spec_with_three_mistakes_is_refused_and_all_three_are_listed),
        LAB_TEST(the_error_file_goes_when_the_mistake_does),
        LAB_TEST(an_error_about_a_dataset_goes_when_the_dataset_comes),
        LAB_TEST(names_that_would_collide_are_refused),
        LAB_TEST(a_spec_that_is_too_large_is_refused_with_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
