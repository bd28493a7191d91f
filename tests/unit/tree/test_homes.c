/* Homes of people who have left: deleted by somebody who cannot read them. */
#include "testing.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "member_key.h"
#include "seeded_file.h"
#include "tree_collect.h"
#include "tree_homes.h"
#include "tree_members.h"
#include "tree_readers.h"
#include "two_members.h"

static struct failure why;

static uint64_t stored(struct lab *lab)
{
    struct chunk_store_statistics statistics;
    chunk_store_statistics(lab->chunks, &statistics);
    return statistics.bytes_stored;
}

/* bob's home, with 20 MB, a folder, a link, and a snapshot of all that. */
static void fill_home(struct two_members *people)
{
    struct lab *lab = &people->lab;
    struct node_attributes attributes;
    two_members_open_as(people, people->bob);
    for (int i = 0; i < 20; i++) {
        char path[64];
        snprintf(path, sizeof path, "home/bob/file-%d", i);
        seeded_file_write(lab, path, 1000000, (uint64_t)i + 1);
    }
    lab_make_folder(lab, "home/bob/deep");
    lab_write(lab, "home/bob/deep/secret", "bob's own");
    assert_code_ok(tree_make_link(lab->tree, lab_node(lab, "home/bob"), "link", "deep", &attributes, &why), why);
    lab_make_folder(lab, "home/bob/.snap/v1");
    two_members_open_as(people, people->ada);
}

static void an_admin_deletes_what_he_cannot_read_and_the_space_comes_back(void **state)
{
    struct two_members *people = *state;
    struct lab *lab = &people->lab;
    struct tree_collect_summary summary;
    SCOPE_BUFFER names = {0};
    SCOPE_BUFFER text = {0};
    fill_home(people);
    seeded_file_write(lab, "datasets/cells/stays", 1000000, 77);
    assert_int_equal(two_members_read(people, "home/bob/deep/secret", &why), CODE_DENIED);
    assert_int_equal(homes_delete(lab->tree, "home-bob", &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "remove bob first"));
    assert_code_ok(members_remove(lab->tree, "bob", &why), why);
    uint64_t before = stored(lab);
    assert_code_ok(homes_delete(lab->tree, "home-bob", &why), why);
    lab_list(lab, "home", &names);
    assert_string_equal(buffer_text(&names), "ada");
    assert_int_equal(readers_describe_space(lab->tree, "home-bob", &text, &why), CODE_NOT_FOUND);
    assert_code_ok(tree_collect(lab->tree, &(struct tree_collect_options){.dead_percent = 1}, &summary, &why), why);
    assert_true(stored(lab) + 15000000 < before);
    two_members_check(people);
    lab_reopen(lab);
    two_members_check(people);
    lab_expect(lab, "datasets/cells/one.txt", "a shared text");
    SCOPE_BUFFER stays = {0};
    assert_code_ok(tree_path_read(lab->tree, "datasets/cells/stays", 1 << 20, &stays, &why), why);
    assert_true(seeded_file_is_whole(&stays));
    struct member_key *second;
    assert_code_ok(member_key_generate(&second, &why), why);
    struct member_card again = two_members_card(second, "bob");
    assert_code_ok(members_add(lab->tree, &again, ROLE_SCIENTIST, &why), why); /* the name is free */
    member_key_destroy(second);
}

static void only_an_admin_deletes_only_homes_and_none_that_is_in_use(void **state)
{
    struct two_members *people = *state;
    struct lab *lab = &people->lab;
    fill_home(people);
    struct member_key *eve;
    assert_code_ok(member_key_generate(&eve, &why), why);
    struct member_card card = two_members_card(eve, "eve");
    assert_code_ok(members_add(lab->tree, &card, ROLE_SCIENTIST, &why), why);
    two_members_open_as(people, people->bob);
    assert_code_ok(readers_share(lab->tree, "home/bob", "ada", &why), why);
    two_members_open_as(people, people->ada);
    assert_int_equal(homes_delete(lab->tree, "cells", &why), CODE_INVALID);
    assert_int_equal(homes_delete(lab->tree, "lab", &why), CODE_INVALID);
    assert_int_equal(homes_delete(lab->tree, "home-nobody", &why), CODE_NOT_FOUND);
    assert_code_ok(members_remove(lab->tree, "bob", &why), why);
    struct tree_file *file;
    assert_code_ok(tree_open_file(lab->tree, lab_node(lab, "home/bob/deep/secret"), OPEN_READ, &file, &why), why);
    assert_int_equal(homes_delete(lab->tree, "home-bob", &why), CODE_BUSY);
    tree_release(file);
    lab_expect(lab, "home/bob/deep/secret", "bob's own"); /* shared with ada, and all there */
    two_members_open_as(people, eve);
    assert_int_equal(homes_delete(lab->tree, "home-bob", &why), CODE_DENIED);
    two_members_open_as(people, people->ada);
    lab_write(lab, "home/bob/deep/secret", "changed, and not durable yet");
    assert_code_ok(homes_delete(lab->tree, "home/bob", &why), why);
    assert_int_equal(two_members_read(people, "home/bob/deep/secret", &why), CODE_NOT_FOUND);
    two_members_check(people);
    lab_reopen(lab);
    two_members_check(people);
    member_key_destroy(eve);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_admin_deletes_what_he_cannot_read_and_the_space_comes_back, two_members_make,
                                        two_members_remove),
        cmocka_unit_test_setup_teardown(only_an_admin_deletes_only_homes_and_none_that_is_in_use, two_members_make,
                                        two_members_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
