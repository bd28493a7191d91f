/* Privacy at import: what names a patient is gone, pixels are the same, everything is told. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataset_fixture.h"
#include "file.h"
#include "image.h"
#include "importing.h"
#include "scope.h"
#include "tiny_images.h"

static bool holds_secret(const struct buffer *bytes)
{
    return memmem(bytes->data, bytes->length, TINY_SECRET, strlen(TINY_SECRET)) != NULL;
}

static void check_same_pixels(const struct tiny_image *tiny, const struct buffer *a, const struct buffer *b)
{
    SCOPE_IMAGE before = {0}, after = {0};
    struct image_labels x, y;
    struct failure why;
    if (tiny->bits == 0) {
        assert_code_ok(image_decode_labels(a->data, a->length, tiny->name, &x, &why), why);
        assert_code_ok(image_decode_labels(b->data, b->length, tiny->name, &y, &why), why);
        assert_memory_equal(x.labels, y.labels, sizeof *x.labels * (size_t)x.width * (size_t)x.height);
        image_labels_free(&x);
        image_labels_free(&y);
        return;
    }
    assert_code_ok(image_decode(a->data, a->length, tiny->name, &before, &why), why);
    assert_code_ok(image_decode(b->data, b->length, tiny->name, &after, &why), why);
    assert_int_equal(before.channels, after.channels);
    assert_int_equal(before.bits, after.bits);
    assert_memory_equal(before.data, after.data,
                        (size_t)before.width * (size_t)before.height * (size_t)before.channels * (size_t)before.bits / 8);
    assert_float_equal(before.pixel_um, after.pixel_um, 1e-9);
}

static void the_patients_name_is_gone_and_the_pixels_are_the_same(void **state)
{
    (void)state;
    static const char *const told[] = {[TINY_PNG] = "tEXt", [TINY_JPEG] = "APP1 (EXIF)", [TINY_TIFF] = "ImageDescription"};
    for (size_t i = 0;; i++) {
        SCOPE_BUFFER planted = {0};
        SCOPE_BUFFER cleaned = {0};
        SCOPE_BUFFER removed = {0};
        struct failure why;
        const struct tiny_image *tiny = tiny_images_make(i, true, &planted);
        if (!tiny)
            break;
        assert_true(holds_secret(&planted));
        assert_code_ok(importing_clean(planted.data, planted.length, tiny->name, &cleaned, &removed, &why), why);
        if (holds_secret(&cleaned))
            fail_msg("%s: the name is still there", tiny->name);
        check_same_pixels(tiny, &planted, &cleaned);
        if (!strstr(buffer_text(&removed), told[tiny->format]))
            fail_msg("%s: %s is not among what was removed: %s", tiny->name, told[tiny->format], buffer_text(&removed));
    }
}

static void a_clean_file_stays_as_it_is(void **state)
{
    (void)state;
    for (size_t i = 0;; i++) {
        SCOPE_BUFFER plain = {0};
        SCOPE_BUFFER once = {0};
        SCOPE_BUFFER twice = {0};
        SCOPE_BUFFER removed = {0};
        SCOPE_BUFFER nothing = {0};
        struct failure why;
        const struct tiny_image *tiny = tiny_images_make(i, false, &plain);
        if (!tiny)
            break;
        assert_code_ok(importing_clean(plain.data, plain.length, tiny->name, &once, &removed, &why), why);
        assert_code_ok(importing_clean(once.data, once.length, tiny->name, &twice, &nothing, &why), why);
        assert_string_equal(buffer_text(&nothing), "");
        assert_int_equal(once.length, twice.length);
        assert_memory_equal(once.data, twice.data, once.length);
    }
}

static void what_hides_behind_the_end_or_between_blocks_goes_too(void **state)
{
    (void)state;
    for (size_t i = 0;; i++) {
        SCOPE_BUFFER plain = {0};
        SCOPE_BUFFER cleaned = {0};
        SCOPE_BUFFER removed = {0};
        struct failure why;
        const struct tiny_image *tiny = tiny_images_make(i, false, &plain);
        if (!tiny)
            break;
        buffer_append_text(&plain, "hidden " TINY_SECRET);
        assert_code_ok(importing_clean(plain.data, plain.length, tiny->name, &cleaned, &removed, &why), why);
        assert_false(holds_secret(&cleaned));
        assert_true(removed.length > 0);
    }
}

static void a_file_cut_short_is_refused_or_cleaned(void **state)
{
    (void)state;
    for (size_t i = 0; i < 30; i += 3) {
        SCOPE_BUFFER planted = {0};
        if (!tiny_images_make(i, true, &planted))
            break;
        for (size_t count = 0; count < planted.length; count++) {
            SCOPE_BUFFER cleaned = {0};
            SCOPE_BUFFER removed = {0};
            SCOPE_FREE char *exact = malloc(count ? count : 1);
            memcpy(exact, planted.data, count);
            if (importing_clean(exact, count, "cut", &cleaned, &removed, NULL) == CODE_OK)
                assert_false(holds_secret(&cleaned));
        }
    }
}

/* ImageJ tells the pixel size in its description: 4 pixels per micron. */
static void a_pixel_size_in_a_removed_description_is_kept(void **state)
{
    (void)state;
    static const uint8_t tiff[] = {
        'I',  'I', 42,   0,   8,   0,   0,    0,   11,  0,   0x00, 1,   3,    0,   1,    0,   0,   0,   2,    0,
        0,    0,   0x01, 1,   3,   0,   1,    0,   0,   0,   1,    0,   0,    0,   0x02, 1,   3,   0,   1,    0,
        0,    0,   8,    0,   0,   0,   0x03, 1,   3,   0,   1,    0,   0,    0,   1,    0,   0,   0,   0x06, 1,
        3,    0,   1,    0,   0,   0,   1,    0,   0,   0,   0x0E, 1,   2,    0,   30,   0,   0,   0,   152,  0,
        0,    0,   0x11, 1,   4,   0,   1,    0,   0,   0,   150,  0,   0,    0,   0x17, 1,   4,   0,   1,    0,
        0,    0,   2,    0,   0,   0,   0x1A, 1,   5,   0,   1,    0,   0,    0,   184,  0,   0,   0,   0x1B, 1,
        5,    0,   1,    0,   0,   0,   184,  0,   0,   0,   0x28, 1,   3,    0,   1,    0,   0,   0,   1,    0,
        0,    0,   0,    0,   0,   0,   0,    0,   0,   0,   9,    8,   'I',  'm', 'a',  'g', 'e', 'J', '=',  '1',
        '\n', 'u', 'n',  'i', 't', '=', 'm',  'i', 'c', 'r', 'o',  'n', '\n', 'P', 'A',  'T', 'I', 'E', 'N',  'T',
        '\n', 0,   0,    0,   4,   0,   0,    0,   1,   0,   0,    0};
    SCOPE_IMAGE before = {0}, after = {0};
    SCOPE_BUFFER cleaned = {0};
    SCOPE_BUFFER removed = {0};
    struct failure why;
    assert_code_ok(image_decode(tiff, sizeof tiff, "imagej.tif", &before, &why), why);
    assert_float_equal(before.pixel_um, 0.25, 1e-9);
    assert_code_ok(importing_clean(tiff, sizeof tiff, "imagej.tif", &cleaned, &removed, &why), why);
    assert_false(holds_secret(&cleaned));
    assert_code_ok(image_decode(cleaned.data, cleaned.length, "imagej.tif", &after, &why), why);
    assert_float_equal(after.pixel_um, 0.25, 1e-6);
    assert_memory_equal(after.data, "\x09\x08", 2);
}

