/* fs/tree: names, contents, attributes, and that they are there after closing and opening. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab_fixture.h"
#include "scope.h"

static int open_memory(void **state)
{
    struct lab *lab = calloc(1, sizeof *lab);
    lab_open_memory(lab);
    *state = lab;
    return 0;
}

static int create(void **state)
{
    struct lab *lab = calloc(1, sizeof *lab);
    lab_create(lab);
    *state = lab;
    return 0;
}

static int destroy(void **state)
{
    lab_check(*state);
    lab_destroy(*state);
    free(*state);
    return 0;
}

static void a_new_lab_has_its_folders(void **state)
{
    struct lab *lab = *state;
    SCOPE_BUFFER names = {0};
    lab_list(lab, "", &names);
    assert_string_equal(buffer_text(&names), "datasets experiments home jobs lab models");
    assert_string_equal(tree_member_name(lab->tree), "ada");
}

static void what_is_written_is_read(void **state)
{
    struct lab *lab = *state;
    lab_make_folder(lab, "experiments/e");
    lab_write(lab, "experiments/e/note", "hello");
    lab_expect(lab, "experiments/e/note", "hello");
    lab_write(lab, "experiments/e/note", "shorter and longer");
    lab_expect(lab, "experiments/e/note", "shorter and longer");
}

static void everything_is_there_after_closing_and_opening(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    struct node_attributes attributes;
    size_t count = 700001;
    SCOPE_FREE char *bytes = malloc(count);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)(i * 31 >> 3);
    lab_make_folder(lab, "datasets/d");
    assert_code_ok(tree_path_write(lab->tree, "datasets/d/big", 0640, bytes, count, &why), why);
    assert_code_ok(tree_path_link(lab->tree, "datasets/d/link", "big", &why), why);
    struct node_id big = lab_node(lab, "datasets/d/big");
    assert_code_ok(tree_set_xattr(lab->tree, big, "user.stain", "HE", 2, 0, &why), why);
    lab_reopen(lab);
    SCOPE_BUFFER contents = {0};
    assert_code_ok(tree_path_read(lab->tree, "datasets/d/link", count, &contents, &why), why);
    assert_int_equal(contents.length, count);
    assert_memory_equal(contents.data, bytes, count);
    assert_code_ok(tree_path_attributes(lab->tree, "datasets/d/big", &attributes, &why), why);
    assert_int_equal(attributes.mode, 0640);
    assert_int_equal(attributes.id.value, big.value);
    SCOPE_BUFFER value = {0};
    assert_code_ok(tree_get_xattr(lab->tree, big, "user.stain", &value, &why), why);
    assert_string_equal(buffer_text(&value), "HE");
}

static void the_frame_cannot_be_removed_or_renamed(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    assert_int_equal(tree_remove_folder(lab->tree, TREE_ROOT, "jobs", &why), CODE_NOT_PERMITTED);
    struct tree_rename rename = {TREE_ROOT, TREE_ROOT, "jobs", "works", 0, 0, 0};
    assert_int_equal(tree_rename(lab->tree, &rename, &why), CODE_NOT_PERMITTED);
    assert_int_equal(lab_save(lab, "mine", "x", &why), CODE_NOT_PERMITTED);
}

static void moving_between_key_spaces_is_refused(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    lab_make_folder(lab, "datasets/a");
    lab_make_folder(lab, "datasets/b");
    lab_write(lab, "datasets/a/x", "x");
    struct node_id a = lab_node(lab, "datasets/a"), b = lab_node(lab, "datasets/b");
    struct node_attributes attributes;
    assert_int_equal(tree_rename(lab->tree, &(struct tree_rename){a, b, "x", "x", 0, 0, 0}, &why), CODE_CROSS_SPACE);
    assert_int_equal(tree_hard_link(lab->tree, lab_node(lab, "datasets/a/x"), b, "x", &attributes, &why), CODE_CROSS_SPACE);
    struct node_id datasets = lab_node(lab, "datasets");
    assert_int_equal(tree_rename(lab->tree, &(struct tree_rename){datasets, lab_node(lab, "jobs"), "a", "a", 0, 0, 0}, &why),
                     CODE_CROSS_SPACE);
    assert_code_ok(tree_rename(lab->tree, &(struct tree_rename){datasets, datasets, "a", "c", 0, 0, 0}, &why), why);
    lab_expect(lab, "datasets/c/x", "x");
}

static void an_unlinked_file_lives_until_it_is_closed(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    lab_write(lab, "jobs/t", "still here");
    struct node_id jobs = lab_node(lab, "jobs"), node = lab_node(lab, "jobs/t");
    struct tree_file *file;
    assert_code_ok(tree_open_file(lab->tree, node, OPEN_READ | OPEN_WRITE, &file, &why), why);
    assert_code_ok(tree_unlink(lab->tree, jobs, "t", &why), why);
    assert_false(tree_path_exists(lab->tree, "jobs/t"));
    char bytes[32];
    size_t got;
    assert_code_ok(tree_read(file, 0, bytes, sizeof bytes, &got, &why), why);
    assert_int_equal(got, 10);
    assert_code_ok(tree_sync(lab->tree, &why), why);
    tree_release(file);
    struct node_attributes attributes;
    assert_int_equal(tree_attributes(lab->tree, node, &attributes, &why), CODE_NOT_FOUND);
}

static void a_snapshot_shows_what_was(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    lab_make_folder(lab, "datasets/d");
    lab_make_folder(lab, "datasets/d/images");
    lab_write(lab, "datasets/d/images/1.png", "one");
    lab_make_folder(lab, "datasets/d/.snap/v1");
    lab_write(lab, "datasets/d/images/1.png", "changed");
    lab_write(lab, "datasets/d/images/2.png", "two");
    lab_expect(lab, "datasets/d/.snap/v1/images/1.png", "one");
    assert_false(tree_path_exists(lab->tree, "datasets/d/.snap/v1/images/2.png"));
    SCOPE_BUFFER names = {0};
    lab_list(lab, "datasets/d", &names);
    assert_string_equal(buffer_text(&names), "images");
    assert_int_equal(lab_save(lab, "datasets/d/.snap/v1/images/1.png", "x", &why), CODE_READ_ONLY);
    assert_int_equal(lab_save(lab, "datasets/d/.snap/v1/new", "x", &why), CODE_READ_ONLY);
    lab_reopen(lab);
    lab_expect(lab, "datasets/d/.snap/v1/images/1.png", "one");
    struct node_id snapshots = lab_node(lab, "datasets/d/.snap");
    assert_code_ok(tree_remove_folder(lab->tree, snapshots, "v1", &why), why);
    assert_false(tree_path_exists(lab->tree, "datasets/d/.snap/v1"));
    lab_expect(lab, "datasets/d/images/1.png", "changed");
}

static struct failure why;

static void expect_alias(struct lab *lab, const char *path, const char *label)
{
    SCOPE_BUFFER target = {0};
    struct node_attributes attributes;
    assert_code_ok(tree_path_read_link(lab->tree, path, &target, &why), why);
    assert_string_equal(buffer_text(&target), label);
    assert_code_ok(tree_path_attributes(lab->tree, path, &attributes, &why), why); /* through the link */
    assert_int_equal(attributes.kind, NODE_FOLDER);
}

