/* fs/crypto against published vectors, and against what a hostile store may do to sealed bytes. */
#include "vectors.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aead.h"
#include "cmac.h"
#include "entropy.h"
#include "kdf.h"
#include "secret.h"
#include "siv.h"
#include "space_keys.h"

static struct failure why;

/* AES-256-GCM ---------------------------------------------------------------------------------- */

/* McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", appendix B, cases 13 and 16. */
static void gcm_gives_the_published_results(void **state)
{
    (void)state;
    static const struct {
        const char *key, *nonce, *associated, *plain, *body, *tag;
    } cases[] = {
        {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "", "",
         "530f8afbc74536b9a963b4f1c4cb738b"},
        {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
         "feedfacedeadbeeffeedfacedeadbeefabaddad2",
         "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16"
         "aedf5aa"
         "0de657ba637b39",
         "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f"
         "61e6393"
         "ba7a0abcc9f662",
         "76fc6ece0f4e1768cddf8853bb2d551b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vector associated = vector_of(cases[i].associated), plain = vector_of(cases[i].plain);
        struct aead_key *key;
        assert_code_ok(aead_key_create(vector_of(cases[i].key).bytes, &key, &why), why);
        uint8_t sealed[512], opened[512];
        struct aead_message message = {associated.bytes, associated.count, plain.bytes, plain.count};
        assert_code_ok(aead_seal_with_nonce(key, vector_of(cases[i].nonce).bytes, &message, sealed, &why), why);
        assert_bytes_are(sealed, cases[i].nonce);
        assert_bytes_are(sealed + AEAD_NONCE_BYTES, cases[i].body);
        assert_bytes_are(sealed + AEAD_NONCE_BYTES + plain.count, cases[i].tag);
        message = (struct aead_message){associated.bytes, associated.count, sealed, plain.count + AEAD_OVERHEAD};
        assert_code_ok(aead_open(key, &message, opened, &why), why);
        assert_memory_equal(opened, plain.bytes, plain.count);
        aead_key_destroy(key);
    }
}

static struct aead_key *some_aead_key(uint8_t fill)
{
    uint8_t bytes[AEAD_KEY_BYTES];
    memset(bytes, fill, sizeof bytes);
    struct aead_key *key;
    assert_code_ok(aead_key_create(bytes, &key, &why), why);
    return key;
}

static void every_changed_byte_of_a_sealed_message_is_noticed_and_nothing_is_given_out(void **state)
{
    (void)state;
    struct aead_key *key = some_aead_key(1);
    uint8_t plain[40], sealed[40 + AEAD_OVERHEAD], opened[40], nothing[40] = {0};
    memset(plain, 0xA7, sizeof plain);
    assert_code_ok(aead_seal(key, &(struct aead_message){"place", 5, plain, sizeof plain}, sealed, &why), why);
    const struct aead_message message = {"place", 5, sealed, sizeof sealed};
    for (size_t at = 0; at < sizeof sealed; at++) {
        sealed[at] ^= 0x10;
        assert_int_equal(aead_open(key, &message, opened, &why), CODE_CORRUPT);
        assert_memory_equal(opened, nothing, sizeof opened);
        sealed[at] ^= 0x10;
    }
    for (size_t count = 0; count < sizeof sealed; count++)
        assert_int_equal(aead_open(key, &(struct aead_message){"place", 5, sealed, count}, opened, &why), CODE_CORRUPT);
    assert_int_equal(aead_open(key, &(struct aead_message){"plate", 5, sealed, sizeof sealed}, opened, &why), CODE_CORRUPT);
    assert_code_ok(aead_open(key, &message, opened, &why), why);
    assert_memory_equal(opened, plain, sizeof plain);
    aead_key_destroy(key);
}

static void keys_that_take_turns_in_one_thread_are_not_mixed_up(void **state)
{
    (void)state;
    struct aead_key *keys[2] = {some_aead_key(1), some_aead_key(2)};
    uint8_t sealed[2][8 + AEAD_OVERHEAD], opened[8];
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 2; i++)
            assert_code_ok(aead_seal(keys[i], &(struct aead_message){NULL, 0, "contents", 8}, sealed[i], &why), why);
    for (int i = 0; i < 2; i++) {
        const struct aead_message message = {NULL, 0, sealed[i], sizeof sealed[i]};
        assert_code_ok(aead_open(keys[i], &message, opened, &why), why);
        assert_int_equal(aead_open(keys[!i], &message, opened, &why), CODE_CORRUPT);
    }
    /* A new key may come to lie where a destroyed one lay. */
    aead_key_destroy(keys[1]);
    keys[1] = some_aead_key(3);
    assert_int_equal(aead_open(keys[1], &(struct aead_message){NULL, 0, sealed[1], sizeof sealed[1]}, opened, &why),
                     CODE_CORRUPT);
    aead_key_destroy(keys[0]);
    aead_key_destroy(keys[1]);
}

