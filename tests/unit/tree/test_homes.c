/* Homes of people who have left: deleted by somebody who cannot read them. */
#include "testing.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "lab_fixture.h"
#include "member_key.h"
#include "seeded_file.h"
#include "tree_collect.h"
#include "tree_homes.h"
#include "tree_members.h"
#include "tree_readers.h"

static struct failure why;

/* ada has made the lab; bob is a member. */
static struct lab lab;
static struct member_key *ada, *bob;

static struct member_card card_of(const struct member_key *key, const char *name)
{
    struct member_card card = {.public = *member_key_public(key)};
    snprintf(card.name, sizeof card.name, "%s", name);
    return card;
}

static void open_as(struct member_key *key)
{
    lab_close(&lab);
    lab.member = key;
    lab_open(&lab);
}

static int make_lab(void **state)
{
    (void)state;
    memset(&lab, 0, sizeof lab);
    lab_create(&lab);
    ada = lab.member;
    assert_code_ok(member_key_generate(&bob, &why), why);
    struct member_card card = card_of(bob, "bob");
    assert_code_ok(members_add(lab.tree, &card, ROLE_SCIENTIST, &why), why);
    lab_make_folder(&lab, "datasets/cells");
    lab_write(&lab, "datasets/cells/one.txt", "a shared text");
    return 0;
}

static int remove_lab(void **state)
{
    (void)state;
    lab.member = ada;
    lab_destroy(&lab);
    member_key_destroy(bob);
    return 0;
}

static enum code read_text(const char *path)
{
    SCOPE_BUFFER text = {0};
    return tree_path_read(lab.tree, path, 1 << 20, &text, &why);
}

static void expect_whole(void)
{
    struct check_summary summary;
    SCOPE_BUFFER report = {0};
    assert_code_ok(check_run(lab.tree, &(struct check_options){.contents = true}, &report, &summary, &why), why);
    if (summary.problems)
        fail_msg("%s", buffer_text(&report));
}

static uint64_t stored(void)
{
    struct chunk_store_statistics statistics;
    chunk_store_statistics(lab.chunks, &statistics);
    return statistics.bytes_stored;
}

/* bob's home, with 20 MB, a folder, a link, and a snapshot of all that. */
static void fill_home(void)
{
    struct node_attributes attributes;
    open_as(bob);
    for (int i = 0; i < 20; i++) {
        char path[64];
        snprintf(path, sizeof path, "home/bob/file-%d", i);
        seeded_file_write(&lab, path, 1000000, (uint64_t)i + 1);
    }
    lab_make_folder(&lab, "home/bob/deep");
    lab_write(&lab, "home/bob/deep/secret", "bob's own");
    assert_code_ok(tree_make_link(lab.tree, lab_node(&lab, "home/bob"), "link", "deep", &attributes, &why), why);
    lab_make_folder(&lab, "home/bob/.snap/v1");
    open_as(ada);
}

static void an_admin_deletes_what_he_cannot_read_and_the_space_comes_back(void **state)
{
    (void)state;
    struct tree_collect_summary summary;
    SCOPE_BUFFER names = {0};
    SCOPE_BUFFER text = {0};
    fill_home();
    seeded_file_write(&lab, "datasets/cells/stays", 1000000, 77);
    assert_int_equal(read_text("home/bob/deep/secret"), CODE_DENIED);
    assert_int_equal(homes_delete(lab.tree, "home-bob", &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "remove bob first"));
    assert_code_ok(members_remove(lab.tree, "bob", &why), why);
    uint64_t before = stored();
    assert_code_ok(homes_delete(lab.tree, "home-bob", &why), why);
    lab_list(&lab, "home", &names);
    assert_string_equal(buffer_text(&names), "ada");
    assert_int_equal(readers_describe_space(lab.tree, "home-bob", &text, &why), CODE_NOT_FOUND);
    assert_code_ok(tree_collect(lab.tree, &(struct tree_collect_options){.dead_percent = 1}, &summary, &why), why);
    assert_true(stored() + 15000000 < before);
    expect_whole();
    lab_reopen(&lab);
    expect_whole();
    lab_expect(&lab, "datasets/cells/one.txt", "a shared text");
    SCOPE_BUFFER stays = {0};
    assert_code_ok(tree_path_read(lab.tree, "datasets/cells/stays", 1 << 20, &stays, &why), why);
    assert_true(seeded_file_is_whole(&stays));
    struct member_key *second;
    assert_code_ok(member_key_generate(&second, &why), why);
    struct member_card again = card_of(second, "bob");
    assert_code_ok(members_add(lab.tree, &again, ROLE_SCIENTIST, &why), why); /* the name is free */
    member_key_destroy(second);
}

static void only_an_admin_deletes_only_homes_and_none_that_is_in_use(void **state)
{
    (void)state;
    fill_home();
    struct member_key *eve;
    assert_code_ok(member_key_generate(&eve, &why), why);
    struct member_card card = card_of(eve, "eve");
    assert_code_ok(members_add(lab.tree, &card, ROLE_SCIENTIST, &why), why);
    open_as(bob);
    assert_code_ok(readers_share(lab.tree, "home/bob", "ada", &why), why);
    open_as(ada);
    assert_int_equal(homes_delete(lab.tree, "cells", &why), CODE_INVALID);
    assert_int_equal(homes_delete(lab.tree, "lab", &why), CODE_INVALID);
    assert_int_equal(homes_delete(lab.tree, "home-nobody", &why), CODE_NOT_FOUND);
    assert_code_ok(members_remove(lab.tree, "bob", &why), why);
    struct tree_file *file;
    assert_code_ok(tree_open_file(lab.tree, lab_node(&lab, "home/bob/deep/secret"), OPEN_READ, &file, &why), why);
    assert_int_equal(homes_delete(lab.tree, "home-bob", &why), CODE_BUSY);
    tree_release(file);
    lab_expect(&lab, "home/bob/deep/secret", "bob's own"); /* shared with ada, and all there */
    open_as(eve);
    assert_int_equal(homes_delete(lab.tree, "home-bob", &why), CODE_DENIED);
    open_as(ada);
    lab_write(&lab, "home/bob/deep/secret", "changed, and not durable yet");
    assert_code_ok(homes_delete(lab.tree, "home/bob", &why), why);
    assert_int_equal(read_text("home/bob/deep/secret"), CODE_NOT_FOUND);
    expect_whole();
    lab_reopen(&lab);
    expect_whole();
    member_key_destroy(eve);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_admin_deletes_what_he_cannot_read_and_the_space_comes_back, make_lab, remove_lab),
        cmocka_unit_test_setup_teardown(only_an_admin_deletes_only_homes_and_none_that_is_in_use, make_lab, remove_lab),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
