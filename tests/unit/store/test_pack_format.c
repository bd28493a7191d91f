/* The bytes of packs: the worked example of FORMAT.md, and heads that lie. */
#include "testing.h"

#include <string.h>

#include "chunk_store.h"
#include "hex.h"
#include "pack_format.h"
#include "pack_walk.h"

static struct failure why;

static void a_head_that_lies_about_its_length_is_no_record(void **state)
{
    (void)state;
    const struct pack_place place = {1, 64};
    uint8_t record[PACK_RECORD_BYTES];
    pack_format_write_record(&place, "hello", 5, record);
    assert_int_equal(pack_format_record_length(record), 5);
    assert_true(pack_format_check_record(&place, record, "hello", 5));
    assert_false(pack_format_check_record(&place, record, "hello", 4));
    assert_false(pack_format_check_record(&place, record, "hallo", 5));
    assert_false(pack_format_check_record(&(struct pack_place){1, 65}, record, "hello", 5));
    assert_false(pack_format_check_record(&(struct pack_place){2, 64}, record, "hello", 5));
    record[6] = 0x80; /* 8 MiB and 5 */
    assert_int_equal(pack_format_record_length(record), 0);
}

/* A pack in memory. */
struct image {
    const uint8_t *bytes;
    size_t count;
};

static enum code read_image(void *context, uint64_t offset, void *bytes, size_t count, struct failure *failure)
{
    (void)failure;
    const struct image *image = context;
    assert_true(offset <= image->count && count <= image->count - offset);
    memcpy(bytes, image->bytes + offset, count);
    return CODE_OK;
}

static bool count_whole(void *context, const struct chunk_address *address, enum code code)
{
    (void)address;
    *(size_t *)context += code == CODE_OK;
    return true;
}

static size_t whole_records(const uint8_t *bytes, size_t count)
{
    struct image image = {bytes, count};
    const struct pack_source source = {.number = 1, .bytes = count, .context = &image, .read = read_image};
    size_t whole = 0;
    assert_code_ok(pack_walk(&source, count_whole, &whole, &why), why);
    return whole;
}

/* Somebody may store a pack as a file: its records inside a chunk are not records of the pack that holds it.
 */
static void a_pack_inside_a_chunk_is_not_taken_for_records(void **state)
{
    (void)state;
    static uint8_t pack[1024], inner[200];
    pack_format_write_header(&(struct pack_header){.number = 1}, inner);
    pack_format_write_record(&(struct pack_place){1, 64}, "hello", 5, inner + 64);
    memcpy(inner + 64 + PACK_RECORD_BYTES, "hello", 5);
    pack_format_write_header(&(struct pack_header){.number = 1}, pack);
    pack_format_write_record(&(struct pack_place){1, 64}, inner, sizeof inner, pack + 64);
    memcpy(pack + 64 + PACK_RECORD_BYTES, inner, sizeof inner);
    size_t count = 64 + PACK_RECORD_BYTES + sizeof inner;
    assert_int_equal(whole_records(pack, count), 1);
    pack[64] ^= 1; /* the outer head is gone: the inner one must not come in its place */
    assert_int_equal(whole_records(pack, count), 0);
}

static void a_pack_full_of_heads_is_walked_to_its_end(void **state)
{
    (void)state;
    static uint8_t pack[65536];
    pack_format_write_header(&(struct pack_header){.number = 1}, pack);
    for (size_t at = 64; at + PACK_RECORD_BYTES < sizeof pack; at += 4)
        memcpy(pack + at, PACK_RECORD_MAGIC, 4);
    assert_int_equal(whole_records(pack, sizeof pack), 0);
    for (size_t at = 64; at + PACK_RECORD_BYTES < sizeof pack; at += PACK_RECORD_BYTES) {
        memset(pack + at, 0, PACK_RECORD_BYTES);
        memcpy(pack + at, PACK_RECORD_MAGIC, 4);
        pack[at + 5] = 0x40; /* 16 KiB */
    }
    assert_int_equal(whole_records(pack, sizeof pack), 0);
    for (size_t count = 0; count < 200; count++)
        whole_records(pack, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_that_lies_about_its_length_is_no_record),
        cmocka_unit_test(a_pack_inside_a_chunk_is_not_taken_for_records),
        cmocka_unit_test(a_pack_full_of_heads_is_walked_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