static void no_nonce_comes_twice_not_even_across_a_fork(void **state)
{
    (void)state;
    enum { SEALS = 1000 };
    static uint8_t nonces[2 * SEALS][AEAD_NONCE_BYTES];
    struct aead_key *key = some_aead_key(1);
    uint8_t sealed[AEAD_OVERHEAD];
    const struct aead_message empty = {0};
    assert_code_ok(aead_seal(key, &empty, sealed, &why), why); /* the stock exists before the fork */
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    for (int i = 0; i < SEALS; i++) {
        if (aead_seal(key, &empty, sealed, &why) != CODE_OK)
            abort();
        if (child == 0 && write(ends[1], sealed, AEAD_NONCE_BYTES) != AEAD_NONCE_BYTES)
            abort();
        memcpy(nonces[i], sealed, AEAD_NONCE_BYTES);
    }
    if (child == 0)
        _exit(0);
    for (int i = SEALS; i < 2 * SEALS; i++)
        assert_int_equal(read(ends[0], nonces[i], AEAD_NONCE_BYTES), AEAD_NONCE_BYTES);
    assert_int_equal(waitpid(child, NULL, 0), child);
    for (int a = 0; a < 2 * SEALS; a++)
        for (int b = 0; b < a; b++)
            assert_true(memcmp(nonces[a], nonces[b], AEAD_NONCE_BYTES) != 0);
    close(ends[0]);
    close(ends[1]);
    aead_key_destroy(key);
}

/* AES-SIV -------------------------------------------------------------------------------------- */

#define SIV_KEY                                                                                                             \
    "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f06f6e6d6c6b6a69686766656463626160"                                                      \
    "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f"

/* RFC 5297 A.1 with the key widened to 512 bits, as in the Miscreant project's vectors (RFC 5297 itself has
 * 256-bit keys alone). */
static void siv_gives_the_published_result(void **state)
{
    (void)state;
    struct siv_key *key;
    assert_code_ok(siv_key_create(vector_of(SIV_KEY).bytes, &key, &why), why);
    struct vector associated = vector_of("101112131415161718191a1b1c1d1e1f2021222324252627");
    struct vector plain = vector_of("112233445566778899aabbccddee");
    uint8_t sealed[64], opened[64];
    for (int round = 0; round < 3; round++) {
        struct siv_message message = {associated.bytes, associated.count, plain.bytes, plain.count};
        assert_code_ok(siv_seal(key, &message, sealed, &why), why);
        assert_bytes_are(sealed, "f125274c598065cfc26b0e71575029088b035217e380cac8919ee800c126");
        message.bytes = sealed;
        message.count = plain.count + SIV_OVERHEAD;
        assert_code_ok(siv_open(key, &message, opened, &why), why);
        assert_memory_equal(opened, plain.bytes, plain.count);
    }
    siv_key_destroy(key);
}

static void a_name_is_sealed_alike_in_one_folder_and_differently_in_two(void **state)
{
    (void)state;
    struct siv_key *key;
    assert_code_ok(siv_key_create(vector_of(SIV_KEY).bytes, &key, &why), why);
    uint8_t one[24], again[24], other[24], opened[8], nothing[8] = {0};
    assert_code_ok(siv_seal(key, &(struct siv_message){"folder 1", 8, "cell.png", 8}, one, &why), why);
    assert_code_ok(siv_seal(key, &(struct siv_message){"folder 1", 8, "cell.png", 8}, again, &why), why);
    assert_code_ok(siv_seal(key, &(struct siv_message){"folder 2", 8, "cell.png", 8}, other, &why), why);
    assert_memory_equal(one, again, sizeof one);
    assert_memory_not_equal(one, other, sizeof one);
    const struct siv_message message = {"folder 1", 8, one, sizeof one};
    for (size_t at = 0; at < sizeof one; at++) {
        one[at] ^= 1;
        assert_int_equal(siv_open(key, &message, opened, &why), CODE_CORRUPT);
        assert_memory_equal(opened, nothing, sizeof opened);
        one[at] ^= 1;
    }
    for (size_t count = 0; count < sizeof one; count++)
        assert_int_equal(siv_open(key, &(struct siv_message){"folder 1", 8, one, count}, opened, &why), CODE_CORRUPT);
    assert_int_equal(siv_open(key, &(struct siv_message){"folder 1", 8, other, sizeof other}, opened, &why), CODE_CORRUPT);
    siv_key_destroy(key);
}

