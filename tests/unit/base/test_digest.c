/* SHA-256 against the standard's own examples (FIPS 180-4, and NIST's example values). */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "digest.h"

static void check(const void *bytes, size_t count, const char *wanted)
{
    struct digest digest;
    uint8_t result[DIGEST_BYTES];
    char text[DIGEST_TEXT_BYTES];
    digest_begin(&digest);
    digest_add(&digest, bytes, count);
    digest_end(&digest, result);
    digest_to_text(result, text);
    assert_string_equal(text, wanted);
}

static void the_standards_examples_come_out(void **state)
{
    (void)state;
    check("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    check(million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

static void it_does_not_matter_in_which_pieces_bytes_come(void **state)
{
    (void)state;
    uint8_t bytes[300], whole[DIGEST_BYTES], pieces[DIGEST_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t length = 0; length <= sizeof bytes; length++) {
        struct digest digest;
        digest_begin(&digest);
        digest_add(&digest, bytes, length);
        digest_end(&digest, whole);
        digest_begin(&digest);
        for (size_t at = 0, step = 1; at < length; at += step, step = step * 2 % 67 + 1)
            digest_add(&digest, bytes + at, step < length - at ? step : length - at);
        digest_end(&digest, pieces);
        assert_memory_equal(whole, pieces, DIGEST_BYTES);
    }
}

static void texts_are_kept_apart(void **state)
{
    (void)state;
    struct digest a, b;
    uint8_t x[DIGEST_BYTES], y[DIGEST_BYTES];
    digest_begin(&a);
    digest_begin(&b);
    digest_add_text(&a, "ab");
    digest_add_text(&a, "c");
    digest_add_text(&b, "a");
    digest_add_text(&b, "bc");
    digest_end(&a, x);
    digest_end(&b, y);
    assert_memory_not_equal(x, y, DIGEST_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_standards_examples_come_out),
        cmocka_unit_test(it_does_not_matter_in_which_pieces_bytes_come),
        cmocka_unit_test(texts_are_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
