/* What fs/crypto seals, opened by an independent implementation: oracle.py, written from the format's
 * description. Skipped as a whole where python3 or its `cryptography` is missing. */
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aead.h"
#include "buffer.h"
#include "cmac.h"
#include "entropy.h"
#include "file.h"
#include "keywrap.h"
#include "member_key_file.h"
#include "recovery_key.h"
#include "secret.h"
#include "siv.h"

static struct failure why;

struct argument {
    const void *bytes;
    size_t count;
};

/* Runs the oracle, and gives its answer as hexadecimal text. */
static int ask(const char *command, const struct argument *arguments, size_t count, char *answer, size_t answer_max)
{
    SCOPE_BUFFER line = {0};
    buffer_printf(&line, "python3 '%s' %s", getenv("CYTOFS_CRYPTO_ORACLE"), command);
    for (size_t i = 0; i < count; i++) {
        char digits[HEX_TEXT_BYTES(1024)];
        assert_true(arguments[i].count <= 1024);
        hex_encode(arguments[i].bytes, arguments[i].count, digits);
        buffer_printf(&line, " '%s'", digits);
    }
    FILE *pipe = popen(buffer_text(&line), "r");
    assert_non_null(pipe);
    if (!fgets(answer, (int)answer_max, pipe))
        *answer = 0;
    answer[strcspn(answer, "\n")] = 0;
    return WEXITSTATUS(pclose(pipe));
}

static void assert_oracle_says(const char *command, const struct argument *arguments, size_t count, const void *expected,
                               size_t expected_count)
{
    char answer[2100], digits[HEX_TEXT_BYTES(1024)];
    assert_int_equal(ask(command, arguments, count, answer, sizeof answer), 0);
    hex_encode(expected, expected_count, digits);
    assert_string_equal(answer, digits);
}

static void the_oracle_itself_gives_the_published_siv_result(void **state)
{
    (void)state;
    struct vector key = vector_of("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f06f6e6d6c6b6a69686766656463626160"
                                  "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f");
    struct vector associated = vector_of("101112131415161718191a1b1c1d1e1f2021222324252627");
    struct vector plain = vector_of("112233445566778899aabbccddee");
    struct vector sealed = vector_of("f125274c598065cfc26b0e71575029088b035217e380cac8919ee800c126");
    const struct argument arguments[] = {
        {key.bytes, key.count}, {associated.bytes, associated.count}, {plain.bytes, plain.count}};
    assert_oracle_says("siv", arguments, 3, sealed.bytes, sealed.count);
}

static void the_oracle_agrees_on_everything_that_a_space_key_gives(void **state)
{
    (void)state;
    uint8_t *space_key;
    struct space_id space;
    struct space_keys keys;
    assert_code_ok(space_keys_draw(&space_key, &why), why);
    assert_code_ok(entropy_fill(space.bytes, IDENTITY_BYTES, &why), why);
    assert_code_ok(space_keys_derive(space_key, &space, &keys, &why), why);
    uint8_t plain[300], sealed[300 + AEAD_OVERHEAD];
    assert_code_ok(entropy_fill(plain, sizeof plain, &why), why);

    struct argument arguments[] = {
        {space_key, SPACE_KEY_BYTES}, {space.bytes, IDENTITY_BYTES}, {"place", 5}, {sealed, sizeof sealed}};
    const struct aead_message message = {"place", 5, plain, sizeof plain};
    assert_code_ok(aead_seal(keys.contents, &message, sealed, &why), why);
    assert_oracle_says("space-chunk", arguments, 4, plain, sizeof plain);
    assert_code_ok(aead_seal(keys.xattrs, &message, sealed, &why), why);
    assert_oracle_says("space-xattr", arguments, 4, plain, sizeof plain);

    for (size_t count = 1; count <= 255; count += count < 14 || count > 18 ? 13 : 1) { /* around one block, and long */
        assert_code_ok(siv_seal(keys.names, &(struct siv_message){"place", 5, plain, count}, sealed, &why), why);
        arguments[3] = (struct argument){plain, count};
        assert_oracle_says("space-name", arguments, 4, sealed, count + SIV_OVERHEAD);
    }
    space_keys_clear(&keys);
    secret_free(space_key);
}

static void the_oracle_opens_a_wrapped_key(void **state)
{
    (void)state;
    struct member_key *alice, *bob;
    assert_code_ok(member_key_generate(&alice, &why), why);
    assert_code_ok(member_key_generate(&bob, &why), why);
    const struct member_public *from = member_key_public(alice), *to = member_key_public(bob);
    const struct keywrap_place place = {.store = {"the store's id.."}, .space = {"the space's id.."}, .generation = 258};
    uint8_t key[SPACE_KEY_BYTES], wrapped[KEYWRAP_BYTES];
    assert_code_ok(entropy_fill(key, sizeof key, &why), why);
    assert_code_ok(keywrap_seal(&place, alice, to, key, wrapped, &why), why);
    const struct argument arguments[] = {
        {place.store.bytes, IDENTITY_BYTES},
        {place.space.bytes, IDENTITY_BYTES},
        {"\x01\x02", 2},
        {to->id.bytes, IDENTITY_BYTES},
        {member_key_private(bob), MEMBER_KEY_BYTES},
        {from->id.bytes, IDENTITY_BYTES},
        {from->key, MEMBER_KEY_BYTES},
        {wrapped, sizeof wrapped},
    };
    assert_oracle_says("keywrap", arguments, sizeof arguments / sizeof *arguments, key, sizeof key);
    member_key_destroy(alice);
    member_key_destroy(bob);
}

