/* Several members of one lab, one after another: what each may read, and what a change of keys does. */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "lab_fixture.h"
#include "member_key.h"
#include "recovery_key.h"
#include "scope.h"
#include "timing.h"
#include "tree_members.h"
#include "tree_readers.h"

static struct failure why;

/* A lab on disk, and the keys of three people; ada has made it. */
struct people {
    struct lab lab;
    struct member_key *ada, *bob, *eve;
};

static struct people people;

static struct member_card card_of(const struct member_key *key, const char *name)
{
    struct member_card card = {.public = *member_key_public(key)};
    snprintf(card.name, sizeof card.name, "%s", name);
    return card;
}

static void open_as(struct member_key *key)
{
    lab_close(&people.lab);
    people.lab.member = key;
    lab_open(&people.lab);
}

static enum code try_as(struct member_key *key)
{
    char catalog[128];
    struct tree *tree;
    lab_close(&people.lab);
    snprintf(catalog, sizeof catalog, "%s/catalog.db", people.lab.folder);
    people.lab.member = people.ada;
    lab_open(&people.lab); /* the chunks; its tree is closed again to look at the catalog as another */
    tree_close(people.lab.tree);
    struct tree_open_options options = {
        .chunks = people.lab.chunks, .catalog_path = catalog, .member = key, .store = &people.lab.store};
    enum code code = tree_open(&options, &tree, &why);
    if (code == CODE_OK)
        tree_close(tree);
    people.lab.tree = NULL;
    lab_close(&people.lab);
    lab_open(&people.lab);
    return code;
}

static int make_people(void **state)
{
    (void)state;
    memset(&people, 0, sizeof people);
    lab_create(&people.lab);
    people.ada = people.lab.member;
    assert_code_ok(member_key_generate(&people.bob, &why), why);
    assert_code_ok(member_key_generate(&people.eve, &why), why);
    struct member_card bob = card_of(people.bob, "bob");
    lab_make_folder(&people.lab, "datasets/cells");
    lab_write(&people.lab, "datasets/cells/one.txt", "a shared text");
    lab_write(&people.lab, "home/ada/diary.txt", "a private text");
    assert_code_ok(members_add(people.lab.tree, &bob, ROLE_SCIENTIST, &why), why);
    return 0;
}

static int remove_people(void **state)
{
    (void)state;
    people.lab.member = people.ada;
    lab_destroy(&people.lab);
    member_key_destroy(people.bob);
    member_key_destroy(people.eve);
    return 0;
}

static enum code read_text(const char *path)
{
    SCOPE_BUFFER text = {0};
    return tree_path_read(people.lab.tree, path, 1 << 20, &text, &why);
}

static void expect_no_problem_but_skipped(void)
{
    struct check_summary summary;
    SCOPE_BUFFER report = {0};
    assert_code_ok(check_run(people.lab.tree, &(struct check_options){.contents = true}, &report, &summary, &why), why);
    if (summary.problems)
        fail_msg("%s", buffer_text(&report));
}

static void a_second_member_reads_what_is_shared_and_nothing_else(void **state)
{
    (void)state;
    open_as(people.bob);
    lab_expect(&people.lab, "datasets/cells/one.txt", "a shared text");
    struct node_attributes attributes;
    assert_code_ok(tree_path_attributes(people.lab.tree, "home/ada", &attributes, &why), why);
    assert_int_equal(attributes.kind, NODE_FOLDER);
    assert_int_equal(attributes.mode, 0);
    assert_int_equal(read_text("home/ada/diary.txt"), CODE_DENIED);
    struct tree_folder *folder;
    assert_int_equal(tree_open_folder(people.lab.tree, attributes.id, &folder, &why), CODE_DENIED);
    assert_non_null(strstr(why.text, "not shared with you"));
    SCOPE_BUFFER names = {0};
    lab_list(&people.lab, "home", &names);
    assert_string_equal(buffer_text(&names), "ada bob");
    lab_write(&people.lab, "home/bob/own.txt", "bob's own");
    lab_write(&people.lab, "datasets/cells/two.txt", "bob's share");
    expect_no_problem_but_skipped();
    open_as(people.ada);
    lab_expect(&people.lab, "datasets/cells/two.txt", "bob's share");
    assert_int_equal(read_text("home/bob/own.txt"), CODE_DENIED);
    expect_no_problem_but_skipped();
}

static void datasets_made_later_are_shared_with_everyone(void **state)
{
    (void)state;
    lab_make_folder(&people.lab, "datasets/later");
    lab_write(&people.lab, "datasets/later/x", "later");
    open_as(people.bob);
    lab_expect(&people.lab, "datasets/later/x", "later");
    lab_make_folder(&people.lab, "datasets/bobs");
    lab_write(&people.lab, "datasets/bobs/x", "from bob");
    open_as(people.ada);
    lab_expect(&people.lab, "datasets/bobs/x", "from bob");
}

