/* Keys that members lend to a tree that is opened with another's key: what they open, for how long, and what is refused. */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "catalog_inode.h"
#include "check.h"
#include "lab_fixture.h"
#include "member_key.h"
#include "scope.h"
#include "tree_lending.h"
#include "tree_homes.h"
#include "tree_internal.h"
#include "tree_members.h"
#include "tree_parting.h"
#include "tree_readers.h"
#include "tree_record.h"

static struct failure why;

/* ada's lab, opened with her key; bob and eve are members with homes that were made for them. */
struct people {
    struct lab lab;
    struct member_key *ada, *bob, *eve;
};

static struct people people;

static void add(const struct member_key *key, const char *name)
{
    struct member_card card = {.public = *member_key_public(key)};
    snprintf(card.name, sizeof card.name, "%s", name);
    assert_code_ok(members_add(people.lab.tree, &card, ROLE_SCIENTIST, &why), why);
    assert_code_ok(homes_make(people.lab.tree, name, &why), why);
}

static int make_people(void **state)
{
    (void)state;
    memset(&people, 0, sizeof people);
    lab_create(&people.lab);
    people.ada = people.lab.member;
    assert_code_ok(member_key_generate(&people.bob, &why), why);
    assert_code_ok(member_key_generate(&people.eve, &why), why);
    add(people.bob, "bob");
    add(people.eve, "eve");
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

static void open_as(struct member_key *key)
{
    lab_close(&people.lab);
    people.lab.member = key;
    lab_open(&people.lab);
}

/* What the workstation does: opens the wraps with its own key. */
struct opened {
    const struct member_key *key;
    size_t count;
    uint64_t number[16];
    uint32_t generation[16];
    uint8_t space_key[16][SPACE_KEY_BYTES];
};

static bool open_wrap(void *context, const struct lending_wrap *wrap)
{
    struct opened *opened = context;
    assert_true(opened->count < 16);
    size_t i = opened->count++;
    opened->number[i] = wrap->number;
    opened->generation[i] = wrap->place.generation;
    assert_code_ok(keywrap_open(&wrap->place, opened->key, &wrap->sender, wrap->wrapped, opened->space_key[i], &why), why);
    return true;
}

static struct opened keys_of(const struct member_key *key, const char *name)
{
    struct opened opened = {.key = key};
    assert_code_ok(lending_list(people.lab.tree, name, open_wrap, &opened, &why), why);
    return opened;
}

static size_t lend_all(const struct member_key *key, const char *name)
{
    struct opened opened = keys_of(key, name);
    for (size_t i = 0; i < opened.count; i++)
        assert_code_ok(
            lending_take(people.lab.tree, name, opened.number[i], opened.generation[i], opened.space_key[i], &why), why);
    return opened.count;
}

static enum code read_text(const char *path)
{
    SCOPE_BUFFER text = {0};
    return tree_path_read(people.lab.tree, path, 1 << 20, &text, &why);
}

static enum code write_text(const char *path, const char *text)
{
    return tree_path_write(people.lab.tree, path, 0644, text, strlen(text), &why);
}

static void check_lab(void)
{
    struct check_summary summary;
    SCOPE_BUFFER report = {0};
    assert_code_ok(check_run(people.lab.tree, &(struct check_options){.contents = true}, &report, &summary, &why), why);
    if (summary.problems)
        fail_msg("%s", buffer_text(&report));
}

static void a_home_that_was_made_for_somebody_opens_with_that_key_alone(void **state)
{
    (void)state;
    lending_sweep(people.lab.tree);
    assert_int_equal(write_text("home/bob/diary", "x"), CODE_DENIED);
    lab_reopen(&people.lab);
    assert_int_equal(write_text("home/bob/diary", "x"), CODE_DENIED);
    open_as(people.bob);
    assert_int_equal(write_text("home/bob/diary", "dear diary"), CODE_OK);
    lab_expect(&people.lab, "home/bob/diary", "dear diary");
    check_lab();
    open_as(people.ada);
    check_lab();
}

static void lent_keys_open_a_home_until_the_lender_goes(void **state)
{
    (void)state;
    assert_int_equal(lend_all(people.bob, "bob"), 1);
    assert_int_equal(keys_of(people.bob, "bob").count, 0);
    assert_int_equal(write_text("home/bob/diary", "dear diary"), CODE_OK);
    lab_make_folder(&people.lab, "home/bob/folder");
    lab_write(&people.lab, "home/bob/folder/page", "dear page");
    lab_expect(&people.lab, "home/bob/diary", "dear diary");
    assert_int_equal(read_text("home/eve/anything"), CODE_DENIED);
    check_lab();
    lending_end(people.lab.tree, "bob");
    assert_int_equal(read_text("home/bob/diary"), CODE_DENIED);
    assert_int_equal(read_text("home/bob/folder/page"), CODE_DENIED);
    check_lab();
    assert_int_equal(lend_all(people.bob, "bob"), 1);
    lab_expect(&people.lab, "home/bob/diary", "dear diary");
    lab_expect(&people.lab, "home/bob/folder/page", "dear page");
    lending_end(people.lab.tree, "bob");
    open_as(people.bob);
    lab_expect(&people.lab, "home/bob/folder/page", "dear page");
    check_lab();
}

static void what_was_fsynced_under_a_lent_key_survives_and_hinders_nobody_from_opening(void **state)
{
    (void)state;
    struct tree_file *file;
    struct node_attributes attributes;
    const char *name;
    lend_all(people.bob, "bob");
    lab_write(&people.lab, "home/bob/notes", "first");
    assert_code_ok(tree_sync(people.lab.tree, &why), why);
    struct node_id folder = lab_parent(&people.lab, "home/bob/notes", &name);
    assert_code_ok(tree_create_file(people.lab.tree, folder, name, 0644, OPEN_WRITE, &attributes, &file, &why), why);
    assert_code_ok(tree_write(file, 0, "SECOND", 6, &why), why);
    assert_code_ok(tree_fsync(file, &why), why);
    tree_release(file);
    lab_reopen(&people.lab); /* ada's own key again, and nothing lent */
    assert_int_equal(read_text("home/bob/notes"), CODE_DENIED);
    lend_all(people.bob, "bob");
    lab_expect(&people.lab, "home/bob/notes", "SECOND");
}

static size_t count_nameless(void)
{
    uint64_t inodes[8];
    size_t count;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people.lab.tree->lock);
    assert_code_ok(catalog_inode_orphans(people.lab.tree->catalog, 0, inodes, 8, &count, &why), why);
    return count;
}

