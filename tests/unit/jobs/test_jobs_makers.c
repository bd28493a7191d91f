/* Specs of members who come from other machines: they have the server do what they may have done, whoever looks, and after a
 * restart. */
#include <stdio.h>

#include "lab.h"
#include "member_key.h"
#include "tree_members.h"
#include "tree_readers.h"
#include "viewer.h"

static struct viewer add_bob(struct lab *lab)
{
    struct member_key *key;
    struct member_card card = {.name = "bob"};
    assert_code_ok(member_key_generate(&key, &lab->why), lab->why);
    card.public = *member_key_public(key);
    member_key_destroy(key);
    assert_code_ok(members_add(lab->tree, &card, ROLE_SCIENTIST, &lab->why), lab->why);
    return (struct viewer){.name = "bob", .role = ROLE_SCIENTIST, .id = card.public.id, .session = 1};
}

static enum code save_as(struct lab *lab, const struct viewer *viewer, const char *path, const char *text)
{
    viewer_enter(viewer);
    enum code code = lab_save(lab, path, text);
    viewer_leave();
    return code;
}

#define TRAIN(dataset) "dataset: datasets/" dataset "\ntrain: {network: celldet-n, epochs: 1}\n"

static void a_spec_belongs_to_who_made_it(void **state)
{
    struct lab *lab = *state;
    struct viewer bob = add_bob(lab);
    assert_int_equal(save_as(lab, &bob, "jobs/a.yaml", TRAIN("cells")), CODE_OK);
    lab_expect_part(lab, "experiments/a/001/events", "\"bob\"");
}

static void a_dataset_that_was_not_shared_is_a_mistake_in_the_spec(void **state)
{
    struct lab *lab = *state;
    struct viewer bob = add_bob(lab);
    assert_code_ok(readers_unshare(lab->tree, "cells", "bob", &lab->why), lab->why);
    assert_int_equal(save_as(lab, &bob, "jobs/a.yaml", TRAIN("cells")), CODE_INVALID);
    lab_expect_part(lab, "jobs/a.error", "datasets/cells was not shared with bob");
    lab_restart(lab); /* which looks at every spec again, on nobody's behalf */
    assert_false(tree_path_exists(lab->tree, "experiments/a"));
    assert_int_equal(lab_save(lab, "jobs/b.yaml", TRAIN("cells")), CODE_OK); /* ours */
}

static void programs_on_the_server_are_an_admins(void **state)
{
    struct lab *lab = *state;
    struct viewer bob = add_bob(lab);
    assert_int_equal(save_as(lab, &bob, "jobs/a.yaml", "run: cat /etc/shadow\n"), CODE_INVALID);
    lab_expect_part(lab, "jobs/a.error", "as a scientist you may not run programs");
    lab_restart(lab);
    assert_false(tree_path_exists(lab->tree, "experiments/a"));
    assert_code_ok(members_set_role(lab->tree, "bob", ROLE_ADMIN, &lab->why), lab->why);
    bob.role = ROLE_ADMIN;
    assert_int_equal(save_as(lab, &bob, "jobs/b.yaml", "run: true\n"), CODE_OK);
}

static void a_link_in_jobs_shows_nothing_of_others(void **state)
{
    struct lab *lab = *state;
    struct viewer bob = add_bob(lab);
    char path[100];
    snprintf(path, sizeof path, "home/%s/diary", tree_member_name(lab->tree));
    assert_code_ok(tree_path_write(lab->tree, path, 0644, "secret: diary\n", 14, &lab->why), lab->why);
    char target[110];
    snprintf(target, sizeof target, "../%s", path);
    viewer_enter(&bob);
    assert_code_ok(tree_path_link(lab->tree, "jobs/spy.yaml", target, &lab->why), lab->why);
    viewer_leave();
    assert_false(tree_path_exists(lab->tree, "jobs/spy.error"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_spec_belongs_to_who_made_it, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(a_dataset_that_was_not_shared_is_a_mistake_in_the_spec, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(programs_on_the_server_are_an_admins, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(a_link_in_jobs_shows_nothing_of_others, lab_setup, lab_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
