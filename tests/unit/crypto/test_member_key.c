/* Members' key pairs, key files and wrapped space keys. */
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "keywrap.h"
#include "member_key.h"
#include "member_key_file.h"

static struct failure why;

static struct member_key *new_member(void)
{
    struct member_key *key;
    assert_code_ok(member_key_generate(&key, &why), why);
    return key;
}

/* RFC 7748, 6.1. */
static void x25519_gives_the_published_agreement(void **state)
{
    (void)state;
    const char *privates[2] = {"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
                               "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"};
    const char *publics[2] = {"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
                              "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"};
    for (int i = 0; i < 2; i++) {
        struct member_public public = {.id = {{1}}};
        memcpy(public.key, vector_of(publics[i]).bytes, MEMBER_KEY_BYTES);
        struct member_key *key;
        assert_code_ok(member_key_restore(&public, vector_of(privates[i]).bytes, &key, &why), why);
        uint8_t shared[MEMBER_KEY_BYTES];
        assert_code_ok(member_key_agree(key, vector_of(publics[!i]).bytes, shared, &why), why);
        assert_bytes_are(shared, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        member_key_destroy(key);
        public.key[0] ^= 1;
        assert_int_equal(member_key_restore(&public, vector_of(privates[i]).bytes, &key, &why), CODE_CORRUPT);
    }
}

static void a_public_key_of_small_order_is_refused(void **state)
{
    (void)state;
    struct member_key *key = new_member();
    uint8_t zero[MEMBER_KEY_BYTES] = {0}, one[MEMBER_KEY_BYTES] = {1}, shared[MEMBER_KEY_BYTES];
    assert_int_equal(member_key_agree(key, zero, shared, &why), CODE_CORRUPT);
    assert_int_equal(member_key_agree(key, one, shared, &why), CODE_CORRUPT);
    member_key_destroy(key);
}

static void a_fingerprint_tells_members_apart_and_reads_as_eight_groups(void **state)
{
    (void)state;
    struct member_public public = {.id = {{1}}};
    char one[MEMBER_KEY_FINGERPRINT_BYTES], other[MEMBER_KEY_FINGERPRINT_BYTES];
    member_key_fingerprint(&public, one);
    public.key[31] = 1;
    member_key_fingerprint(&public, other);
    assert_string_not_equal(one, other);
    assert_int_equal(strlen(one), MEMBER_KEY_FINGERPRINT_BYTES - 1);
    assert_int_equal(strspn(one, "0123456789abcdef "), MEMBER_KEY_FINGERPRINT_BYTES - 1);
}

/* Wrapped keys --------------------------------------------------------------------------------- */

static const struct keywrap_place place = {.store = {{1, 2}}, .space = {{3, 4}}, .generation = 5};

static void only_the_recipient_takes_a_wrapped_key_out_and_knows_from_whom(void **state)
{
    (void)state;
    struct member_key *alice = new_member(), *bob = new_member(), *eve = new_member();
    const struct member_public *from = member_key_public(alice), *to = member_key_public(bob);
    uint8_t key[SPACE_KEY_BYTES], out[SPACE_KEY_BYTES], wrapped[KEYWRAP_BYTES], again[KEYWRAP_BYTES];
    memset(key, 9, sizeof key);
    assert_code_ok(keywrap_seal(&place, alice, to, key, wrapped, &why), why);
    assert_code_ok(keywrap_seal(&place, alice, to, key, again, &why), why);
    assert_memory_not_equal(wrapped, again, sizeof again);
    assert_code_ok(keywrap_open(&place, bob, from, wrapped, out, &why), why);
    assert_memory_equal(out, key, sizeof key);
    assert_int_equal(keywrap_open(&place, eve, from, wrapped, out, &why), CODE_CORRUPT);
    assert_int_equal(keywrap_open(&place, bob, member_key_public(eve), wrapped, out, &why), CODE_CORRUPT);
    /* Eve knows everybody's public key, and still cannot wrap in Alice's name. */
    assert_code_ok(keywrap_seal(&place, eve, to, key, wrapped, &why), why);
    assert_int_equal(keywrap_open(&place, bob, from, wrapped, out, &why), CODE_CORRUPT);
    member_key_destroy(alice);
    member_key_destroy(bob);
    member_key_destroy(eve);
}

static void a_wrapped_key_is_bound_to_store_space_and_generation_and_to_every_byte(void **state)
{
    (void)state;
    struct member_key *alice = new_member();
    const struct member_public *self = member_key_public(alice);
    uint8_t key[SPACE_KEY_BYTES] = {1}, out[SPACE_KEY_BYTES], wrapped[KEYWRAP_BYTES];
    assert_code_ok(keywrap_seal(&place, alice, self, key, wrapped, &why), why);
    struct keywrap_place others[3] = {place, place, place};
    others[0].store.bytes[15] = 1;
    others[1].space.bytes[15] = 1;
    others[2].generation++;
    for (int i = 0; i < 3; i++)
        assert_int_equal(keywrap_open(&others[i], alice, self, wrapped, out, &why), CODE_CORRUPT);
    for (size_t at = 0; at < sizeof wrapped; at++) {
        wrapped[at] ^= 0x40;
        enum code code = keywrap_open(&place, alice, self, wrapped, out, &why);
        assert_int_equal(code, at == 0 ? CODE_NEWER_FORMAT : CODE_CORRUPT);
        wrapped[at] ^= 0x40;
    }
    assert_code_ok(keywrap_open(&place, alice, self, wrapped, out, &why), why);
    member_key_destroy(alice);
}

/* Key files ------------------------------------------------------------------------------------ */

struct folder {
    char path[64], key[96];
};

static int make_folder(void **state)
{
    static struct folder folder;
    strcpy(folder.path, "/tmp/cytofs-keys-XXXXXX");
    if (!mkdtemp(folder.path))
        return -1;
    snprintf(folder.key, sizeof folder.key, "%s/config/keys/a.key", folder.path);
    *state = &folder;
    return 0;
}

static int remove_folder(void **state)
{
    const struct folder *folder = *state;
    return file_remove_tree(folder->path, NULL) == CODE_OK ? 0 : -1;
}

static void a_saved_key_loads_again_and_is_nobody_elses(void **state)
{
    const struct folder *folder = *state;
    struct member_key *key = new_member(), *loaded;
    assert_code_ok(member_key_file_save(folder->key, key, NULL, &why), why);
    struct stat status;
    assert_int_equal(stat(folder->key, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_code_ok(member_key_file_load(folder->key, NULL, &loaded, &why), why);
    assert_memory_equal(member_key_private(loaded), member_key_private(key), MEMBER_KEY_BYTES);
    assert_memory_equal(member_key_public(loaded), member_key_public(key), sizeof(struct member_public));
    member_key_destroy(loaded);
    assert_int_equal(member_key_file_save(folder->key, key, NULL, &why), CODE_EXISTS);
    for (mode_t bit = 1; bit <= 040; bit <<= 1) {
        assert_int_equal(chmod(folder->key, 0600 | bit), 0);
        assert_int_equal(member_key_file_load(folder->key, NULL, &loaded, &why), CODE_DENIED);
        assert_non_null(strstr(why.text, "chmod 600"));
    }
    member_key_destroy(key);
}

static void a_protected_key_opens_with_its_passphrase_alone(void **state)
{
    const struct folder *folder = *state;
    struct member_key *key = new_member(), *loaded;
    assert_code_ok(member_key_file_save(folder->key, key, "correct horse", &why), why);
    assert_int_equal(member_key_file_load(folder->key, NULL, &loaded, &why), CODE_DENIED);
    assert_int_equal(member_key_file_load(folder->key, "correct mare", &loaded, &why), CODE_DENIED);
    assert_code_ok(member_key_file_load(folder->key, "correct horse", &loaded, &why), why);
    assert_memory_equal(member_key_private(loaded), member_key_private(key), MEMBER_KEY_BYTES);
    SCOPE_BUFFER text = {0};
    assert_code_ok(file_read(folder->key, MEMBER_KEY_FILE_BYTES_MAX, &text, &why), why);
    char digits[HEX_TEXT_BYTES(MEMBER_KEY_BYTES)];
    hex_encode(member_key_private(key), MEMBER_KEY_BYTES, digits);
    assert_null(strstr(buffer_text(&text), digits));
    member_key_destroy(loaded);
    member_key_destroy(key);
}

#define KEY_HEAD                                                                                                            \
    "cytofs member key 1\nmember 00112233445566778899aabbccddeeff\n"                                                        \
    "public 8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a\n"
#define KEY_SECRET "secret 77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a\n"

static enum code parse(const char *text, struct member_key_file *file)
{
    return member_key_file_parse(text, strlen(text), file, &why);
}

static void the_text_of_version_1_is_read_for_ever(void **state)
{
    (void)state;
    struct member_key_file file;
    struct member_key *key;
    assert_code_ok(parse(KEY_HEAD "protection none\n" KEY_SECRET, &file), why);
    assert_code_ok(member_key_file_unlock(&file, NULL, &key, &why), why);
    assert_bytes_are(member_key_private(key), "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    member_key_destroy(key);
}

static void anything_but_a_key_file_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
        enum code code;
    } cases[] = {
        {"", "line 1", CODE_CORRUPT},
        {"-----BEGIN OPENSSH PRIVATE KEY-----\n", "line 1", CODE_CORRUPT},
        {"cytofs member key 2\nwhatever\n", "update cytofs", CODE_NEWER_FORMAT},
        {"cytofs member key 1\nmember 0011\n", "line 2", CODE_CORRUPT},
        {KEY_HEAD, "line 4", CODE_CORRUPT},
        {KEY_HEAD "protection none \n" KEY_SECRET, "line 4", CODE_CORRUPT},
        {KEY_HEAD "protection scrypt 14 00112233445566778899aabbccddeeff\n" KEY_SECRET, "line 4", CODE_CORRUPT},
        {KEY_HEAD "protection scrypt 21 00112233445566778899aabbccddeeff\n" KEY_SECRET, "line 4", CODE_CORRUPT},
        {KEY_HEAD "protection scrypt 15 00112233445566778899aabbccddeeff\n" KEY_SECRET, "line 5", CODE_CORRUPT},
        {KEY_HEAD "protection none\n" KEY_SECRET "\n", "line 6", CODE_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct member_key_file file;
        assert_int_equal(parse(cases[i].text, &file), cases[i].code);
        assert_non_null(strstr(why.text, cases[i].says));
    }
}

static void a_replaced_key_opens_with_the_new_passphrase_alone(void **state)
{
    const struct folder *folder = *state;
    struct member_key *key = new_member(), *loaded;
    const char *passphrases[] = {"old", "new", ""};
    assert_code_ok(member_key_file_save(folder->key, key, passphrases[0], &why), why);
    for (int i = 1; i < 3; i++) {
        assert_code_ok(member_key_file_replace(folder->key, key, passphrases[i], &why), why);
        assert_code_ok(member_key_file_load(folder->key, *passphrases[i] ? passphrases[i] : NULL, &loaded, &why), why);
        assert_true(member_key_same(member_key_public(loaded), member_key_public(key)));
        member_key_destroy(loaded);
        if (*passphrases[i])
            assert_int_equal(member_key_file_load(folder->key, passphrases[i - 1], &loaded, &why), CODE_DENIED);
    }
    member_key_destroy(key);
}

static void every_changed_byte_of_a_protected_key_file_is_noticed(void **state)
{
    const struct folder *folder = *state;
    struct member_key *key = new_member(), *loaded;
    assert_code_ok(member_key_file_save(folder->key, key, "p", &why), why);
    SCOPE_BUFFER text = {0};
    assert_code_ok(file_read(folder->key, MEMBER_KEY_FILE_BYTES_MAX, &text, &why), why);
    int stretched = 0;
    for (size_t at = 0; at < text.length; at++) {
        char kept = text.data[at];
        text.data[at] = kept == '0' ? '1' : '0';
        struct member_key_file file;
        /* Most changes stay well-formed, and each of those costs a scrypt: try some. */
        if (member_key_file_parse(text.data, text.length, &file, &why) == CODE_OK && at % 29 == 0) {
            stretched++;
            assert_int_equal(member_key_file_unlock(&file, "p", &loaded, &why), CODE_DENIED);
        }
        text.data[at] = kept;
    }
    assert_true(stretched >= 5);
    member_key_destroy(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x25519_gives_the_published_agreement),
        cmocka_unit_test(a_public_key_of_small_order_is_refused),
        cmocka_unit_test(a_fingerprint_tells_members_apart_and_reads_as_eight_groups),
        cmocka_unit_test(only_the_recipient_takes_a_wrapped_key_out_and_knows_from_whom),
        cmocka_unit_test(a_wrapped_key_is_bound_to_store_space_and_generation_and_to_every_byte),
        cmocka_unit_test_setup_teardown(a_saved_key_loads_again_and_is_nobody_elses, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_protected_key_opens_with_its_passphrase_alone, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_replaced_key_opens_with_the_new_passphrase_alone, make_folder, remove_folder),
        cmocka_unit_test(the_text_of_version_1_is_read_for_ever),
        cmocka_unit_test(anything_but_a_key_file_is_refused_with_its_line),
        cmocka_unit_test_setup_teardown(every_changed_byte_of_a_protected_key_file_is_noticed, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
