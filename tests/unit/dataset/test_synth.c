/* Synthetic cells: repeatable, exact, and understood by the reader of datasets. */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "dataset.h"
#include "dataset_fixture.h"
#include "digest.h"
#include "file.h"
#include "image.h"
#include "scope.h"
#include "synth.h"

static void write_some(const char *folder, struct synth_request request)
{
    struct failure why;
    assert_code_ok(synth_write(&request, folder, NULL, NULL, &why), why);
}

/* SHA-256 of every file below the folder, names included, as text. */
static void digest_of_folder(const char *folder, char text[DIGEST_TEXT_BYTES])
{
    static const char *const inner[] = {"images", "labels", ""};
    struct digest digest;
    struct failure why;
    uint8_t result[DIGEST_BYTES];
    digest_begin(&digest);
    for (size_t k = 0; k < 3; k++) {
        SCOPE_FREE char *path = file_join(folder, inner[k]);
        struct file_names names;
        assert_code_ok(file_list(path, 1000, &names, &why), why);
        for (size_t i = 0; i < names.count; i++) {
            SCOPE_FREE char *full = file_join(path, names.names[i]);
            SCOPE_BUFFER bytes = {0};
            if (file_is_folder(full))
                continue;
            assert_code_ok(file_read(full, 1 << 28, &bytes, &why), why);
            digest_add_text(&digest, names.names[i]);
            digest_add(&digest, bytes.data, bytes.length);
        }
        file_names_free(&names);
    }
    digest_end(&digest, result);
    digest_to_text(result, text);
}

static void the_same_request_gives_the_same_bytes_on_every_machine(void **state)
{
    /* Written down once; a compiler, an option or a machine that changes one bit shows here. */
    static const struct {
        struct synth_request request;
        const char *digest;
    } known[] = {
        {{SYNTH_FLUO16, 2026, 0, 4, 128, 96}, "cf959987a12bfea5dd2c3320474bef66eb6147a51bf21210124cf21c85633d62"},
        {{SYNTH_SMEAR8, 7, 46, 4, 200, 160}, "5b6cc5d908dabb5b60a3b5b4f7118266c74df98cf027c680cbd9786f8f57943a"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        SCOPE_FREE char *folder = file_join(*state, synth_kind_name(known[i].request.kind));
        char text[DIGEST_TEXT_BYTES];
        write_some(folder, known[i].request);
        digest_of_folder(folder, text);
        assert_string_equal(text, known[i].digest);
    }
}

static void an_image_does_not_depend_on_the_range_it_is_written_in(void **state)
{
    SCOPE_FREE char *whole = file_join(*state, "whole");
    SCOPE_FREE char *part = file_join(*state, "part");
    SCOPE_BUFFER a = {0};
    SCOPE_BUFFER b = {0};
    struct failure why;
    write_some(whole, (struct synth_request){SYNTH_FLUO16, 5, 0, 4, 64, 64});
    write_some(part, (struct synth_request){SYNTH_FLUO16, 5, 3, 1, 64, 64});
    SCOPE_FREE char *from_whole = file_join(whole, "images/fluo16-000003.tif");
    SCOPE_FREE char *from_part = file_join(part, "images/fluo16-000003.tif");
    assert_code_ok(file_read(from_whole, 1 << 20, &a, &why), why);
    assert_code_ok(file_read(from_part, 1 << 20, &b, &why), why);
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.data, b.data, a.length);
}

/* The box of a label in its map, found independently of how the generator finds it. */
static void check_box(const struct dataset *dataset, const struct dataset_image *image, const uint32_t *labels,
                      const struct dataset_object *object)
{
    int x0 = image->width, y0 = image->height, x1 = 0, y1 = 0;
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++)
            if (labels[y * image->width + x] == object->label) {
                x0 = x < x0 ? x : x0;
                y0 = y < y0 ? y : y0;
                x1 = x + 1 > x1 ? x + 1 : x1;
                y1 = y + 1 > y1 ? y + 1 : y1;
            }
    if (object->x0 != (float)x0 || object->y0 != (float)y0 || object->x1 != (float)x1 || object->y1 != (float)y1)
        fail_msg("%s: %s, but its pixels span %d %d %d %d", image->path, dataset_fixture_describe(dataset, object), x0, y0,
                 x1, y1);
}

static void check_images(const struct dataset *dataset)
{
    for (size_t i = 0; i < dataset->image_count; i++) {
        const struct dataset_image *image = &dataset->images[i];
        uint32_t *labels, highest = 0;
        struct failure why;
        assert_code_ok(dataset_read_labels(dataset, image, &labels, &why), why);
        for (int k = 0; k < image->width * image->height; k++)
            highest = labels[k] > highest ? labels[k] : highest;
        assert_int_equal(highest, image->object_count);
        for (size_t k = 0; k < image->object_count; k++)
            check_box(dataset, image, labels, &image->objects[k]);
        free(labels);
    }
}

