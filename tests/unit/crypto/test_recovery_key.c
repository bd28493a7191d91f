/* Recovery keys as people type them, and members' cards as people send them. */
#include "vectors.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "entropy.h"
#include "member_card.h"
#include "recovery_key.h"
#include "secret.h"

static struct failure why;
static const char zeros[] = "00000032-00000064-00000056-0000004F-0000007D"; /* from oracle.py */

static void a_recovery_key_reads_as_it_was_printed(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        uint8_t *secret, read[RECOVERY_SECRET_BYTES];
        char text[RECOVERY_TEXT_BYTES];
        assert_code_ok(recovery_key_draw(&secret, &why), why);
        recovery_key_write(secret, text);
        assert_int_equal(strlen(text), RECOVERY_TEXT_BYTES - 1);
        assert_code_ok(recovery_key_read(text, read, &why), why);
        assert_memory_equal(read, secret, sizeof read);
        secret_free(secret);
    }
}

static void it_may_be_typed_as_people_do(void **state)
{
    (void)state;
    uint8_t secret[RECOVERY_SECRET_BYTES], read[RECOVERY_SECRET_BYTES];
    char text[RECOVERY_TEXT_BYTES], typed[4 * RECOVERY_TEXT_BYTES], *to = typed;
    for (size_t i = 0; i < sizeof secret; i++)
        secret[i] = (uint8_t)(37 * i);
    recovery_key_write(secret, text);
    for (const char *at = text; *at; at++) {
        *to++ = *at == '0' ? 'o' : *at == '1' ? 'l' : *at == '-' ? '\n' : (char)tolower((unsigned char)*at);
        if ((at - text) % 3 == 0)
            *to++ = ' ';
    }
    *to = 0;
    assert_code_ok(recovery_key_read(typed, read, &why), why);
    assert_memory_equal(read, secret, sizeof read);
}

static void each_wrong_symbol_is_found_in_its_group(void **state)
{
    (void)state;
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t secret[RECOVERY_SECRET_BYTES], read[RECOVERY_SECRET_BYTES];
    char text[RECOVERY_TEXT_BYTES], expected[48];
    assert_code_ok(entropy_fill(secret, sizeof secret, &why), why);
    recovery_key_write(secret, text);
    for (size_t at = 0; text[at]; at++) {
        const char right = text[at];
        snprintf(expected, sizeof expected, "group %zu is mistyped", at / 9 + 1);
        for (const char *wrong = alphabet; right != '-' && *wrong; wrong++) {
            if (*wrong == right)
                continue;
            text[at] = *wrong;
            assert_int_equal(recovery_key_read(text, read, &why), CODE_INVALID);
            assert_non_null(strstr(why.text, expected));
        }
        text[at] = right;
    }
}

static void groups_in_another_order_and_lost_symbols_are_found(void **state)
{
    (void)state;
    uint8_t secret[RECOVERY_SECRET_BYTES], read[RECOVERY_SECRET_BYTES];
    char text[RECOVERY_TEXT_BYTES], wrong[2 * RECOVERY_TEXT_BYTES];
    assert_code_ok(entropy_fill(secret, sizeof secret, &why), why);
    secret[0] ^= secret[4] == secret[0] ? 1 : 0;
    recovery_key_write(secret, text);
    snprintf(wrong, sizeof wrong, "%.8s-%.8s-%s", text + 9, text, text + 18);
    assert_int_equal(recovery_key_read(wrong, read, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "group 1"));
    snprintf(wrong, sizeof wrong, "%.17s-%.7s-%s", text, text + 18, text + 27);
    assert_int_equal(recovery_key_read(wrong, read, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "group 3 has 7 symbols"));
    snprintf(wrong, sizeof wrong, "%.26s", text);
    assert_int_equal(recovery_key_read(wrong, read, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "these are 24"));
    snprintf(wrong, sizeof wrong, "%.9s%s", text, text);
    assert_int_equal(recovery_key_read(wrong, read, &why), CODE_INVALID);
    assert_int_equal(recovery_key_read("", read, &why), CODE_INVALID);
    snprintf(wrong, sizeof wrong, "%.9sU%s", text, text + 10);
    assert_int_equal(recovery_key_read(wrong, read, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "group 2"));
}

static void a_secret_of_zeros_has_this_text(void **state)
{
    (void)state;
    char text[RECOVERY_TEXT_BYTES];
    recovery_key_write((const uint8_t[RECOVERY_SECRET_BYTES]){0}, text);
    assert_string_equal(text, zeros);
}

static struct member_card example_card(void)
{
    struct member_card card = {.name = "bob"};
    struct vector id = vector_of("bb000000000000000000000000000000");
    struct vector key = vector_of("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    memcpy(card.public.id.bytes, id.bytes, IDENTITY_BYTES);
    memcpy(card.public.key, key.bytes, MEMBER_KEY_BYTES);
    return card;
}

static void a_card_reads_as_it_was_written(void **state)
{
    (void)state;
    struct member_card card = example_card(), read;
    char text[MEMBER_CARD_BYTES_MAX];
    size_t count = member_card_write(&card, text);
    assert_code_ok(member_card_parse(text, count, &read, &why), why);
    assert_string_equal(read.name, "bob");
    assert_true(member_key_same(&read.public, &card.public));
}

static void a_card_with_any_byte_changed_is_refused(void **state)
{
    (void)state;
    struct member_card card = example_card(), read;
    char text[MEMBER_CARD_BYTES_MAX];
    size_t count = member_card_write(&card, text);
    const char *name_line = strstr(text, "name ") + 5;
    for (size_t i = 0; i < count; i++) {
        if (text + i >= name_line && text + i < name_line + 3)
            continue; /* another name is a card of another name: nothing vouches for it but the two people */
        text[i] ^= 1;
        assert_int_not_equal(member_card_parse(text, count, &read, &why), CODE_OK);
        text[i] ^= 1;
    }
    for (size_t length = 0; length < count; length++)
        assert_int_not_equal(member_card_parse(text, length, &read, &why), CODE_OK);
    strcat(text, "x\n");
    assert_int_not_equal(member_card_parse(text, count + 2, &read, &why), CODE_OK);
}

static void names_that_would_confuse_are_refused(void **state)
{
    (void)state;
    char long_name[MEMBER_NAME_MAX + 2] = "";
    memset(long_name, 'x', MEMBER_NAME_MAX + 1);
    const char *bad[] = {"", ".", "..", ".bob", "-bob", "a/b", "a b", "a\nb", "everyone", "tab\t", long_name};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(member_card_check_name(bad[i], &why), CODE_INVALID);
    const char *good[] = {"bob", "j\xc3\xbcrgen", "ada.l", "x", "B-2"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_code_ok(member_card_check_name(good[i], &why), why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recovery_key_reads_as_it_was_printed),
        cmocka_unit_test(it_may_be_typed_as_people_do),
        cmocka_unit_test(each_wrong_symbol_is_found_in_its_group),
        cmocka_unit_test(groups_in_another_order_and_lost_symbols_are_found),
        cmocka_unit_test(a_secret_of_zeros_has_this_text),
        cmocka_unit_test(a_card_reads_as_it_was_written),
        cmocka_unit_test(a_card_with_any_byte_changed_is_refused),
        cmocka_unit_test(names_that_would_confuse_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
