/* Invitations and those who take them up: what is believed, how often, and how long. */
#include "testing.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "authority.h"
#include "invite_list.h"
#include "joining.h"
#include "lab_fixture.h"
#include "link_key.h"
#include "people.h"
#include "tree_members.h"

static struct failure why;

struct scene {
    struct lab lab;
    struct people *people;
};

static int make_scene(void **state)
{
    static struct scene scene;
    memset(&scene, 0, sizeof scene);
    lab_create(&scene.lab);
    assert_code_ok(people_create(scene.lab.tree, &(struct people_options){.host = "gpu"}, &scene.people, &why), why);
    *state = &scene;
    return 0;
}

static int remove_scene(void **state)
{
    struct scene *scene = *state;
    people_destroy(scene->people);
    lab_destroy(&scene->lab);
    return 0;
}

static struct invite invite(struct scene *scene, const char *name)
{
    SCOPE_BUFFER line = {0};
    struct invite parsed;
    const struct people_invitation invitation = {.name = name, .role = ROLE_STEWARD, .days = 3};
    assert_code_ok(people_invite(scene->people, &invitation, &line, &why), why);
    assert_int_equal(strncmp(buffer_text(&line), "cytofs join gpu ", 16), 0);
    line.data[strcspn(line.data, "\n")] = 0;
    assert_code_ok(invite_parse(line.data + 16, &parsed, &why), why);
    assert_string_equal(parsed.name, name);
    return parsed;
}

/* Asks with these keys; the certificate's key goes to *link_key, the answer to *answer. */
static enum code ask(struct scene *scene, const struct invite *invite, const struct member_key *key,
                     struct joining_answer *answer)
{
    SCOPE_BUFFER text = {0};
    SCOPE_BUFFER reply = {0};
    SCOPE_BUFFER link_key = {0};
    struct joining_question question = {.member = *member_key_public(key)};
    strcpy(question.name, invite->name);
    memcpy(question.secret, invite->secret, sizeof question.secret);
    assert_code_ok(certificate_make_key(&link_key, &why), why);
    assert_code_ok(certificate_public_key(&link_key, &question.link_key, &why), why);
    joining_write_question(&question, &text);
    enum code code = people_answer(scene->people, buffer_text(&text), text.length, "10.0.0.9", &reply, &why);
    if (code == CODE_OK)
        assert_code_ok(joining_read_answer(buffer_text(&reply), reply.length, answer, &why), why);
    buffer_free(&question.link_key);
    return code;
}

static void free_answer(struct joining_answer *answer)
{
    buffer_free(&answer->certificate);
    buffer_free(&answer->lab_certificate);
    *answer = (struct joining_answer){0};
}

static void an_invitation_makes_one_member_who_may_ask_again(void **state)
{
    struct scene *scene = *state;
    struct member_key *bob, *eve;
    struct joining_answer answer = {0};
    struct people_admission admission;
    struct certificate_holder holder = {.name = "bob"};
    assert_code_ok(member_key_generate(&bob, &why), why);
    assert_code_ok(member_key_generate(&eve, &why), why);
    struct invite word = invite(scene, "bob");
    for (int i = 0; i < 2; i++) {
        assert_code_ok(ask(scene, &word, bob, &answer), why);
        assert_int_equal(answer.role, ROLE_STEWARD);
        free_answer(&answer);
    }
    assert_int_equal(ask(scene, &word, eve, &answer), CODE_DENIED);
    member_key_fingerprint(member_key_public(bob), holder.member_fingerprint);
    assert_code_ok(people_admit(scene->people, &holder, &admission, &why), why);
    assert_int_equal(admission.role, ROLE_STEWARD);
    member_key_fingerprint(member_key_public(eve), holder.member_fingerprint);
    assert_int_equal(people_admit(scene->people, &holder, &admission, &why), CODE_DENIED);
    assert_code_ok(people_remove(scene->people, "bob", &why), why);
    member_key_fingerprint(member_key_public(bob), holder.member_fingerprint);
    assert_int_equal(people_admit(scene->people, &holder, &admission, &why), CODE_DENIED);
    assert_int_not_equal(ask(scene, &word, bob, &answer), CODE_OK);
    SCOPE_BUFFER line = {0};
    assert_int_equal(people_invite(scene->people, &(struct people_invitation){.name = "bob", .days = 3}, &line, &why),
                     CODE_EXISTS);
    assert_non_null(strstr(why.text, "home/bob"));
    member_key_destroy(bob);
    member_key_destroy(eve);
}

static void ten_wrong_tries_make_an_invitation_void(void **state)
{
    struct scene *scene = *state;
    struct member_key *bob;
    struct joining_answer answer = {0};
    assert_code_ok(member_key_generate(&bob, &why), why);
    struct invite word = invite(scene, "bob"), wrong = word;
    wrong.secret[0] ^= 1;
    for (int i = 0; i < INVITE_TRIES_MAX; i++)
        assert_int_equal(ask(scene, &wrong, bob, &answer), CODE_DENIED);
    assert_int_equal(ask(scene, &word, bob, &answer), CODE_DENIED);
    word = invite(scene, "bob");
    assert_code_ok(ask(scene, &word, bob, &answer), why);
    free_answer(&answer);
    member_key_destroy(bob);
}

