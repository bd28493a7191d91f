/* The key that issues a lab's certificates: who has it, and what becomes of it when the home that it lies in is deleted. */
#include "testing.h"

#include <string.h>

#include "authority.h"
#include "tree_homes.h"
#include "tree_members.h"
#include "tree_record.h"
#include "two_members.h"

static struct failure why;

/* The lab's certificate, which the present opener's authority has. */
static void expect_authority(struct two_members *people, struct buffer *certificate)
{
    struct authority authority;
    SCOPE_BUFFER told = {0};
    assert_code_ok(authority_open(people->lab.tree, &authority, &why), why);
    buffer_clear(certificate);
    buffer_append(certificate, authority.server.lab_certificate.data, authority.server.lab_certificate.length);
    authority_free(&authority);
    assert_code_ok(authority_certificate(people->lab.tree, &told, &why), why);
    assert_string_equal(buffer_text(&told), buffer_text(certificate));
}

/* bob serves the lab first; then ada, its admin, removes him with all that is his. */
static void let_bob_serve_and_go(struct two_members *people, struct buffer *certificate)
{
    struct authority authority;
    two_members_open_as(people, people->bob);
    expect_authority(people, certificate);
    two_members_open_as(people, people->ada);
    assert_int_equal(authority_open(people->lab.tree, &authority, &why), CODE_DENIED);
    assert_non_null(strstr(why.text, "home/bob"));
    assert_code_ok(members_remove(people->lab.tree, "bob", &why), why);
    assert_int_equal(authority_open(people->lab.tree, &authority, &why), CODE_DENIED);
    assert_code_ok(homes_delete(people->lab.tree, "home-bob", &why), why);
}

static void when_the_home_that_holds_it_is_deleted_another_is_made(void **state)
{
    struct two_members *people = *state;
    SCOPE_BUFFER bobs = {0};
    SCOPE_BUFFER adas = {0};
    SCOPE_BUFFER again = {0};
    let_bob_serve_and_go(people, &bobs);
    expect_authority(people, &adas);
    assert_string_not_equal(buffer_text(&bobs), buffer_text(&adas));
    lab_reopen(&people->lab);
    expect_authority(people, &again);
    assert_string_equal(buffer_text(&adas), buffer_text(&again));
}

static void a_later_home_of_the_same_name_is_not_taken_for_it(void **state)
{
    struct two_members *people = *state;
    struct member_key *second;
    SCOPE_BUFFER bobs = {0};
    SCOPE_BUFFER adas = {0};
    let_bob_serve_and_go(people, &bobs);
    assert_code_ok(member_key_generate(&second, &why), why);
    struct member_card card = two_members_card(second, "bob");
    assert_code_ok(members_add(people->lab.tree, &card, ROLE_SCIENTIST, &why), why);
    expect_authority(people, &adas);
    assert_string_not_equal(buffer_text(&bobs), buffer_text(&adas));
    two_members_open_as(people, second);
    struct authority authority;
    assert_int_equal(authority_open(people->lab.tree, &authority, &why), CODE_DENIED);
    assert_non_null(strstr(why.text, "home/ada"));
    two_members_open_as(people, people->ada);
    member_key_destroy(second);
}

/* Without the line that says which node the home is. */
static void what_an_older_program_noted_is_understood(void **state)
{
    struct two_members *people = *state;
    const struct record_place place = {"lab/members", RECORD_PREFIX "authority"};
    SCOPE_BUFFER certificate = {0};
    SCOPE_BUFFER again = {0};
    SCOPE_BUFFER text = {0};
    expect_authority(people, &certificate);
    assert_code_ok(record_get(people->lab.tree, &place, &text, &why), why);
    char *line = strstr(buffer_text(&text), "\nhome "), *next = line ? strchr(line + 1, '\n') : NULL;
    assert_non_null(next);
    size_t cut = (size_t)(next - line);
    memmove(line, next, text.length - (size_t)(next - text.data));
    assert_code_ok(record_put(people->lab.tree, &place, text.data, text.length - cut, &why), why);
    expect_authority(people, &again);
    assert_string_equal(buffer_text(&certificate), buffer_text(&again));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(when_the_home_that_holds_it_is_deleted_another_is_made, two_members_make,
                                        two_members_remove),
        cmocka_unit_test_setup_teardown(what_an_older_program_noted_is_understood, two_members_make, two_members_remove),
        cmocka_unit_test_setup_teardown(a_later_home_of_the_same_name_is_not_taken_for_it, two_members_make,
                                        two_members_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
