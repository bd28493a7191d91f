/* References of clients on files that the tree does not keep in memory. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>

#include "lab_fixture.h"
#include "random.h"
#include "tree_internal.h"
#include "tree_remembered.h"

static void the_table_holds_what_was_put_and_not_taken(void **state)
{
    (void)state;
    enum { NUMBERS = 5000, STEPS = 100000 };
    static uint64_t model[NUMBERS];
    struct remembered table = {0};
    struct random random = {7};
    size_t used = 0;
    for (int i = 0; i < STEPS; i++) {
        uint64_t inode = random_below(&random, NUMBERS - 1) + 1;
        if (model[inode] || random_below(&random, 3) == 0) {
            assert_int_equal(remembered_take(&table, inode), model[inode]);
            used -= model[inode] ? 1 : 0;
            model[inode] = 0;
        } else {
            model[inode] = random_below(&random, 9) + 1;
            assert_true(remembered_put(&table, inode, model[inode]));
            used++;
        }
        assert_int_equal(table.used, used);
    }
    for (uint64_t inode = 1; inode < NUMBERS; inode++)
        assert_int_equal(remembered_take(&table, inode), model[inode]);
    remembered_free(&table);
}

/* More than the tree keeps rows of in memory. */
static void a_known_file_outlives_its_name_however_many_others_are_known(void **state)
{
    (void)state;
    enum { FILES = TREE_IDLE_NODES_MAX + 2000 };
    struct lab lab;
    struct failure why;
    lab_open_memory(&lab);
    lab_make_folder(&lab, "experiments/e");
    struct node_id folder = lab_node(&lab, "experiments/e"), first = {0};
    struct node_attributes attributes;
    for (int i = 0; i < FILES; i++) {
        char name[32];
        struct tree_file *file;
        snprintf(name, sizeof name, "file%d", i);
        assert_code_ok(tree_create_file(lab.tree, folder, name, 0644, OPEN_WRITE, &attributes, &file, &why), why);
        tree_remember(lab.tree, attributes.id);
        tree_release(file);
        if (i == 0)
            first = attributes.id;
        if (i % 5000 == 0)
            assert_code_ok(tree_sync(lab.tree, &why), why);
    }
    assert_code_ok(tree_sync(lab.tree, &why), why);
    for (int i = 1; i < FILES; i++) { /* the first is the one that was used longest ago */
        char path[64];
        snprintf(path, sizeof path, "experiments/e/file%d", i);
        (void)lab_node(&lab, path);
    }
    assert_true(lab.tree->remembered.used > 0);
    assert_code_ok(tree_unlink(lab.tree, folder, "file0", &why), why);
    assert_code_ok(tree_sync(lab.tree, &why), why);
    assert_code_ok(tree_attributes(lab.tree, first, &attributes, &why), why);
    assert_int_equal(attributes.links, 0);
    tree_forget(lab.tree, first, 1);
    assert_int_equal(tree_attributes(lab.tree, first, &attributes, &why), CODE_NOT_FOUND);
    lab_destroy(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_holds_what_was_put_and_not_taken),
        cmocka_unit_test(a_known_file_outlives_its_name_however_many_others_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