static void who_is_withdrawn_or_was_never_invited_is_told_the_same(void **state)
{
    struct scene *scene = *state;
    struct member_key *bob;
    struct joining_answer answer = {0};
    char said[FAILURE_TEXT_MAX];
    assert_code_ok(member_key_generate(&bob, &why), why);
    struct invite word = invite(scene, "bob");
    assert_code_ok(people_withdraw(scene->people, "bob", &why), why);
    assert_int_equal(ask(scene, &word, bob, &answer), CODE_DENIED);
    strcpy(said, why.text);
    strcpy(word.name, "carol");
    assert_int_equal(ask(scene, &word, bob, &answer), CODE_DENIED);
    assert_string_equal(said, why.text);
    assert_int_equal(people_withdraw(scene->people, "carol", &why), CODE_NOT_FOUND);
    member_key_destroy(bob);
}

static void nobody_is_called_like_the_server_or_a_member(void **state)
{
    struct scene *scene = *state;
    SCOPE_BUFFER line = {0};
    const char *const names[] = {"server", "recovery", "a b", ".x", "everyone", ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(people_invite(scene->people, &(struct people_invitation){.name = names[i], .days = 3}, &line, &why),
                         CODE_INVALID);
    assert_int_equal(people_invite(scene->people, &(struct people_invitation){.name = "ada", .days = 3}, &line, &why),
                     CODE_EXISTS);
    assert_int_equal(people_invite(scene->people, &(struct people_invitation){.name = "bob", .days = 0}, &line, &why),
                     CODE_INVALID);
    assert_int_equal(line.length, 0);
}

static void a_word_with_any_letter_changed_is_refused(void **state)
{
    struct scene *scene = *state;
    struct invite word = invite(scene, "bob"), parsed;
    char text[INVITE_TEXT_MAX];
    invite_write(&word, text);
    assert_code_ok(invite_parse(text, &parsed, &why), why);
    for (size_t i = 0; text[i]; i++) {
        char before = text[i];
        text[i] = before == '7' ? '8' : '7';
        assert_int_equal(invite_parse(text, &parsed, &why), CODE_INVALID);
        text[i] = 0;
        assert_int_equal(invite_parse(text, &parsed, &why), CODE_INVALID);
        text[i] = before;
    }
}

static void expired_invitations_go(void **state)
{
    (void)state;
    static struct invite_list list, read;
    SCOPE_BUFFER text = {0};
    for (int i = 0; i < 4; i++) {
        struct invite_entry entry = {.expires_s = 1000 + i, .by = "ada", .used = i == 2};
        snprintf(entry.name, sizeof entry.name, "member%d", i);
        assert_code_ok(invite_list_add(&list, &entry, &why), why);
    }
    invite_list_print(&list, &text);
    assert_code_ok(invite_list_parse(buffer_text(&text), text.length, &read, &why), why);
    assert_int_equal(read.count, 4);
    assert_true(invite_list_find(&read, "member2")->used);
    assert_true(invite_list_expire(&read, 1001));
    assert_int_equal(read.count, 2);
    assert_null(invite_list_find(&read, "member1"));
    assert_int_equal(invite_list_parse(buffer_text(&text), text.length - 1, &read, &why), CODE_CORRUPT);
}

static void the_issuing_key_is_made_once_and_found_again(void **state)
{
    struct scene *scene = *state;
    struct authority first, second;
    assert_code_ok(authority_open(scene->lab.tree, &first, &why), why);
    assert_code_ok(authority_open(scene->lab.tree, &second, &why), why);
    assert_string_equal(buffer_text(&first.lab_key), buffer_text(&second.lab_key));
    assert_string_equal(buffer_text(&first.server.lab_certificate), buffer_text(&second.server.lab_certificate));
    authority_free(&first);
    authority_free(&second);
}

static void the_certificates_key_opens_with_that_members_key_alone(void **state)
{
    (void)state;
    struct member_key *bob, *eve;
    SCOPE_BUFFER key = {0};
    SCOPE_BUFFER sealed = {0};
    SCOPE_BUFFER opened = {0};
    SCOPE_BUFFER refused = {0};
    assert_code_ok(member_key_generate(&bob, &why), why);
    assert_code_ok(member_key_generate(&eve, &why), why);
    assert_code_ok(certificate_make_key(&key, &why), why);
    assert_code_ok(link_key_seal(bob, &key, &sealed, &why), why);
    assert_null(strstr(buffer_text(&sealed), "PRIVATE"));
    assert_code_ok(link_key_open(bob, buffer_text(&sealed), sealed.length, &opened, &why), why);
    assert_string_equal(buffer_text(&opened), buffer_text(&key));
    assert_int_equal(link_key_open(eve, buffer_text(&sealed), sealed.length, &refused, &why), CODE_CORRUPT);
    member_key_destroy(bob);
    member_key_destroy(eve);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_invitation_makes_one_member_who_may_ask_again, make_scene, remove_scene),
        cmocka_unit_test_setup_teardown(ten_wrong_tries_make_an_invitation_void, make_scene, remove_scene),
        cmocka_unit_test_setup_teardown(who_is_withdrawn_or_was_never_invited_is_told_the_same, make_scene, remove_scene),
        cmocka_unit_test_setup_teardown(nobody_is_called_like_the_server_or_a_member, make_scene, remove_scene),
        cmocka_unit_test_setup_teardown(a_word_with_any_letter_changed_is_refused, make_scene, remove_scene),
        cmocka_unit_test(expired_invitations_go),
        cmocka_unit_test_setup_teardown(the_issuing_key_is_made_once_and_found_again, make_scene, remove_scene),
        cmocka_unit_test(the_certificates_key_opens_with_that_members_key_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
