/* The first look into folders, taken when a lab is opened to be served: what was done to names behind the
 * lab's back is noticed by whoever comes to them, as without it, and keeps nobody from the rest. */
#include "testing.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "chunk_store_packs.h"
#include "lab_fixture.h"
#include "resum.h"

#define NAMES 40

static struct failure why;

static void open_with(struct lab *lab, bool look_first)
{
    char packs[128], catalog[128];
    snprintf(packs, sizeof packs, "%s/packs", lab->folder);
    snprintf(catalog, sizeof catalog, "%s/catalog.db", lab->folder);
    struct chunk_store_packs_options options = {.store = lab->store};
    assert_code_ok(chunk_store_packs_open(packs, &options, &lab->chunks, &why), why);
    const struct tree_open_options tree = {.chunks = lab->chunks,
                                           .catalog_path = catalog,
                                           .member = lab->member,
                                           .store = &lab->store,
                                           .look_first = look_first};
    assert_code_ok(tree_open(&tree, &lab->tree, &why), why);
}

/* By somebody who can write to the disk, and makes the pages' checksums right. */
static void edit_catalog(struct lab *lab, const char *sql, uint64_t inode)
{
    char catalog[128], statement[512];
    sqlite3 *connection;
    snprintf(catalog, sizeof catalog, "%s/catalog.db", lab->folder);
    snprintf(statement, sizeof statement,
             "CREATE TEMP TABLE its AS SELECT parent, inode FROM names WHERE inode = %llu; %s; PRAGMA "
             "journal_mode = DELETE",
             (unsigned long long)inode, sql);
    assert_int_equal(sqlite3_open(catalog, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_exec(connection, statement, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(connection);
    assert_code_ok(resum_file(catalog, &why), why);
}

static void fill(struct lab *lab, const char *folder)
{
    char path[128];
    lab_make_folder(lab, folder);
    for (int i = 0; i < NAMES; i++) {
        snprintf(path, sizeof path, "%s/%d", folder, i);
        lab_write(lab, path, "text");
    }
}

static enum code look(struct lab *lab, const char *path)
{
    struct node_attributes attributes;
    return tree_path_attributes(lab->tree, path, &attributes, &why);
}

static int make_lab(void **state)
{
    struct lab *lab = calloc(1, sizeof *lab);
    lab_create(lab);
    lab_make_folder(lab, "experiments/e");
    fill(lab, "experiments/e/touched");
    fill(lab, "experiments/e/other");
    *state = lab;
    return 0;
}

static int remove_lab(void **state)
{
    lab_destroy(*state);
    free(*state);
    return 0;
}

static void expect_noticed(struct lab *lab, const char *sql)
{
    uint64_t inode = lab_node(lab, "experiments/e/touched/7").value;
    lab_close(lab);
    edit_catalog(lab, sql, inode);
    for (int first = 0; first < 2; first++) {
        open_with(lab, first);
        assert_int_equal(look(lab, "experiments/e/touched/7"), CODE_CORRUPT);
        assert_int_equal(look(lab, "experiments/e/touched/8"), CODE_CORRUPT);
        assert_int_equal(look(lab, "experiments/e/touched/never was there"), CODE_CORRUPT);
        assert_int_equal(look(lab, "experiments/e/other/7"), CODE_OK);
        assert_int_equal(look(lab, "experiments/e/other/never was there"), CODE_NOT_FOUND);
        lab_close(lab);
    }
    open_with(lab, false);
}

static void a_name_that_was_taken_away_is_noticed(void **state)
{
    expect_noticed(*state, "DELETE FROM names WHERE inode = (SELECT inode FROM its)");
}

static void a_name_that_leads_elsewhere_is_noticed(void **state)
{
    expect_noticed(*state, "UPDATE names SET inode = inode + 1 WHERE inode = (SELECT inode FROM its)");
}

static void a_name_that_was_added_is_noticed(void **state)
{
    expect_noticed(*state, "INSERT INTO names SELECT parent, randomblob(17), inode FROM its");
}

static void names_that_are_all_gone_are_noticed(void **state)
{
    expect_noticed(*state, "DELETE FROM names WHERE parent = (SELECT parent FROM its)");
}

static void names_come_and_go_after_the_first_look(void **state)
{
    struct lab *lab = *state;
    for (int round = 0; round < 3; round++) {
        char name[64];
        lab_close(lab);
        open_with(lab, true);
        snprintf(name, sizeof name, "experiments/e/touched/new %d", round);
        lab_write(lab, name, "text");
        snprintf(name, sizeof name, "experiments/e/touched/%d", round);
        assert_code_ok(tree_path_remove(lab->tree, name, &why), why);
        assert_int_equal(look(lab, name), CODE_NOT_FOUND);
        lab_check(lab);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_that_was_taken_away_is_noticed, make_lab, remove_lab),
        cmocka_unit_test_setup_teardown(a_name_that_leads_elsewhere_is_noticed, make_lab, remove_lab),
        cmocka_unit_test_setup_teardown(a_name_that_was_added_is_noticed, make_lab, remove_lab),
        cmocka_unit_test_setup_teardown(names_that_are_all_gone_are_noticed, make_lab, remove_lab),
        cmocka_unit_test_setup_teardown(names_come_and_go_after_the_first_look, make_lab, remove_lab),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