static void a_file_that_lost_its_name_before_a_crash_goes_when_its_key_is_lent_again(void **state)
{
    (void)state;
    struct tree_file *file;
    struct node_attributes attributes;
    const char *name;
    lend_all(people.bob, "bob");
    struct node_id folder = lab_parent(&people.lab, "home/bob/gone", &name);
    assert_code_ok(tree_create_file(people.lab.tree, folder, name, 0644, OPEN_WRITE, &attributes, &file, &why), why);
    assert_code_ok(tree_unlink(people.lab.tree, folder, name, &why), why);
    lab_write(&people.lab, "home/bob/notes", "still here");
    tree_begin_parting(people.lab.tree); /* what a crash leaves: its user did not give it up */
    tree_release(file);
    lab_reopen(&people.lab);
    assert_code_ok(tree_drop_nameless(people.lab.tree, &why), why);
    assert_int_equal(count_nameless(), 1); /* ada's keys cannot vouch for the catalog without it */
    lend_all(people.bob, "bob");
    lab_expect(&people.lab, "home/bob/notes", "still here");
    assert_int_equal(count_nameless(), 0);
    check_lab();
    lending_end(people.lab.tree, "bob");
    open_as(people.bob);
    check_lab();
}

static void a_space_of_two_stays_open_for_the_second_lender(void **state)
{
    (void)state;
    lend_all(people.bob, "bob");
    lab_write(&people.lab, "home/bob/shared", "for eve");
    assert_code_ok(readers_share(people.lab.tree, "home/bob", "eve", &why), why);
    assert_int_equal(lend_all(people.eve, "eve"), 2);
    lending_end(people.lab.tree, "bob");
    lab_expect(&people.lab, "home/bob/shared", "for eve");
    lending_end(people.lab.tree, "eve");
    assert_int_equal(read_text("home/bob/shared"), CODE_DENIED);
    check_lab();
}

static void a_rotation_goes_on_under_a_lent_key(void **state)
{
    (void)state;
    lend_all(people.bob, "bob");
    lab_write(&people.lab, "home/bob/old", "sealed with the first key");
    assert_code_ok(readers_rotate(people.lab.tree, "home/bob", &why), why);
    lab_write(&people.lab, "home/bob/new", "sealed with the second key");
    lending_end(people.lab.tree, "bob"); /* maybe in the middle of it */
    lend_all(people.bob, "bob");
    lab_expect(&people.lab, "home/bob/old", "sealed with the first key");
    lab_expect(&people.lab, "home/bob/new", "sealed with the second key");
    lab_wait_for_rotation(&people.lab, "home/bob", NULL);
    check_lab();
    open_as(people.bob);
    lab_expect(&people.lab, "home/bob/old", "sealed with the first key");
    lab_expect(&people.lab, "home/bob/new", "sealed with the second key");
    check_lab();
}