static void the_oracle_opens_key_files(void **state)
{
    (void)state;
    struct member_key *key;
    assert_code_ok(member_key_generate(&key, &why), why);
    const char *passphrases[] = {"", "stra\xc3\x9f"
                                     "e 7"};
    for (int i = 0; i < 2; i++) {
        char path[] = "/tmp/cytofs-key-XXXXXX";
        int fd = mkstemp(path);
        assert_true(fd >= 0 && close(fd) == 0 && unlink(path) == 0);
        assert_code_ok(member_key_file_save(path, key, passphrases[i], &why), why);
        SCOPE_BUFFER text = {0};
        assert_code_ok(file_read(path, MEMBER_KEY_FILE_BYTES_MAX, &text, &why), why);
        unlink(path);
        const struct argument arguments[] = {{passphrases[i], strlen(passphrases[i])}, {text.data, text.length}};
        assert_oracle_says("key-file", arguments, 2, member_key_private(key), MEMBER_KEY_BYTES);
    }
    member_key_destroy(key);
}

static void the_oracle_prints_and_opens_recovery_keys(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        uint8_t *secret, expected[IDENTITY_BYTES + MEMBER_KEY_BYTES];
        char text[RECOVERY_TEXT_BYTES];
        struct member_key *key;
        assert_code_ok(recovery_key_draw(&secret, &why), why);
        if (i == 0)
            memset(secret, 0, RECOVERY_SECRET_BYTES);
        recovery_key_write(secret, text);
        const struct argument argument = {secret, RECOVERY_SECRET_BYTES};
        assert_oracle_says("recovery-text", &argument, 1, text, strlen(text));
        assert_code_ok(recovery_key_open(secret, &key, &why), why);
        memcpy(expected, member_key_public(key)->id.bytes, IDENTITY_BYTES);
        memcpy(expected + IDENTITY_BYTES, member_key_private(key), MEMBER_KEY_BYTES);
        assert_oracle_says("recovery-member", &argument, 1, expected, sizeof expected);
        member_key_destroy(key);
        secret_free(secret);
    }
}

static void the_oracle_gives_the_same_fingerprint(void **state)
{
    (void)state;
    struct member_key *key;
    assert_code_ok(member_key_generate(&key, &why), why);
    const struct member_public *public = member_key_public(key);
    const struct argument arguments[] = {{public->id.bytes, IDENTITY_BYTES}, {public->key, MEMBER_KEY_BYTES}};
    char text[MEMBER_KEY_FINGERPRINT_BYTES];
    uint8_t expected[16];
    member_key_fingerprint(public, text);
    for (size_t group = 0; group < 8; group++)
        assert_true(hex_decode(text + 5 * group, 4, expected + 2 * group, 2));
    assert_oracle_says("fingerprint", arguments, 2, expected, sizeof expected);
    member_key_destroy(key);
}

static void the_oracle_gives_the_same_codes(void **state)
{
    (void)state;
    uint8_t bytes[CMAC_KEY_BYTES], message[513], code[CMAC_BYTES];
    struct cmac_key *key;
    assert_code_ok(entropy_fill(bytes, sizeof bytes, &why), why);
    assert_code_ok(entropy_fill(message, sizeof message, &why), why);
    assert_code_ok(cmac_key_create(bytes, &key, &why), why);
    static const size_t counts[] = {1, 145, 256, 513};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        assert_code_ok(cmac_compute(key, &(struct cmac_part){message, counts[i]}, 1, code, &why), why);
        const struct argument arguments[] = {{bytes, sizeof bytes}, {message, counts[i]}};
        assert_oracle_says("cmac", arguments, 2, code, sizeof code);
    }
    cmac_key_destroy(key);
}

int main(void)
{
    char answer[16];
    if (!getenv("CYTOFS_CRYPTO_ORACLE") || ask("none", NULL, 0, answer, sizeof answer) == 77) {
        puts("skipped: python3 with the package `cryptography` is missing");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oracle_gives_the_same_codes),
        cmocka_unit_test(the_oracle_itself_gives_the_published_siv_result),
        cmocka_unit_test(the_oracle_agrees_on_everything_that_a_space_key_gives),
        cmocka_unit_test(the_oracle_opens_a_wrapped_key),
        cmocka_unit_test(the_oracle_opens_key_files),
        cmocka_unit_test(the_oracle_prints_and_opens_recovery_keys),
        cmocka_unit_test(the_oracle_gives_the_same_fingerprint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