static void boxes_are_the_extents_of_the_masks(void **state)
{
    SCOPE_FREE char *fluo = file_join(*state, "fluo");
    SCOPE_FREE char *smear = file_join(*state, "smear");
    write_some(fluo, (struct synth_request){SYNTH_FLUO16, 11, 0, 10, 256, 256});
    write_some(smear, (struct synth_request){SYNTH_SMEAR8, 11, 0, 10, 640, 480});
    struct dataset *dataset = dataset_fixture_load(fluo, NULL);
    assert_int_equal(dataset->image_count, 10);
    assert_string_equal(dataset->annotation_kind, "csv");
    assert_true(dataset_fixture_count_class(dataset, "nucleus") > 100);
    check_images(dataset);
    dataset_destroy(dataset);
    dataset = dataset_fixture_load(smear, NULL);
    size_t red = dataset_fixture_count_class(dataset, "RBC"), white = dataset_fixture_count_class(dataset, "WBC");
    assert_true(red > 5 * white);
    assert_true(white > 0);
    assert_true(dataset_fixture_count_class(dataset, "Platelets") > 0);
    check_images(dataset);
    dataset_destroy(dataset);
}

static void every_fiftieth_image_is_empty_and_still_annotated(void **state)
{
    const char *folder = *state;
    write_some(folder, (struct synth_request){SYNTH_FLUO16, 3, 48, 3, 64, 64});
    struct dataset *dataset = dataset_fixture_load(folder, NULL);
    assert_int_equal(dataset->image_count, 3);
    assert_true(dataset->images[0].object_count > 0);
    assert_int_equal(dataset->images[1].object_count, 0);
    assert_true(dataset->images[2].object_count > 0);
    dataset_destroy(dataset);
}

static void ranges_written_one_after_another_make_one_dataset(void **state)
{
    const char *folder = *state;
    write_some(folder, (struct synth_request){SYNTH_FLUO16, 3, 0, 5, 64, 64});
    write_some(folder, (struct synth_request){SYNTH_FLUO16, 3, 5, 5, 64, 64});
    struct dataset *dataset = dataset_fixture_load(folder, NULL);
    assert_int_equal(dataset->image_count, 10);
    dataset_destroy(dataset);
}

static void nuclei_are_brighter_than_the_background(void **state)
{
    const char *folder = *state;
    write_some(folder, (struct synth_request){SYNTH_FLUO16, 8, 0, 5, 128, 128});
    struct dataset *dataset = dataset_fixture_load(folder, NULL);
    double sums[2] = {0, 0}, counts[2] = {0, 0};
    for (size_t i = 0; i < dataset->image_count; i++) {
        SCOPE_FREE char *path = file_join(folder, dataset->images[i].path);
        SCOPE_FREE uint32_t *labels = NULL;
        SCOPE_IMAGE image = {0};
        struct failure why;
        assert_code_ok(image_read(path, &image, &why), why);
        assert_int_equal(image.bits, 16);
        assert_code_ok(dataset_read_labels(dataset, &dataset->images[i], &labels, &why), why);
        for (int k = 0; k < image.width * image.height; k++) {
            unsigned value = ((const uint16_t *)image.data)[k];
            assert_true(value <= 4095);
            sums[labels[k] != 0] += value;
            counts[labels[k] != 0]++;
        }
    }
    assert_true(sums[1] / counts[1] > 2 * (sums[0] / counts[0]));
    dataset_destroy(dataset);
}

static bool stop_at_three(void *context, size_t done, size_t total)
{
    (void)context;
    (void)total;
    return done < 3;
}

static void wrong_requests_and_a_stop_are_told(void **state)
{
    struct synth_request request = {SYNTH_FLUO16, 1, 0, 10, 64, 64};
    struct failure why;
    enum synth_kind kind;
    assert_int_equal(synth_write(&request, *state, stop_at_three, NULL, &why), CODE_INTERRUPTED);
    assert_non_null(strstr(why.text, "3 of 10"));
    request.width = 10;
    assert_int_equal(synth_write(&request, *state, NULL, NULL, &why), CODE_INVALID);
    request.width = 64;
    request.first = SYNTH_COUNT_MAX;
    assert_int_equal(synth_write(&request, *state, NULL, NULL, &why), CODE_INVALID);
    assert_int_equal(synth_kind_from_name("fluo", &kind, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "fluo16 or smear8"));
    assert_code_ok(synth_kind_from_name("smear8", &kind, &why), why);
    assert_int_equal(kind, SYNTH_SMEAR8);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, dataset_fixture_make, dataset_fixture_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(the_same_request_gives_the_same_bytes_on_every_machine),
        with_folder(an_image_does_not_depend_on_the_range_it_is_written_in),
        with_folder(boxes_are_the_extents_of_the_masks),
        with_folder(every_fiftieth_image_is_empty_and_still_annotated),
        with_folder(ranges_written_one_after_another_make_one_dataset),
        with_folder(nuclei_are_brighter_than_the_background),
        with_folder(wrong_requests_and_a_stop_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
