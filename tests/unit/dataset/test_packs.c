/* Two real datasets, from the folder that $CYTOFS_TEST_DATA names; skipped by name without it.
 *
 *     bccd/                   blood smears, Pascal VOC: BCCD_Dataset, commit d272fb14
 *     dsb2018_fluo.tar.xz     nuclei, one mask file each: Data Science Bowl 2018, or the same unpacked beside
 * it
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataset.h"
#include "dataset_fixture.h"
#include "file.h"
#include "scope.h"

/* The pack's path, or a skip. */
static char *find_pack(const char *name)
{
    const char *data = getenv("CYTOFS_TEST_DATA");
    char *path = data ? file_join(data, name) : NULL;
    if (path && file_exists(path))
        return path;
    free(path);
    print_message("skipped: %s is not there (set CYTOFS_TEST_DATA to the folder that holds it)\n", name);
    skip();
    return NULL;
}

static void bccd_is_read_whole(void **state)
{
    (void)state;
    SCOPE_FREE char *folder = find_pack("bccd");
    SCOPE_BUFFER warnings = {0};
    struct dataset *dataset = dataset_fixture_load(folder, &warnings);
    assert_string_equal(dataset->annotation_kind, "voc");
    assert_string_equal(dataset->split_source, "ImageSets/Main");
    assert_int_equal(dataset->image_count, 364);
    assert_int_equal(dataset_fixture_count_class(dataset, "RBC"), 4155 - 2); /* two boxes of no size */
    assert_int_equal(dataset_fixture_count_class(dataset, "WBC"), 372);
    assert_int_equal(dataset_fixture_count_class(dataset, "Platelets"), 361);
    assert_int_equal(dataset_fixture_count_split(dataset, SPLIT_TRAIN), 205);
    assert_int_equal(dataset_fixture_count_split(dataset, SPLIT_VAL), 87);
    assert_int_equal(dataset_fixture_count_split(dataset, SPLIT_TEST), 72);
    assert_non_null(strstr(buffer_text(&warnings), "BloodImage_00338.jpg: 1 box with no area"));
    assert_non_null(strstr(buffer_text(&warnings), "BloodImage_00343.jpg: 1 box with no area"));
    dataset_destroy(dataset);
}

static void unpack(const char *archive, const char *folder)
{
    pid_t child = fork();
    if (child == 0) {
        execlp("tar", "tar", "-xf", archive, "-C", folder, (char *)NULL);
        _exit(127);
    }
    int status;
    assert_true(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void the_nuclei_of_dsb2018_are_read_from_their_masks(void **state)
{
    SCOPE_FREE char *archive = find_pack("dsb2018_fluo.tar.xz");
    unpack(archive, *state);
    struct dataset *dataset = dataset_fixture_load(*state, NULL);
    struct failure why;
    assert_string_equal(dataset->annotation_kind, "masks");
    assert_string_equal(dataset->split_source, "train.txt");
    assert_int_equal(dataset->image_count, 420);
    assert_int_equal(dataset_fixture_count_split(dataset, SPLIT_TRAIN), 286);
    assert_int_equal(dataset_fixture_count_split(dataset, SPLIT_VAL), 52);
    assert_int_equal(dataset_fixture_count_split(dataset, SPLIT_TEST), 82);
    for (size_t i = 0; i < dataset->image_count; i += 100) {
        SCOPE_FREE uint32_t *labels = NULL;
        const struct dataset_image *image = &dataset->images[i];
        assert_code_ok(dataset_read_labels(dataset, image, &labels, &why), why);
        assert_int_equal(image->object_count, image->mask_count);
        for (size_t k = 0; k < image->object_count; k++) {
            bool seen = false;
            for (int p = 0; p < image->width * image->height && !seen; p++)
                seen = labels[p] == image->objects[k].label;
            assert_true(seen);
        }
    }
    dataset_destroy(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bccd_is_read_whole),
        cmocka_unit_test_setup_teardown(the_nuclei_of_dsb2018_are_read_from_their_masks, dataset_fixture_make,
                                        dataset_fixture_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