static void a_restricted_dataset_is_read_by_those_on_its_list_alone(void **state)
{
    (void)state;
    struct member_card eve = card_of(people.eve, "eve");
    assert_code_ok(readers_unshare(people.lab.tree, "cells", "everyone", &why), why);
    assert_code_ok(members_add(people.lab.tree, &eve, ROLE_SCIENTIST, &why), why);
    lab_expect(&people.lab, "datasets/cells/one.txt", "a shared text");
    assert_code_ok(readers_share(people.lab.tree, "datasets/cells", "eve", &why), why);
    open_as(people.bob);
    assert_int_equal(read_text("datasets/cells/one.txt"), CODE_DENIED);
    assert_int_equal(readers_share(people.lab.tree, "cells", "bob", &why), CODE_DENIED);
    open_as(people.eve);
    lab_expect(&people.lab, "datasets/cells/one.txt", "a shared text");
    assert_code_ok(readers_share(people.lab.tree, "cells", "everyone", &why), why);
    open_as(people.bob);
    lab_expect(&people.lab, "datasets/cells/one.txt", "a shared text");
}

static void after_a_rotation_everything_reads_as_before(void **state)
{
    (void)state;
    struct node_attributes attributes;
    struct node_id folder = lab_node(&people.lab, "datasets/cells");
    assert_code_ok(tree_make_link(people.lab.tree, folder, "link", "one.txt", &attributes, &why), why);
    assert_code_ok(
        tree_set_xattr(people.lab.tree, lab_node(&people.lab, "datasets/cells"), "user.stain", "DAPI", 4, 0, &why), why);
    lab_make_folder(&people.lab, "datasets/cells/.snap/v1");
    lab_write(&people.lab, "datasets/cells/one.txt", "changed since");
    assert_code_ok(readers_rotate(people.lab.tree, "cells", &why), why);
    lab_expect(&people.lab, "datasets/cells/one.txt", "changed since"); /* while it is under way */
    lab_write(&people.lab, "datasets/cells/three.txt", "under the new key");
    lab_wait_for_rotation(&people.lab, "cells", NULL);
    lab_expect(&people.lab, "datasets/cells/one.txt", "changed since");
    lab_expect(&people.lab, "datasets/cells/link", "changed since");
    lab_expect(&people.lab, "datasets/cells/three.txt", "under the new key");
    lab_expect(&people.lab, "datasets/cells/.snap/v1/one.txt", "a shared text");
    SCOPE_BUFFER value = {0};
    assert_code_ok(tree_get_xattr(people.lab.tree, lab_node(&people.lab, "datasets/cells"), "user.stain", &value, &why),
                   why);
    assert_string_equal(buffer_text(&value), "DAPI");
    lab_check(&people.lab);
    open_as(people.bob);
    lab_expect(&people.lab, "datasets/cells/.snap/v1/one.txt", "a shared text");
}

static void a_rotation_that_another_one_overtakes_leaves_nothing_behind_under_a_forgotten_key(void **state)
{
    (void)state;
    for (int i = 0; i < 600; i++) {
        char path[64];
        snprintf(path, sizeof path, "datasets/cells/%d", i);
        lab_write(&people.lab, path, path);
    }
    for (int i = 0; i < 12; i++) {
        assert_code_ok(readers_rotate(people.lab.tree, "cells", &why), why);
        usleep((unsigned)i * 3000); /* so that the one before is at another point each time */
    }
    lab_wait_for_rotation(&people.lab, "cells", NULL);
    lab_reopen(&people.lab);
    lab_expect(&people.lab, "datasets/cells/0", "datasets/cells/0");
    lab_expect(&people.lab, "datasets/cells/599", "datasets/cells/599");
    lab_check(&people.lab);
}

static void who_was_removed_opens_nothing_and_the_name_is_free(void **state)
{
    (void)state;
    open_as(people.bob);
    open_as(people.ada);
    assert_code_ok(members_remove(people.lab.tree, "bob", &why), why);
    lab_expect(&people.lab, "datasets/cells/one.txt", "a shared text");
    lab_wait_for_rotation(&people.lab, "cells", NULL);
    lab_wait_for_rotation(&people.lab, "lab", NULL);
    assert_int_equal(try_as(people.bob), CODE_DENIED);
    assert_non_null(strstr(why.text, "removed"));
    expect_no_problem_but_skipped();
    struct member_card again = card_of(people.bob, "bob2");
    assert_int_equal(members_add(people.lab.tree, &again, ROLE_SCIENTIST, &why), CODE_EXISTS);
    assert_int_equal(members_remove(people.lab.tree, "ada", &why), CODE_INVALID);
    assert_int_equal(members_remove(people.lab.tree, "nobody", &why), CODE_NOT_FOUND);
}