static void nobody_lends_what_is_not_his_or_not_the_key(void **state)
{
    (void)state;
    struct opened bobs = keys_of(people.bob, "bob");
    assert_int_equal(bobs.count, 1);
    uint8_t wrong[SPACE_KEY_BYTES];
    memcpy(wrong, bobs.space_key[0], sizeof wrong);
    wrong[7] ^= 1;
    assert_int_equal(lending_take(people.lab.tree, "bob", bobs.number[0], 1, wrong, &why), CODE_INVALID);
    assert_int_equal(lending_take(people.lab.tree, "eve", bobs.number[0], 1, bobs.space_key[0], &why), CODE_DENIED);
    assert_int_equal(lending_take(people.lab.tree, "bob", bobs.number[0], 2, bobs.space_key[0], &why), CODE_INVALID);
    assert_int_equal(lending_take(people.lab.tree, "bob", bobs.number[0], 0, bobs.space_key[0], &why), CODE_INVALID);
    assert_int_equal(lending_take(people.lab.tree, "bob", 999, 1, bobs.space_key[0], &why), CODE_INVALID);
    assert_int_equal(lending_take(people.lab.tree, "nobody", bobs.number[0], 1, bobs.space_key[0], &why), CODE_NOT_FOUND);
    assert_int_equal(read_text("home/bob/x"), CODE_DENIED);
    assert_int_equal(lend_all(people.bob, "bob"), 1);
    assert_int_equal(read_text("home/bob/x"), CODE_NOT_FOUND);
}

static void a_removed_member_lends_nothing(void **state)
{
    (void)state;
    struct opened bobs = keys_of(people.bob, "bob");
    assert_code_ok(members_remove(people.lab.tree, "bob", &why), why);
    assert_int_equal(lending_take(people.lab.tree, "bob", bobs.number[0], 1, bobs.space_key[0], &why), CODE_NOT_FOUND);
}

static void records_are_seen_by_no_client(void **state)
{
    (void)state;
    const struct record_place place = {"lab/members", RECORD_PREFIX "test"}, own = {"home/ada", RECORD_PREFIX "test"},
                              bobs = {"home/bob", RECORD_PREFIX "test"};
    SCOPE_BUFFER text = {0};
    assert_int_equal(record_get(people.lab.tree, &place, &text, &why), CODE_NO_DATA);
    assert_code_ok(record_put(people.lab.tree, &place, "one", 3, &why), why);
    assert_code_ok(record_put(people.lab.tree, &place, "three", 5, &why), why);
    assert_code_ok(record_put(people.lab.tree, &own, "alone", 5, &why), why);
    assert_int_equal(record_put(people.lab.tree, &bobs, "x", 1, &why), CODE_DENIED);
    lab_reopen(&people.lab);
    assert_code_ok(record_get(people.lab.tree, &place, &text, &why), why);
    assert_string_equal(buffer_text(&text), "three");
    SCOPE_BUFFER names = {0};
    struct node_id folder = lab_node(&people.lab, "lab/members");
    assert_code_ok(tree_set_xattr(people.lab.tree, folder, "user.colour", "red", 3, 0, &why), why);
    assert_code_ok(tree_list_xattrs(people.lab.tree, folder, &names, &why), why);
    assert_int_equal(names.length, strlen("user.colour") + 1);
    SCOPE_BUFFER value = {0};
    assert_int_equal(tree_get_xattr(people.lab.tree, folder, place.name, &value, &why), CODE_UNSUPPORTED);
    assert_int_equal(tree_set_xattr(people.lab.tree, folder, place.name, "x", 1, 0, &why), CODE_UNSUPPORTED);
    assert_int_equal(tree_remove_xattr(people.lab.tree, folder, place.name, &why), CODE_UNSUPPORTED);
    check_lab();
    open_as(people.bob);
    SCOPE_BUFFER seen = {0};
    assert_code_ok(record_get(people.lab.tree, &place, &seen, &why), why);
    assert_int_equal(record_get(people.lab.tree, &own, &seen, &why), CODE_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_home_that_was_made_for_somebody_opens_with_that_key_alone, make_people,
                                        remove_people),
        cmocka_unit_test_setup_teardown(lent_keys_open_a_home_until_the_lender_goes, make_people, remove_people),
        cmocka_unit_test_setup_teardown(what_was_fsynced_under_a_lent_key_survives_and_hinders_nobody_from_opening,
                                        make_people, remove_people),
        cmocka_unit_test_setup_teardown(a_file_that_lost_its_name_before_a_crash_goes_when_its_key_is_lent_again,
                                        make_people, remove_people),
        cmocka_unit_test_setup_teardown(a_space_of_two_stays_open_for_the_second_lender, make_people, remove_people),
        cmocka_unit_test_setup_teardown(a_rotation_goes_on_under_a_lent_key, make_people, remove_people),
        cmocka_unit_test_setup_teardown(nobody_lends_what_is_not_his_or_not_the_key, make_people, remove_people),
        cmocka_unit_test_setup_teardown(a_removed_member_lends_nothing, make_people, remove_people),
        cmocka_unit_test_setup_teardown(records_are_seen_by_no_client, make_people, remove_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