static void snapshots_are_found_by_number_and_moment_and_no_number_comes_twice(void **state)
{
    struct lab *lab = *state;
    struct node_attributes attributes;
    lab_make_folder(lab, "datasets/d");
    lab_make_folder(lab, "datasets/e");
    struct node_id snapshots = lab_node(lab, "datasets/d/.snap");
    lab_make_folder(lab, "datasets/d/.snap/first");
    lab_make_folder(lab, "datasets/d/.snap/second");
    lab_make_folder(lab, "datasets/e/.snap/other");
    expect_alias(lab, "datasets/d/.snap/1", "first");
    expect_alias(lab, "datasets/d/.snap/2", "second");
    expect_alias(lab, "datasets/e/.snap/1", "other");
    expect_alias(lab, "datasets/d/.snap/2999-01-01", "second");
    expect_alias(lab, "datasets/d/.snap/2262-01-01T10:30", "second");
    assert_false(tree_path_exists(lab->tree, "datasets/d/.snap/3"));
    assert_false(tree_path_exists(lab->tree, "datasets/d/.snap/0"));
    assert_false(tree_path_exists(lab->tree, "datasets/d/.snap/2001-01-01"));
    assert_false(tree_path_exists(lab->tree, "datasets/d/2"));
    SCOPE_BUFFER names = {0};
    lab_list(lab, "datasets/d/.snap", &names);
    assert_string_equal(buffer_text(&names), "first second");
    assert_int_equal(tree_make_folder(lab->tree, snapshots, "7", 0755, &attributes, &why), CODE_INVALID);
    assert_int_equal(tree_make_folder(lab->tree, snapshots, "2026-11-22", 0755, &attributes, &why), CODE_INVALID);

    assert_code_ok(tree_remove_folder(lab->tree, snapshots, "second", &why), why);
    assert_false(tree_path_exists(lab->tree, "datasets/d/.snap/2"));
    lab_reopen(lab);
    lab_make_folder(lab, "datasets/d/.snap/third");
    expect_alias(lab, "datasets/d/.snap/3", "third");
    expect_alias(lab, "datasets/d/.snap/1", "first");
    SCOPE_BUFFER number = {0};
    assert_code_ok(
        tree_get_xattr(lab->tree, lab_node(lab, "datasets/d/.snap/third"), TREE_XATTR_SNAPSHOT_NUMBER, &number, &why), why);
    assert_string_equal(buffer_text(&number), "3");
    lab_check(lab);
}