static void a_space_that_somebody_left_is_rotated_by_the_next_who_opens_it(void **state)
{
    (void)state;
    open_as(people.bob);
    assert_int_equal(readers_leave(people.lab.tree, "home-bob", &why), CODE_INVALID);
    assert_code_ok(readers_leave(people.lab.tree, "cells", &why), why);
    assert_int_equal(read_text("datasets/cells/one.txt"), CODE_DENIED);
    open_as(people.ada);
    SCOPE_BUFFER text = {0};
    for (int i = 0; i < TESTING_PATIENCE_MS / 10 && !strstr(buffer_text(&text), "generation 2"); i++) {
        buffer_clear(&text);
        assert_code_ok(readers_describe_space(people.lab.tree, "cells", &text, &why), why);
        usleep(10000);
    }
    assert_non_null(strstr(buffer_text(&text), "generation 2"));
    lab_wait_for_rotation(&people.lab, "cells", NULL);
    lab_expect(&people.lab, "datasets/cells/one.txt", "a shared text");
}

static void spaces_that_a_remover_cannot_read_are_rotated_by_their_readers(void **state)
{
    (void)state;
    struct member_card eve = card_of(people.eve, "eve");
    assert_code_ok(members_add(people.lab.tree, &eve, ROLE_SCIENTIST, &why), why);
    open_as(people.bob);
    lab_make_folder(&people.lab, "datasets/secret");
    lab_write(&people.lab, "datasets/secret/x", "bob and eve");
    assert_code_ok(readers_unshare(people.lab.tree, "secret", "ada", &why), why);
    open_as(people.ada);
    assert_int_equal(read_text("datasets/secret/x"), CODE_DENIED);
    assert_code_ok(members_remove(people.lab.tree, "eve", &why), why);
    open_as(people.bob);
    SCOPE_BUFFER text = {0};
    for (int i = 0; i < TESTING_PATIENCE_MS / 10 && !strstr(buffer_text(&text), "generation 3"); i++) {
        buffer_clear(&text);
        assert_code_ok(readers_describe_space(people.lab.tree, "secret", &text, &why), why);
        usleep(10000);
    }
    assert_non_null(strstr(buffer_text(&text), "generation 3"));
    assert_non_null(strstr(buffer_text(&text), "these members: bob\n"));
    lab_expect(&people.lab, "datasets/secret/x", "bob and eve");
}

static enum member_role role_of(const char *name)
{
    enum member_role role = ROLE_COUNT;
    assert_code_ok(members_role(people.lab.tree, name, &role, &why), why);
    return role;
}

static void roles_are_kept_and_there_is_always_an_admin(void **state)
{
    (void)state;
    assert_int_equal(role_of("ada"), ROLE_ADMIN);
    assert_int_equal(role_of("bob"), ROLE_SCIENTIST);
    assert_int_equal(members_set_role(people.lab.tree, "ada", ROLE_VIEWER, &why), CODE_INVALID);
    assert_int_equal(members_set_role(people.lab.tree, "nobody", ROLE_VIEWER, &why), CODE_NOT_FOUND);
    assert_code_ok(members_set_role(people.lab.tree, "bob", ROLE_ADMIN, &why), why);
    assert_code_ok(members_set_role(people.lab.tree, "ada", ROLE_STEWARD, &why), why);
    lab_reopen(&people.lab);
    assert_int_equal(role_of("ada"), ROLE_STEWARD);
    assert_int_equal(role_of("bob"), ROLE_ADMIN);
    assert_int_equal(members_remove(people.lab.tree, "bob", &why), CODE_INVALID);
    assert_code_ok(members_set_role(people.lab.tree, "ada", ROLE_ADMIN, &why), why);
    assert_code_ok(members_remove(people.lab.tree, "bob", &why), why);
    lab_reopen(&people.lab);
    assert_int_equal(role_of("ada"), ROLE_ADMIN);
    expect_no_problem_but_skipped();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_second_member_reads_what_is_shared_and_nothing_else, make_people, remove_people),
        cmocka_unit_test_setup_teardown(datasets_made_later_are_shared_with_everyone, make_people, remove_people),
        cmocka_unit_test_setup_teardown(a_restricted_dataset_is_read_by_those_on_its_list_alone, make_people, remove_people),
        cmocka_unit_test_setup_teardown(after_a_rotation_everything_reads_as_before, make_people, remove_people),
        cmocka_unit_test_setup_teardown(a_rotation_that_another_one_overtakes_leaves_nothing_behind_under_a_forgotten_key,
                                        make_people, remove_people),
        cmocka_unit_test_setup_teardown(who_was_removed_opens_nothing_and_the_name_is_free, make_people, remove_people),
        cmocka_unit_test_setup_teardown(a_space_that_somebody_left_is_rotated_by_the_next_who_opens_it, make_people,
                                        remove_people),
        cmocka_unit_test_setup_teardown(spaces_that_a_remover_cannot_read_are_rotated_by_their_readers, make_people,
                                        remove_people),
        cmocka_unit_test_setup_teardown(roles_are_kept_and_there_is_always_an_admin, make_people, remove_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