static void fill_source(const char *folder)
{
    for (size_t i = 0; i < 12; i += 5) { /* PNG, PNG, JPEG */
        SCOPE_BUFFER bytes = {0};
        tiny_images_make(i, true, &bytes);
        char name[32];
        snprintf(name, sizeof name, "images/i%zu.png", i);
        dataset_fixture_bytes(folder, name, bytes.data, bytes.length);
    }
    dataset_fixture_text(folder, "Annotations/i0.xml", "<annotation></annotation>");
    dataset_fixture_text(folder, "images/broken.png", "no picture");
    dataset_fixture_text(folder, "patients.docx", TINY_SECRET);
    dataset_fixture_text(folder, ".hidden", TINY_SECRET);
}

static void a_folder_is_copied_file_by_file_with_a_report(void **state)
{
    SCOPE_FREE char *source = file_join(*state, "source");
    SCOPE_FREE char *destination = file_join(*state, "new/place");
    struct importing_report report;
    struct failure why;
    fill_source(source);
    struct importing_options options = {0};
    assert_code_ok(importing_copy(source, destination, &options, &report, &why), why);
    assert_int_equal(report.images, 3);
    assert_int_equal(report.images_cleaned, 3);
    assert_int_equal(report.annotations, 1);
    assert_int_equal(report.left_out, 2);
    assert_non_null(strstr(report.details.data, "images/i0.png: removed "));
    assert_non_null(strstr(report.details.data, "images/broken.png: left out"));
    assert_non_null(strstr(report.details.data, "patients.docx: left out"));
    SCOPE_FREE char *image = file_join(destination, "images/i0.png");
    SCOPE_FREE char *annotation = file_join(destination, "Annotations/i0.xml");
    SCOPE_FREE char *hidden = file_join(destination, ".hidden");
    SCOPE_BUFFER bytes = {0};
    assert_code_ok(file_read(image, 1 << 20, &bytes, &why), why);
    assert_false(holds_secret(&bytes));
    assert_true(file_exists(annotation));
    assert_false(file_exists(hidden));
    importing_report_free(&report);
}