/* Derivation ----------------------------------------------------------------------------------- */

/* RFC 5869, cases 1 and 3. */
static void hkdf_gives_the_published_results(void **state)
{
    (void)state;
    uint8_t out[42];
    struct vector secret = vector_of("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
    struct vector salt = vector_of("000102030405060708090a0b0c"), info = vector_of("f0f1f2f3f4f5f6f7f8f9");
    struct kdf_input input = {secret.bytes, secret.count, salt.bytes, salt.count, info.bytes, info.count};
    assert_code_ok(kdf_hkdf(&input, out, sizeof out, &why), why);
    assert_bytes_are(out, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    input = (struct kdf_input){.secret = secret.bytes, .secret_count = secret.count};
    assert_code_ok(kdf_hkdf(&input, out, sizeof out, &why), why);
    assert_bytes_are(out, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

static void two_spaces_with_one_key_share_no_working_key(void **state)
{
    (void)state;
    uint8_t *space_key;
    assert_code_ok(space_keys_draw(&space_key, &why), why);
    struct space_keys keys[2];
    for (uint8_t i = 0; i < 2; i++)
        assert_code_ok(space_keys_derive(space_key, &(struct space_id){{i}}, &keys[i], &why), why);
    uint8_t sealed[4 + AEAD_OVERHEAD], opened[4], names[2][20];
    assert_code_ok(aead_seal(keys[0].contents, &(struct aead_message){NULL, 0, "data", 4}, sealed, &why), why);
    const struct aead_message message = {NULL, 0, sealed, sizeof sealed};
    assert_code_ok(aead_open(keys[0].contents, &message, opened, &why), why);
    assert_int_equal(aead_open(keys[0].xattrs, &message, opened, &why), CODE_CORRUPT);
    assert_int_equal(aead_open(keys[1].contents, &message, opened, &why), CODE_CORRUPT);
    for (int i = 0; i < 2; i++)
        assert_code_ok(siv_seal(keys[i].names, &(struct siv_message){"1", 1, "name", 4}, names[i], &why), why);
    assert_memory_not_equal(names[0], names[1], sizeof names[0]);
    space_keys_clear(&keys[0]);
    space_keys_clear(&keys[1]);
    secret_free(space_key);
}

/* Secrets -------------------------------------------------------------------------------------- */

static void secrets_do_not_overlap_and_come_back_as_zeros(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    uint8_t *secrets[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        size_t count = 1 + i * 37 % 500;
        secrets[i] = secret_allocate(count);
        assert_non_null(secrets[i]);
        for (size_t at = 0; at < count; at++)
            assert_int_equal(secrets[i][at], 0);
        memset(secrets[i], (int)i, count);
    }
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t at = 0; at < 1 + i * 37 % 500; at++)
            assert_int_equal(secrets[i][at], (uint8_t)i);
        secret_free(secrets[i]);
    }
    uint8_t *whole = secret_allocate(SECRET_BYTES_MAX);
    assert_non_null(whole);
    for (size_t at = 0; at < SECRET_BYTES_MAX; at++)
        assert_int_equal(whole[at], 0);
    secret_free(whole);
}

/* The kernel's flags of the mapping that holds the secret: "lo" locked, "dd" not in dumps. */
static void read_mapping_flags(const void *secret, char flags[512])
{
    char line[512];
    bool inside = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    assert_non_null(maps);
    *flags = 0;
    while (fgets(line, sizeof line, maps) && !(inside && strncmp(line, "VmFlags:", 8) == 0)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            inside = (uintptr_t)secret >= start && (uintptr_t)secret < end;
    }
    if (inside)
        snprintf(flags, 512, "%s", line);
    fclose(maps);
}

static void secrets_are_locked_in_memory_and_left_out_of_core_dumps(void **state)
{
    (void)state;
    void *probe = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mlock(probe, 4096) != 0)
        skip(); /* no memory may be locked here */
    char flags[512];
    read_mapping_flags(probe, flags);
    if (!strstr(flags, " lo"))
        skip(); /* the kernel shows no flags, or the sanitizer keeps mlock from working */
    void *secret = secret_allocate(32);
    read_mapping_flags(secret, flags);
    assert_non_null(strstr(flags, " lo"));
    assert_non_null(strstr(flags, " dd"));
    secret_free(secret);
    munmap(probe, 4096);
}

static void hexadecimal_text_is_read_strictly(void **state)
{
    (void)state;
    char text[HEX_TEXT_BYTES(3)];
    uint8_t bytes[3];
    hex_encode("\x00\x9a\xff", 3, text);
    assert_string_equal(text, "009aff");
    assert_true(hex_decode("009aff", 6, bytes, 3));
    assert_memory_equal(bytes, "\x00\x9a\xff", 3);
    for (int c = 0; c < 256; c++) {
        char digit = (char)c, pair[2] = {'0', digit};
        bool valid = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        assert_int_equal(hex_decode(pair, 2, bytes, 1), valid);
    }
    assert_false(hex_decode("009af", 5, bytes, 3));
    assert_false(hex_decode("009aff0", 7, bytes, 3));
}

/* Threads -------------------------------------------------------------------------------------- */

struct shared_keys {
    struct aead_key *contents;
    struct siv_key *names;
};

static void *use_every_kind_of_key(void *shared)
{
    const struct shared_keys *keys = shared;
    uint8_t sealed[100 + AEAD_OVERHEAD], plain[100] = {7}, opened[100], name[20];
    for (int round = 0; round < 300; round++) {
        const struct aead_message seal = {"p", 1, plain, sizeof plain}, open = {"p", 1, sealed, sizeof sealed};
        if (aead_seal(keys->contents, &seal, sealed, NULL) != CODE_OK ||
            aead_open(keys->contents, &open, opened, NULL) != CODE_OK || memcmp(opened, plain, sizeof plain) != 0 ||
            siv_seal(keys->names, &(struct siv_message){"1", 1, "name", 4}, name, NULL) != CODE_OK ||
            siv_open(keys->names, &(struct siv_message){"1", 1, name, sizeof name}, opened, NULL) != CODE_OK)
            return shared;
    }
    return NULL;
}

static void threads_share_keys(void **state)
{
    (void)state;
    struct shared_keys keys = {.contents = some_aead_key(5)};
    assert_code_ok(siv_key_create(vector_of(SIV_KEY).bytes, &keys.names, &why), why);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_every_kind_of_key, &keys), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    aead_key_destroy(keys.contents);
    siv_key_destroy(keys.names);
}

