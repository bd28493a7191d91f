/* Holds FORMAT.md's worked examples against the program: a format that is described wrongly is a broken
 * promise. */
#include "test_folder.h"

#include <stdio.h>
#include <unistd.h>

#include "aead.h"
#include "cmac.h"
#include "chunk_store.h"
#include "chunk_store_packs.h"
#include "hex.h"
#include "kdf.h"
#include "keywrap.h"
#include "member_key_file.h"
#include "mirror_file.h"
#include "siv.h"
#include "store_folder.h"

#define EXAMPLE_MAX 1024

static struct failure why;
static struct buffer document;

struct example {
    uint8_t bytes[EXAMPLE_MAX];
    size_t count;
};

/* The lines behind ```KIND NAME and before ```, as they are. */
static void find_lines(const char *kind, const char *name, const char **start, const char **end)
{
    char fence[64];
    snprintf(fence, sizeof fence, "\n```%s %s\n", kind, name);
    const char *found = strstr(buffer_text(&document), fence);
    if (!found)
        fail_msg("FORMAT.md has no example %s", name);
    *start = found + strlen(fence);
    *end = strstr(*start, "\n```");
    assert_non_null(*end);
    ++*end;
}

/* Hexadecimal digits, with blanks between and comments behind ';'. */
static struct example hex_example(const char *name)
{
    const char *at, *end;
    struct example example = {.count = 0};
    find_lines("hex", name, &at, &end);
    while (at < end) {
        if (*at == ';')
            at += strcspn(at, "\n");
        else if (*at == ' ' || *at == '\n')
            at++;
        else {
            assert_true(example.count < EXAMPLE_MAX);
            assert_true(hex_decode(at, 2, &example.bytes[example.count++], 1));
            at += 2;
        }
    }
    return example;
}

static struct example text_example(const char *name)
{
    const char *start, *end;
    struct example example;
    find_lines("text", name, &start, &end);
    example.count = (size_t)(end - start);
    assert_true(example.count <= EXAMPLE_MAX);
    memcpy(example.bytes, start, example.count);
    return example;
}

#define assert_example(name, bytes_, count_)                                                                                \
    do {                                                                                                                    \
        struct example example_ = hex_example(name);                                                                        \
        assert_int_equal(example_.count, count_);                                                                           \
        assert_memory_equal(example_.bytes, bytes_, count_);                                                                \
    } while (0)

static struct space_id example_space(void)
{
    struct space_id space;
    memcpy(space.bytes, hex_example("space-id").bytes, IDENTITY_BYTES);
    return space;
}

static void assert_derived(const char *name, const char *label, size_t count)
{
    const struct example key = hex_example("space-key"), salt = hex_example("space-id");
    const struct kdf_input input = {key.bytes, key.count, salt.bytes, salt.count, label, strlen(label)};
    uint8_t derived[64];
    assert_code_ok(kdf_hkdf(&input, derived, count, &why), why);
    assert_example(name, derived, count);
}

static void the_derived_keys_are_those_of_the_document(void **state)
{
    (void)state;
    assert_derived("contents-key", "cytofs 1 contents", 32);
    assert_derived("names-key", "cytofs 1 names", 64);
    assert_derived("xattrs-key", "cytofs 1 xattrs", 32);
    assert_derived("catalog-key", "cytofs 2 catalog", 32);
    assert_derived("prints-key", "cytofs 2 prints", 32);
}

static void the_sealed_things_are_those_of_the_document(void **state)
{
    (void)state;
    struct space_id space = example_space();
    struct space_keys keys;
    assert_code_ok(space_keys_derive(hex_example("space-key").bytes, &space, &keys, &why), why);
    const struct example contents = hex_example("sealed-contents");
    uint8_t sealed[64], plain[64];
    const struct aead_message seal = {"place", 5, "cells\n", 6};
    assert_code_ok(aead_seal_with_nonce(keys.contents, contents.bytes, &seal, sealed, &why), why);
    assert_example("sealed-contents", sealed, 6 + AEAD_OVERHEAD);
    const struct aead_message open = {"place", 5, contents.bytes, contents.count};
    assert_code_ok(aead_open(keys.contents, &open, plain, &why), why);
    assert_memory_equal(plain, "cells\n", 6);
    assert_code_ok(siv_seal(keys.names, &(struct siv_message){"folder", 6, "cell.png", 8}, sealed, &why), why);
    assert_example("sealed-name", sealed, 8 + SIV_OVERHEAD);
    const struct cmac_part name[] = {{"N\x10\0\0\0\0\0\0\0", 9}, {sealed, 8 + SIV_OVERHEAD}};
    assert_code_ok(cmac_compute(keys.catalog, name, 2, plain, &why), why);
    assert_example("name-weight", plain, CMAC_BYTES);
    const struct cmac_part chunk[] = {{"C\0\0\0\0\0\0\0\0\1\0\0\0\x22\0\0\0", 17}, {contents.bytes, AEAD_NONCE_BYTES}};
    assert_code_ok(cmac_compute(keys.catalog, chunk, 2, plain, &why), why);
    assert_example("chunk-weight", plain, CMAC_BYTES);
    space_keys_clear(&keys);
}

