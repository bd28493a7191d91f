/* The text of a point: what was written is read, FORMAT.md's example is what this program reads, and nothing else is taken.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup_point.h"
#include "file.h"
#include "random.h"

static struct failure why;

static void make_point(struct backup_point *point)
{
    *point = (struct backup_point){.number = 3, .made_ms = 1795357800000, .store = {{1, 2, 3}}, .catalog_bytes = 4096};
    memset(point->catalog_digest, 0xad, sizeof point->catalog_digest);
    for (uint32_t i = 1; i <= 20; i++)
        assert_code_ok(backup_point_add_pack(point, &(struct backup_pack){i * 3, i % 2, 1000 * i, 500 + i}, &why), why);
    assert_code_ok(backup_point_add_damage(point, &(struct backup_damage){6, 600, 40, 2}, &why), why);
}

static void a_point_comes_back_as_it_was_written(void **state)
{
    (void)state;
    struct backup_point point, again;
    SCOPE_BUFFER text = {0};
    SCOPE_BUFFER second = {0};
    make_point(&point);
    assert_code_ok(backup_point_write(&point, &text, &why), why);
    assert_code_ok(backup_point_read(text.data, text.length, &again, &why), why);
    assert_code_ok(backup_point_write(&again, &second, &why), why);
    assert_string_equal(text.data, second.data);
    assert_int_equal(again.pack_count, 20);
    assert_int_equal(backup_point_find_pack(&again, 12)->bytes, 4000);
    assert_null(backup_point_find_pack(&again, 13));
    assert_int_equal(again.damages[0].chunks, 2);
    backup_point_free(&point);
    backup_point_free(&again);
}

static void the_document_s_example_is_read(void **state)
{
    (void)state;
    const char *path = getenv("CYTOFS_FORMAT_DOCUMENT");
    if (!path)
        skip();
    SCOPE_BUFFER document = {0};
    assert_code_ok(file_read(path, 1 << 20, &document, &why), why);
    static const char fence[] = "```text point\n";
    char *text = strstr(document.data, fence);
    assert_non_null(text);
    text += sizeof fence - 1;
    char *end = strstr(text, "```");
    *end = 0;
    struct backup_point point;
    assert_code_ok(backup_point_read(text, (size_t)(end - text), &point, &why), why);
    assert_int_equal(point.number, 3);
    assert_int_equal(point.pack_count, 2);
    assert_int_equal(point.packs[1].variant, 1);
    assert_int_equal(point.packs[1].sound, 1000);
    assert_int_equal(point.damages[0].bytes, 131096);
    backup_point_free(&point);
}

static void a_text_that_was_changed_or_cut_is_refused(void **state)
{
    (void)state;
    struct backup_point point, again;
    SCOPE_BUFFER text = {0};
    make_point(&point);
    assert_code_ok(backup_point_write(&point, &text, &why), why);
    struct random random = {7};
    for (int i = 0; i < 2000; i++) {
        char *changed = strdup(text.data);
        size_t count = text.length;
        if (i % 2)
            changed[random_below(&random, (uint32_t)count)] ^= (char)(1 << random_below(&random, 7));
        else
            changed[count = random_below(&random, (uint32_t)count)] = 0;
        assert_int_not_equal(backup_point_read(changed, count, &again, &why), CODE_OK);
        backup_point_free(&again);
        free(changed);
    }
    backup_point_free(&point);
}

static void a_newer_format_is_refused_in_words(void **state)
{
    (void)state;
    static const char text[] = "cytofs backup point 2\nwhatever\n";
    struct backup_point point;
    assert_int_equal(backup_point_read(text, sizeof text - 1, &point, &why), CODE_NEWER_FORMAT);
    assert_non_null(strstr(why.text, "update cytofs"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_point_comes_back_as_it_was_written),
        cmocka_unit_test(the_document_s_example_is_read),
        cmocka_unit_test(a_text_that_was_changed_or_cut_is_refused),
        cmocka_unit_test(a_newer_format_is_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
