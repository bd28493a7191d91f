/* The recovery key, replaced: what the new one opens, and the old one no longer. */
#include "testing.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "member_key.h"
#include "recovery_key.h"
#include "secret.h"
#include "tree_members.h"
#include "tree_readers.h"
#include "tree_recovery.h"
#include "two_members.h"

static struct failure why;

static struct member_key *draw(void)
{
    uint8_t *secret;
    struct member_key *key;
    assert_code_ok(recovery_key_draw(&secret, &why), why);
    assert_code_ok(recovery_key_open(secret, &key, &why), why);
    secret_free(secret);
    return key;
}

static enum code try_as(struct two_members *people, struct member_key *key)
{
    struct lab *lab = &people->lab;
    char catalog[128];
    struct tree *tree;
    two_members_open_as(people, people->ada);
    tree_close(lab->tree);
    snprintf(catalog, sizeof catalog, "%s/catalog.db", lab->folder);
    struct tree_open_options options = {.chunks = lab->chunks, .catalog_path = catalog, .member = key, .store = &lab->store};
    enum code code = tree_open(&options, &tree, &why);
    if (code == CODE_OK)
        tree_close(tree);
    lab->tree = NULL;
    lab_close(lab);
    lab_open(lab);
    return code;
}

static void expect_readers(struct lab *lab, const char *space, const char *readers)
{
    SCOPE_BUFFER text = {0};
    assert_code_ok(readers_describe_space(lab->tree, space, &text, &why), why);
    if (!strstr(buffer_text(&text), readers))
        fail_msg("%s: %s", readers, buffer_text(&text));
}

static void a_new_recovery_key_opens_what_the_old_one_did_and_the_old_one_nothing(void **state)
{
    struct two_members *people = *state;
    struct lab *lab = &people->lab;
    struct member_key *first = draw(), *second = draw();
    assert_code_ok(recovery_replace(lab->tree, member_key_public(first), &why), why); /* a lab that had none */
    expect_readers(lab, "cells", "ada bob recovery");
    two_members_open_as(people, first);
    lab_expect(lab, "datasets/cells/one.txt", "a shared text");
    assert_code_ok(readers_unshare(lab->tree, "cells", "bob", &why), why); /* it is a key like any other */
    two_members_open_as(people, people->ada);
    for (int i = 0; i < 300; i++) {
        char path[64];
        snprintf(path, sizeof path, "datasets/cells/%d", i);
        lab_write(lab, path, path);
    }
    assert_code_ok(recovery_replace(lab->tree, member_key_public(second), &why), why);
    two_members_open_as(people, second); /* while most of it is still sealed with the key before */
    lab_expect(lab, "datasets/cells/299", "datasets/cells/299");
    two_members_open_as(people, people->ada);
    assert_int_equal(recovery_replace(lab->tree, member_key_public(first), &why), CODE_EXISTS);
    assert_int_equal(recovery_replace(lab->tree, member_key_public(second), &why), CODE_EXISTS);
    expect_readers(lab, "cells", "these members: ada recovery\n");
    lab_wait_for_rotation(lab, "cells", "generation 3");
    lab_wait_for_rotation(lab, "lab", "generation 2");
    lab_wait_for_rotation(lab, "models", "generation 2");
    assert_int_equal(try_as(people, first), CODE_DENIED);
    two_members_open_as(people, second);
    lab_expect(lab, "datasets/cells/one.txt", "a shared text");
    two_members_check(people);
    two_members_open_as(people, people->bob);
    assert_int_equal(recovery_replace(lab->tree, member_key_public(first), &why), CODE_DENIED); /* no admin */
    two_members_open_as(people, people->ada);
    two_members_check(people);
    member_key_destroy(first);
    member_key_destroy(second);
}

static void spaces_that_the_admin_cannot_read_take_the_new_key_from_their_readers(void **state)
{
    struct two_members *people = *state;
    struct lab *lab = &people->lab;
    struct member_key *first = draw(), *second = draw();
    assert_code_ok(recovery_replace(lab->tree, member_key_public(first), &why), why);
    two_members_open_as(people, people->bob);
    lab_make_folder(lab, "datasets/secret");
    lab_write(lab, "datasets/secret/x", "bob and the paper");
    assert_code_ok(readers_unshare(lab->tree, "secret", "ada", &why), why);
    expect_readers(lab, "secret", "these members: bob recovery\n");
    two_members_open_as(people, people->ada);
    assert_code_ok(recovery_replace(lab->tree, member_key_public(second), &why), why);
    assert_int_equal(two_members_read(people, "datasets/secret/x", &why), CODE_DENIED);
    two_members_open_as(people, second);
    assert_int_equal(two_members_read(people, "datasets/secret/x", &why), CODE_DENIED); /* not yet */
    two_members_open_as(people, people->bob);
    lab_wait_for_rotation(lab, "secret", "generation 3");
    expect_readers(lab, "secret", "these members: bob recovery\n");
    two_members_open_as(people, second);
    lab_expect(lab, "datasets/secret/x", "bob and the paper");
    two_members_open_as(people, people->ada);
    two_members_check(people);
    member_key_destroy(first);
    member_key_destroy(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_recovery_key_opens_what_the_old_one_did_and_the_old_one_nothing,
                                        two_members_make, two_members_remove),
        cmocka_unit_test_setup_teardown(spaces_that_the_admin_cannot_read_take_the_new_key_from_their_readers,
                                        two_members_make, two_members_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