static void the_pack_is_that_of_the_document(void **state)
{
    const char *folder = *state;
    struct chunk_store_packs_options options = {0};
    assert_true(hex_decode("00112233445566778899aabbccddeeff", 32, options.store.bytes, IDENTITY_BYTES));
    struct chunk_store *store;
    assert_code_ok(chunk_store_packs_open(folder, &options, &store, &why), why);
    const struct example chunk = hex_example("sealed-contents");
    struct chunk_address address;
    assert_code_ok(chunk_store_put(store, chunk.bytes, chunk.count, &address, &why), why);
    assert_int_equal(address.offset, 64);
    chunk_store_destroy(store);
    SCOPE_BUFFER path = {0}, bytes = {0};
    buffer_printf(&path, "%s/00000001.pack", folder);
    assert_code_ok(file_read(buffer_text(&path), EXAMPLE_MAX, &bytes, &why), why);
    assert_example("pack", bytes.data, bytes.length);
}

static void the_format_file_is_that_of_the_document(void **state)
{
    const char *folder = *state;
    struct store_folder *store;
    SCOPE_BUFFER path = {0};
    assert_code_ok(store_folder_create(folder, &store, &why), why);
    store_folder_close(store);
    buffer_printf(&path, "%s/FORMAT", folder);
    const struct example format = text_example("FORMAT");
    assert_code_ok(file_write(buffer_text(&path), format.bytes, format.count, &why), why);
    assert_code_ok(store_folder_open(folder, true, &store, &why), why);
    char digits[HEX_TEXT_BYTES(IDENTITY_BYTES)];
    hex_encode(store_folder_id(store)->bytes, IDENTITY_BYTES, digits);
    assert_string_equal(digits, "00112233445566778899aabbccddeeff");
    store_folder_close(store);
}

static void the_list_of_mirrors_is_that_of_the_document(void **state)
{
    (void)state;
    const struct example text = text_example("mirrors");
    struct mirror_file file;
    assert_code_ok(mirror_file_parse((const char *)text.bytes, text.count, &file, &why), why);
    assert_int_equal(file.epoch, 2);
    assert_int_equal(file.past_count, 1);
    assert_int_equal(file.member_count, 2);
    assert_true(file.members[0].current && !file.members[1].current && file.closed && !file.filling);
    assert_string_equal(file.members[1].path, "/mnt/second/lab");
    mirror_file_free(&file);
}

static void the_key_file_opens_the_wrapped_key_of_the_document(void **state)
{
    (void)state;
    const struct example text = text_example("key-file"), wrapped = hex_example("wrapped-key");
    struct member_key_file file;
    struct member_key *bob;
    assert_code_ok(member_key_file_parse(text.bytes, text.count, &file, &why), why);
    assert_code_ok(member_key_file_unlock(&file, "example", &bob, &why), why);

    struct member_public alice = {.id = {{0xaa}}};
    assert_true(
        hex_decode("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", 64, alice.key, MEMBER_KEY_BYTES));
    struct keywrap_place place = {.space = example_space(), .generation = 1};
    assert_true(hex_decode("00112233445566778899aabbccddeeff", 32, place.store.bytes, IDENTITY_BYTES));
    uint8_t key[SPACE_KEY_BYTES];
    assert_int_equal(wrapped.count, KEYWRAP_BYTES);
    assert_code_ok(keywrap_open(&place, bob, &alice, wrapped.bytes, key, &why), why);
    assert_example("space-key", key, SPACE_KEY_BYTES);
    member_key_destroy(bob);
}

int main(void)
{
    const char *path = getenv("CYTOFS_FORMAT_DOCUMENT");
    if (!path || file_read(path, 1 << 20, &document, &why) != CODE_OK) {
        fprintf(stderr, "$CYTOFS_FORMAT_DOCUMENT must name FORMAT.md\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_derived_keys_are_those_of_the_document),
        cmocka_unit_test(the_sealed_things_are_those_of_the_document),
        in_folder(the_pack_is_that_of_the_document),
        in_folder(the_format_file_is_that_of_the_document),
        cmocka_unit_test(the_list_of_mirrors_is_that_of_the_document),
        cmocka_unit_test(the_key_file_opens_the_wrapped_key_of_the_document),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buffer_free(&document);
    return failed;
}
