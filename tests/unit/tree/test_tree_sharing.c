/* Chunks that several files name: stored once, and there for as long as one of them needs them. */
#include "testing.h"

#include <string.h>
#include <unistd.h>

#include "lab_fixture.h"
#include "tree_range.h"
#include "tree_readers.h"

#define SIZE 600000 /* four whole chunks and a part */

static struct failure why;

static void fill(uint8_t *bytes, unsigned seed)
{
    for (size_t i = 0; i < SIZE; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(seed >> 24);
    }
}

static uint64_t stored(struct lab *lab)
{
    struct tree_statistics statistics;
    assert_code_ok(tree_sync(lab->tree, &why), why);
    tree_statistics(lab->tree, &statistics);
    return statistics.bytes_stored;
}

static void assert_holds(struct lab *lab, const char *path, const uint8_t *bytes)
{
    SCOPE_BUFFER text = {0};
    assert_code_ok(tree_path_read(lab->tree, path, SIZE, &text, &why), why);
    assert_int_equal(text.length, SIZE);
    assert_memory_equal(text.data, bytes, SIZE);
}

static void equal_contents_are_stored_once_and_outlive_each_other(void **state)
{
    (void)state;
    static uint8_t bytes[SIZE];
    struct lab lab;
    lab_create(&lab);
    fill(bytes, 1);
    lab_make_folder(&lab, "datasets/cells");
    assert_code_ok(tree_path_write(lab.tree, "datasets/cells/a", 0644, bytes, SIZE, &why), why);
    uint64_t once = stored(&lab);
    assert_code_ok(tree_path_write(lab.tree, "datasets/cells/b", 0644, bytes, SIZE, &why), why);
    assert_true(stored(&lab) < once + 4096);
    struct tree_statistics statistics;
    tree_statistics(lab.tree, &statistics);
    assert_true(statistics.bytes_shared >= SIZE);
    assert_code_ok(tree_path_remove(lab.tree, "datasets/cells/a", &why), why);
    lab_reopen(&lab);
    assert_holds(&lab, "datasets/cells/b", bytes);
    lab_check(&lab);
    lab_destroy(&lab);
}

static void spaces_share_nothing(void **state)
{
    (void)state;
    static uint8_t bytes[SIZE];
    struct lab lab;
    lab_create(&lab);
    fill(bytes, 2);
    lab_make_folder(&lab, "datasets/one");
    lab_make_folder(&lab, "datasets/two");
    assert_code_ok(tree_path_write(lab.tree, "datasets/one/a", 0644, bytes, SIZE, &why), why);
    uint64_t once = stored(&lab);
    assert_code_ok(tree_path_write(lab.tree, "datasets/two/a", 0644, bytes, SIZE, &why), why);
    assert_true(stored(&lab) >= once + SIZE);
    lab_destroy(&lab);
}

static struct tree_file *open_file(struct lab *lab, const char *path, unsigned flags)
{
    struct tree_file *file;
    assert_code_ok(tree_open_file(lab->tree, lab_node(lab, path), flags, &file, &why), why);
    return file;
}

static void a_copied_range_has_the_same_chunks(void **state)
{
    (void)state;
    static uint8_t bytes[SIZE];
    struct lab lab;
    lab_create(&lab);
    fill(bytes, 3);
    lab_make_folder(&lab, "experiments/x");
    assert_code_ok(tree_path_write(lab.tree, "experiments/x/a", 0644, bytes, SIZE, &why), why);
    assert_code_ok(tree_path_write(lab.tree, "experiments/x/b", 0644, "", 0, &why), why);
    uint64_t before = stored(&lab);
    struct tree_file *from = open_file(&lab, "experiments/x/a", OPEN_READ);
    struct tree_file *to = open_file(&lab, "experiments/x/b", OPEN_WRITE);
    uint64_t copied;
    const struct tree_copy copy = {.from = from, .to = to, .count = SIZE};
    assert_code_ok(tree_copy(&copy, &copied, &why), why);
    assert_int_equal(copied, SIZE);
    tree_release(from);
    tree_release(to);
    assert_true(stored(&lab) < before + 4096);
    lab_write(&lab, "experiments/x/a", "now something else");
    lab_reopen(&lab);
    assert_holds(&lab, "experiments/x/b", bytes);
    lab_check(&lab);
    lab_destroy(&lab);
}

static void what_a_rotation_sealed_anew_is_still_shared_with_what_comes_later(void **state)
{
    (void)state;
    static uint8_t bytes[SIZE];
    struct lab lab;
    lab_create(&lab);
    fill(bytes, 9);
    lab_make_folder(&lab, "datasets/cells");
    assert_code_ok(tree_path_write(lab.tree, "datasets/cells/a", 0644, bytes, SIZE, &why), why);
    assert_code_ok(tree_path_write(lab.tree, "datasets/cells/b", 0644, bytes, SIZE, &why), why);
    assert_code_ok(readers_rotate(lab.tree, "cells", &why), why);
    lab_wait_for_rotation(&lab, "cells", NULL);
    uint64_t once = stored(&lab);
    assert_code_ok(tree_path_write(lab.tree, "datasets/cells/c", 0644, bytes, SIZE, &why), why);
    assert_true(stored(&lab) < once + 4096);
    assert_holds(&lab, "datasets/cells/c", bytes);
    lab_reopen(&lab);
    assert_code_ok(tree_path_write(lab.tree, "datasets/cells/d", 0644, bytes, SIZE, &why), why);
    assert_true(stored(&lab) < once + 8192);
    lab_check(&lab);
    lab_destroy(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_contents_are_stored_once_and_outlive_each_other),
        cmocka_unit_test(spaces_share_nothing),
        cmocka_unit_test(a_copied_range_has_the_same_chunks),
        cmocka_unit_test(what_a_rotation_sealed_anew_is_still_shared_with_what_comes_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