static void a_dry_run_reports_and_writes_nothing(void **state)
{
    SCOPE_FREE char *source = file_join(*state, "source");
    SCOPE_FREE char *destination = file_join(*state, "destination");
    struct importing_options options = {.dry_run = true};
    struct importing_report report;
    struct failure why;
    fill_source(source);
    assert_code_ok(importing_copy(source, destination, &options, &report, &why), why);
    assert_int_equal(report.images_cleaned, 3);
    assert_true(report.bytes > 0);
    assert_false(file_exists(destination));
    importing_report_free(&report);
}

static bool stop_at_once(void *context, size_t done, size_t total)
{
    *(size_t *)context = total;
    return done < 1;
}

static void it_can_be_stopped_and_refuses_to_copy_into_itself(void **state)
{
    SCOPE_FREE char *source = file_join(*state, "source");
    SCOPE_FREE char *destination = file_join(*state, "destination");
    SCOPE_FREE char *inside = file_join(source, "images");
    size_t total = 0;
    struct importing_options options = {.progress = stop_at_once, .context = &total};
    struct importing_report report;
    struct failure why;
    fill_source(source);
    assert_int_equal(importing_copy(source, destination, &options, &report, &why), CODE_INTERRUPTED);
    assert_int_equal(total, 6);
    importing_report_free(&report);
    assert_int_equal(importing_copy(source, inside, &options, &report, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "choose another destination"));
    importing_report_free(&report);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, dataset_fixture_make, dataset_fixture_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_patients_name_is_gone_and_the_pixels_are_the_same),
        cmocka_unit_test(a_clean_file_stays_as_it_is),
        cmocka_unit_test(what_hides_behind_the_end_or_between_blocks_goes_too),
        cmocka_unit_test(a_file_cut_short_is_refused_or_cleaned),
        cmocka_unit_test(a_pixel_size_in_a_removed_description_is_kept),
        with_folder(a_folder_is_copied_file_by_file_with_a_report),
        with_folder(a_dry_run_reports_and_writes_nothing),
        with_folder(it_can_be_stopped_and_refuses_to_copy_into_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
