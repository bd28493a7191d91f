/* kernels/trainer: surveying a dataset, scoring a split. */
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "file.h"
#include "scope.h"
#include "scoring.h"
#include "survey.h"
#include "synth.h"

static char folder[] = "/tmp/cytofs-scoring-XXXXXX";
static struct dataset *dataset;
static struct device *device;
static struct detector *detector;

/* 40 synthetic nuclei images, and a detector of fresh weights that knows the classes "other" and "nucleus".
 */
static int set_up(void **state)
{
    (void)state;
    static struct model_info info = {.architecture = {NETWORK_N, 1, 2, 0},
                                     .class_names = {"other", "nucleus"},
                                     .preprocessing = {INTENSITY_PERCENTILE, 0.01, 1, 1}};
    const struct device_options one_thread = {.threads = 1};
    struct synth_request request = {SYNTH_FLUO16, 7, 0, 40, 64, 64};
    struct network_plan plan = {.batch = 1, .height = 32, .width = 32};
    struct network *network;
    SCOPE_BUFFER warnings = {0};
    if (!mkdtemp(folder) || synth_write(&request, folder, NULL, NULL, NULL) != CODE_OK ||
        dataset_load(folder, &dataset, &warnings, NULL) != CODE_OK ||
        device_open("cpu", &one_thread, &device, NULL) != CODE_OK ||
        network_create(device, &info.architecture, &plan, &network, NULL) != CODE_OK)
        return -1;
    network_initialize(network, 1);
    size_t floats = network_slab_floats(network);
    SCOPE_FREE float *weights = malloc(floats * sizeof *weights);
    network_read_slab(network, SLAB_WEIGHTS, weights);
    network_destroy(network);
    struct detector_options options = {.device = device};
    return detector_create(&info, weights, floats, &options, &detector, NULL) == CODE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    detector_destroy(detector);
    device_close(device);
    dataset_destroy(dataset);
    return file_remove_tree(folder, NULL) == CODE_OK ? 0 : -1;
}

static size_t count_split(enum dataset_split split)
{
    size_t count = 0;
    for (size_t i = 0; i < dataset->image_count; i++)
        count += dataset->images[i].split == split;
    return count;
}

static void a_split_is_scored_whole_and_classes_meet_by_name(void **state)
{
    (void)state;
    struct scoring scoring;
    struct scoring_options options = {.split = SPLIT_TRAIN};
    struct failure why;
    assert_code_ok(scoring_run(detector, dataset, &options, &scoring, &why), why);
    assert_int_equal(scoring.count, count_split(SPLIT_TRAIN));
    for (size_t i = 0; i < scoring.count; i++) {
        assert_int_equal(scoring.entries[i]->split, SPLIT_TRAIN);
        assert_int_equal(scoring.images[i].truth_count, scoring.entries[i]->object_count);
        for (size_t k = 0; k < scoring.images[i].truth_count; k++) {
            assert_int_equal(scoring.truths[i][k].class_index, 1); /* "nucleus" is class 0 of the dataset */
            assert_true(scoring.truths[i][k].box.x1 == scoring.entries[i]->objects[k].x1);
        }
    }
    scoring_free(&scoring);
}

static void a_few_images_are_spread_over_the_split(void **state)
{
    (void)state;
    struct scoring scoring;
    struct scoring_options options = {.split = SPLIT_COUNT, .images_max = 4};
    struct failure why;
    assert_code_ok(scoring_run(detector, dataset, &options, &scoring, &why), why);
    assert_int_equal(scoring.count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(scoring.entries[i] - dataset->images, i * 10);
    scoring_free(&scoring);
}

static atomic_bool stop;

static void stop_after_two(void *context, size_t done, size_t total)
{
    (void)total;
    *(size_t *)context = done;
    atomic_store(&stop, done >= 2);
}

static void scoring_stops_when_asked(void **state)
{
    (void)state;
    size_t done = 0;
    struct scoring scoring;
    struct scoring_options options = {.split = SPLIT_COUNT, .stop = &stop, .on_progress = stop_after_two, .context = &done};
    struct failure why;
    assert_int_equal(scoring_run(detector, dataset, &options, &scoring, &why), CODE_INTERRUPTED);
    assert_int_equal(done, 2);
    atomic_store(&stop, false);
}

static void an_unreadable_image_is_passed_over_with_a_line(void **state)
{
    (void)state;
    SCOPE_FREE char *path = file_join(folder, dataset->images[0].path);
    SCOPE_BUFFER bytes = {0}, warnings = {0};
    struct failure why;
    assert_code_ok(file_read(path, 1000000, &bytes, &why), why);
    assert_code_ok(file_write(path, "nonsense", 8, &why), why);
    struct scoring scoring;
    struct scoring_options options = {.split = SPLIT_COUNT, .warnings = &warnings};
    assert_code_ok(scoring_run(detector, dataset, &options, &scoring, &why), why);
    assert_int_equal(scoring.count, 39);
    assert_int_equal(scoring.skipped, 1);
    assert_non_null(strstr(buffer_text(&warnings), file_base_name(path)));
    scoring_free(&scoring);
    assert_code_ok(file_write(path, bytes.data, bytes.length, &why), why);
}

static void a_survey_tells_what_the_training_images_are_like(void **state)
{
    (void)state;
    struct survey survey;
    struct failure why;
    assert_code_ok(survey_dataset(dataset, &survey, &why), why);
    assert_int_equal(survey.images[SPLIT_TRAIN], count_split(SPLIT_TRAIN));
    assert_int_equal(survey.looked_at, survey.images[SPLIT_TRAIN]);
    assert_int_equal(survey.bits, 16);
    assert_true(survey.is_grey);
    assert_true(survey.image_width == 64 && survey.image_height == 64);
    /* Backgrounds are 180 to 420 of 65535, cells 500 to 3200 above them. */
    assert_true(survey.range_low[0] > 100.0 / 65535 && survey.range_low[1] < 800.0 / 65535);
    assert_true(survey.range_median > 200.0 / 65535 && survey.range_median < 4095.0 / 65535);
    assert_true(survey.side_median > 4 && survey.side_median < 36 && survey.side_p99 >= survey.side_median);
}

static void a_dataset_that_cannot_train_is_refused_in_words(void **state)
{
    (void)state;
    struct dataset_image image = {.split = SPLIT_VAL};
    struct dataset lacking = {.folder = folder, .images = &image, .image_count = 1, .split_source = "folders"};
    struct survey survey;
    struct failure why;
    assert_int_equal(survey_dataset(&lacking, &survey, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "no image is in the training split"));
    image.split = SPLIT_TRAIN;
    assert_int_equal(survey_dataset(&lacking, &survey, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "no object is annotated"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_split_is_scored_whole_and_classes_meet_by_name),
        cmocka_unit_test(a_few_images_are_spread_over_the_split),
        cmocka_unit_test(scoring_stops_when_asked),
        cmocka_unit_test(an_unreadable_image_is_passed_over_with_a_line),
        cmocka_unit_test(a_survey_tells_what_the_training_images_are_like),
        cmocka_unit_test(a_dataset_that_cannot_train_is_refused_in_words),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
