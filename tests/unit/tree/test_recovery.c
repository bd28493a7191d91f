/* The recovery key, replaced: what the new one opens, and the old one no longer. */
#include "testing.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "lab_fixture.h"
#include "member_key.h"
#include "recovery_key.h"
#include "secret.h"
#include "tree_members.h"
#include "tree_readers.h"
#include "tree_recovery.h"

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

static struct member_key *draw(void)
{
    uint8_t *secret;
    struct member_key *key;
    assert_code_ok(recovery_key_draw(&secret, &why), why);
    assert_code_ok(recovery_key_open(secret, &key, &why), why);
    secret_free(secret);
    return key;
}

static enum code try_as(struct member_key *key)
{
    char catalog[128];
    struct tree *tree;
    open_as(ada);
    tree_close(lab.tree);
    snprintf(catalog, sizeof catalog, "%s/catalog.db", lab.folder);
    struct tree_open_options options = {.chunks = lab.chunks, .catalog_path = catalog, .member = key, .store = &lab.store};
    enum code code = tree_open(&options, &tree, &why);
    if (code == CODE_OK)
        tree_close(tree);
    lab.tree = NULL;
    lab_close(&lab);
    lab_open(&lab);
    return code;
}

/* Until the space has a new key and nothing is sealed with an older one. */
static void wait_for_rotation(const char *space, const char *generation)
{
    for (int i = 0; i < 600; i++) {
        SCOPE_BUFFER text = {0};
        assert_code_ok(readers_describe_space(lab.tree, space, &text, &why), why);
        if (!strstr(buffer_text(&text), "rotation") && strstr(buffer_text(&text), generation))
            return;
        assert_code_ok(tree_sync(lab.tree, &why), why);
        usleep(10000);
    }
    fail_msg("the rotation of %s does not end", space);
}

static void expect_readers(const char *space, const char *readers)
{
    SCOPE_BUFFER text = {0};
    assert_code_ok(readers_describe_space(lab.tree, space, &text, &why), why);
    if (!strstr(buffer_text(&text), readers))
        fail_msg("%s: %s", readers, buffer_text(&text));
}

static void a_new_recovery_key_opens_what_the_old_one_did_and_the_old_one_nothing(void **state)
{
    (void)state;
    struct member_key *first = draw(), *second = draw();
    assert_code_ok(recovery_replace(lab.tree, member_key_public(first), &why), why); /* a lab that had none */
    expect_readers("cells", "ada bob recovery");
    open_as(first);
    lab_expect(&lab, "datasets/cells/one.txt", "a shared text");
    assert_code_ok(readers_unshare(lab.tree, "cells", "bob", &why), why); /* it is a key like any other */
    open_as(ada);
    for (int i = 0; i < 300; i++) {
        char path[64];
        snprintf(path, sizeof path, "datasets/cells/%d", i);
        lab_write(&lab, path, path);
    }
    assert_code_ok(recovery_replace(lab.tree, member_key_public(second), &why), why);
    open_as(second); /* while most of it is still sealed with the key before */
    lab_expect(&lab, "datasets/cells/299", "datasets/cells/299");
    open_as(ada);
    assert_int_equal(recovery_replace(lab.tree, member_key_public(first), &why), CODE_EXISTS);
    assert_int_equal(recovery_replace(lab.tree, member_key_public(second), &why), CODE_EXISTS);
    expect_readers("cells", "these members: ada recovery\n");
    wait_for_rotation("cells", "generation 3");
    wait_for_rotation("lab", "generation 2");
    wait_for_rotation("models", "generation 2");
    assert_int_equal(try_as(first), CODE_DENIED);
    open_as(second);
    lab_expect(&lab, "datasets/cells/one.txt", "a shared text");
    expect_whole();
    open_as(bob);
    assert_int_equal(recovery_replace(lab.tree, member_key_public(first), &why), CODE_DENIED); /* no admin */
    open_as(ada);
    expect_whole();
    member_key_destroy(first);
    member_key_destroy(second);
}

static void spaces_that_the_admin_cannot_read_take_the_new_key_from_their_readers(void **state)
{
    (void)state;
    struct member_key *first = draw(), *second = draw();
    assert_code_ok(recovery_replace(lab.tree, member_key_public(first), &why), why);
    open_as(bob);
    lab_make_folder(&lab, "datasets/secret");
    lab_write(&lab, "datasets/secret/x", "bob and the paper");
    assert_code_ok(readers_unshare(lab.tree, "secret", "ada", &why), why);
    expect_readers("secret", "these members: bob recovery\n");
    open_as(ada);
    assert_code_ok(recovery_replace(lab.tree, member_key_public(second), &why), why);
    assert_int_equal(read_text("datasets/secret/x"), CODE_DENIED);
    open_as(second);
    assert_int_equal(read_text("datasets/secret/x"), CODE_DENIED); /* not yet */
    open_as(bob);
    wait_for_rotation("secret", "generation 3");
    expect_readers("secret", "these members: bob recovery\n");
    open_as(second);
    lab_expect(&lab, "datasets/secret/x", "bob and the paper");
    open_as(ada);
    expect_whole();
    member_key_destroy(first);
    member_key_destroy(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_recovery_key_opens_what_the_old_one_did_and_the_old_one_nothing, make_lab, remove_lab),
        cmocka_unit_test_setup_teardown(spaces_that_the_admin_cannot_read_take_the_new_key_from_their_readers, make_lab, remove_lab),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
