/* Users of the server's own machine: lab/users, as an admin writes it, and whom it makes of somebody who comes through the
 * socket. */
#include "testing.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lab_fixture.h"
#include "people_users.h"
#include "tree_members.h"

#define STRANGER ((uid_t)4000000)

static struct failure why;
static struct lab lab;

static int make_lab(void **state)
{
    (void)state;
    memset(&lab, 0, sizeof lab);
    lab_create(&lab);
    assert_code_ok(people_users_add(lab.tree, &why), why);
    return 0;
}

static int remove_lab(void **state)
{
    (void)state;
    lab_destroy(&lab);
    return 0;
}

static enum code say(const char *text)
{
    return lab_save(&lab, "lab/users", text, &why);
}

static void expect_member(uid_t uid, const char *name)
{
    char member[MEMBER_NAME_MAX + 1];
    assert_code_ok(people_users_find(lab.tree, uid, member, &why), why);
    assert_string_equal(member, name);
}

static void expect_nobody(uid_t uid)
{
    char member[MEMBER_NAME_MAX + 1];
    assert_int_equal(people_users_find(lab.tree, uid, member, &why), CODE_DENIED);
    assert_non_null(strstr(why.text, "lab/users"));
}

static void who_runs_the_server_is_its_member_and_others_are_nobody(void **state)
{
    (void)state;
    expect_member(geteuid(), tree_member_name(lab.tree));
    expect_nobody(STRANGER);
    lab_expect(&lab, "lab/users", "");
}

static void a_line_makes_a_user_a_member_by_number_or_by_login(void **state)
{
    (void)state;
    const char *ada = tree_member_name(lab.tree);
    const struct passwd *root = getpwuid(0);
    char lines[200], shown[200];
    assert_non_null(root);
    snprintf(lines, sizeof lines, "4000000\t%s\n\n  %s  %s \n", ada, root->pw_name, ada);
    snprintf(shown, sizeof shown, "4000000 %s\n%s %s\n", ada, root->pw_name, ada);
    assert_code_ok(say(lines), why);
    lab_expect(&lab, "lab/users", shown);
    expect_member(STRANGER, ada);
    expect_member(0, ada);
    expect_nobody(STRANGER + 1);
}

static void who_is_taken_out_is_nobody_again_and_the_list_outlives_the_server(void **state)
{
    (void)state;
    char line[100];
    snprintf(line, sizeof line, "4000000 %s\n4000001 %s\n", tree_member_name(lab.tree), tree_member_name(lab.tree));
    assert_code_ok(say(line), why);
    assert_code_ok(say("4000000 -"), why);
    lab_reopen(&lab);
    assert_code_ok(people_users_add(lab.tree, &why), why);
    expect_nobody(STRANGER);
    expect_member(STRANGER + 1, tree_member_name(lab.tree));
    assert_code_ok(say("4000001 -\n4000001 -\n"), why);
    lab_expect(&lab, "lab/users", "");
}

static void what_is_no_line_or_no_member_is_refused_in_words_and_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } wrong[] = {
        {"4000000", "\"4000000\" (write lines like"},
        {"4000000 ada more\n", "\"4000000 ada more\""},
        {"4000000 a\001b\n", "write lines like"},
        {"12345678901234567890123456789012345678901234567890123456789012345 ada\n", "write lines like"},
        {"4000000 mallory\n", "mallory"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_not_equal(say(wrong[i].text), CODE_OK);
        if (!strstr(why.text, wrong[i].words) || strncmp(why.text, "lab/users", 9) != 0)
            fail_msg("%s", why.text);
        lab_expect(&lab, "lab/users", "");
    }
}

/* strtoul(3) would take these for the number of a user. */
static void only_digits_are_a_number(void **state)
{
    (void)state;
    char line[100];
    snprintf(line, sizeof line, "+4000000 %s\n-18446744073705551616 %s\n", tree_member_name(lab.tree),
             tree_member_name(lab.tree));
    assert_code_ok(say(line), why);
    expect_nobody(STRANGER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_runs_the_server_is_its_member_and_others_are_nobody, make_lab, remove_lab),
        cmocka_unit_test_setup_teardown(a_line_makes_a_user_a_member_by_number_or_by_login, make_lab, remove_lab),
        cmocka_unit_test_setup_teardown(who_is_taken_out_is_nobody_again_and_the_list_outlives_the_server, make_lab,
                                        remove_lab),
        cmocka_unit_test_setup_teardown(what_is_no_line_or_no_member_is_refused_in_words_and_changes_nothing, make_lab,
                                        remove_lab),
        cmocka_unit_test_setup_teardown(only_digits_are_a_number, make_lab, remove_lab),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