static void an_unchanged_dataset_reuses_its_snapshot(void **state)
{
    struct lab *lab = *state;
    lab_make_folder(lab, "datasets/d");
    lab_write(lab, "datasets/d/x", "1");
    char first[TREE_NAME_MAX + 1] = "", second[TREE_NAME_MAX + 1] = "", third[TREE_NAME_MAX + 1] = "";
    assert_code_ok(tree_path_snapshot(lab->tree, "datasets/d", true, first, &why), why);
    assert_code_ok(tree_path_snapshot(lab->tree, "datasets/d", true, second, &why), why);
    assert_string_equal(first, "auto-1");
    assert_string_equal(second, first);
    lab_write(lab, "datasets/d/x", "2");
    assert_code_ok(tree_path_snapshot(lab->tree, "datasets/d", true, third, &why), why);
    assert_string_equal(third, "auto-2");
}

static void what_was_left_unfinished_does_not_keep_a_folder_from_being_removed(void **state)
{
    struct lab *lab = *state;
    struct node_attributes attributes;
    lab_make_folder(lab, "models/m");
    lab_make_folder(lab, "models/m/.cytofs-3");
    lab_make_folder(lab, "models/m/.cytofs-3/deep");
    lab_write(lab, "models/m/.cytofs-3/deep/weights", "half");
    lab_write(lab, "models/m/.cytofs-upload", "half");
    lab_write(lab, "models/m/seen", "whole");
    struct node_id models = lab_node(lab, "models"), upload = lab_node(lab, "models/m/.cytofs-upload"),
                   m = lab_node(lab, "models/m");
    struct tree_file *file;
    assert_code_ok(tree_open_file(lab->tree, upload, OPEN_WRITE, &file, &why), why);
    assert_int_equal(tree_remove_folder(lab->tree, models, "m", &why), CODE_NOT_EMPTY);
    lab_expect(lab, "models/m/.cytofs-3/deep/weights", "half"); /* nothing goes while something seen is in the way */
    assert_code_ok(tree_unlink(lab->tree, m, "seen", &why), why);
    assert_code_ok(tree_remove_folder(lab->tree, models, "m", &why), why);
    assert_int_equal(tree_lookup(lab->tree, models, "m", &attributes, &why), CODE_NOT_FOUND);
    assert_code_ok(tree_write(file, 0, "more", 4, &why), why); /* whoever still writes it has a file without a name */
    tree_release(file);
    lab_check(lab);
    lab_reopen(lab);
    lab_check(lab);
}

static void folders_deeper_than_a_path_can_say_are_listed_moved_and_checked(void **state)
{
    enum { DEEP = 2500 };
    struct lab *lab = *state;
    struct node_attributes attributes;
    struct node_id folder = lab_node(lab, "experiments");
    for (int i = 0; i < DEEP; i++) {
        assert_code_ok(tree_make_folder(lab->tree, folder, "d", 0755, &attributes, &why), why);
        folder = attributes.id;
    }
    assert_code_ok(tree_make_folder(lab->tree, folder, "last", 0755, &attributes, &why), why);
    const struct tree_rename rename = {.from_folder = folder, .to_folder = folder, .from_name = "last", .to_name = "moved"};
    assert_code_ok(tree_rename(lab->tree, &rename, &why), why);
    struct tree_folder *listing;
    const char *name = "";
    assert_code_ok(tree_open_folder(lab->tree, folder, &listing, &why), why);
    assert_true(tree_folder_entry(listing, 0, &name, NULL));
    assert_string_equal(name, "moved");
    tree_close_folder(listing);
    const struct tree_rename into_itself = {
        .from_folder = lab_node(lab, "experiments"), .to_folder = folder, .from_name = "d", .to_name = "x"};
    assert_int_equal(tree_rename(lab->tree, &into_itself, &why), CODE_INVALID);
    lab_check(lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_lab_has_its_folders, open_memory, destroy),
        cmocka_unit_test_setup_teardown(what_is_written_is_read, open_memory, destroy),
        cmocka_unit_test_setup_teardown(everything_is_there_after_closing_and_opening, create, destroy),
        cmocka_unit_test_setup_teardown(the_frame_cannot_be_removed_or_renamed, open_memory, destroy),
        cmocka_unit_test_setup_teardown(moving_between_key_spaces_is_refused, open_memory, destroy),
        cmocka_unit_test_setup_teardown(an_unlinked_file_lives_until_it_is_closed, open_memory, destroy),
        cmocka_unit_test_setup_teardown(a_snapshot_shows_what_was, create, destroy),
        cmocka_unit_test_setup_teardown(snapshots_are_found_by_number_and_moment_and_no_number_comes_twice, create, destroy),
        cmocka_unit_test_setup_teardown(an_unchanged_dataset_reuses_its_snapshot, open_memory, destroy),
        cmocka_unit_test_setup_teardown(what_was_left_unfinished_does_not_keep_a_folder_from_being_removed, create, destroy),
        cmocka_unit_test_setup_teardown(folders_deeper_than_a_path_can_say_are_listed_moved_and_checked, open_memory,
                                        destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