/* NIST SP 800-38B, appendix D.3. */
static void cmac_gives_the_published_results(void **state)
{
    (void)state;
    static const struct {
        size_t count; /* of the message's bytes */
        const char *code;
    } published[] = {{0, "028962f61b7bf89efc6b551f4667d983"},
                     {16, "28a7023f452e8f82bd4bf28d8c37c35c"},
                     {40, "aaf3d8f1de5640c232f5b169b9c911e6"},
                     {64, "e1992190549f6ed5696a2c056c315410"}};
    struct vector key_bytes = vector_of("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    struct vector message = vector_of("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                                      "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    struct cmac_key *key;
    assert_code_ok(cmac_key_create(key_bytes.bytes, &key, &why), why);
    for (int round = 0; round < 2; round++) /* the key goes on from the message before */
        for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
            struct vector expected = vector_of(published[i].code);
            uint8_t code[CMAC_BYTES];
            const struct cmac_part whole = {message.bytes, published[i].count};
            assert_code_ok(cmac_compute(key, &whole, 1, code, &why), why);
            assert_memory_equal(code, expected.bytes, CMAC_BYTES);
            size_t cut = published[i].count / 3;
            const struct cmac_part parts[] = {{message.bytes, cut}, {message.bytes + cut, published[i].count - cut}};
            assert_code_ok(cmac_compute(key, parts, 2, code, &why), why);
            assert_memory_equal(code, expected.bytes, CMAC_BYTES);
        }
    cmac_key_destroy(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cmac_gives_the_published_results),
        cmocka_unit_test(gcm_gives_the_published_results),
        cmocka_unit_test(every_changed_byte_of_a_sealed_message_is_noticed_and_nothing_is_given_out),
        cmocka_unit_test(keys_that_take_turns_in_one_thread_are_not_mixed_up),
        cmocka_unit_test(no_nonce_comes_twice_not_even_across_a_fork),
        cmocka_unit_test(siv_gives_the_published_result),
        cmocka_unit_test(a_name_is_sealed_alike_in_one_folder_and_differently_in_two),
        cmocka_unit_test(hkdf_gives_the_published_results),
        cmocka_unit_test(two_spaces_with_one_key_share_no_working_key),
        cmocka_unit_test(secrets_do_not_overlap_and_come_back_as_zeros),
        cmocka_unit_test(secrets_are_locked_in_memory_and_left_out_of_core_dumps),
        cmocka_unit_test(hexadecimal_text_is_read_strictly),
        cmocka_unit_test(threads_share_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
