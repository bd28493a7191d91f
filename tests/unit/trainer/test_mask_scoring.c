/* kernels/trainer: outlines beside label maps, and how much larger they should be drawn.
 *
 * What is "found" here are the annotated objects themselves, measured in the label map, with their rays made shorter or
 * longer: so the best factor is known. */
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "file.h"
#include "mask_scoring.h"
#include "scope.h"
#include "synth.h"

enum { IMAGES = 12, SIDE = 128, RAYS = 32 };

static char folder[] = "/tmp/cytofs-masks-XXXXXX";
static struct dataset *dataset;

static int set_up(void **state)
{
    (void)state;
    struct synth_request request = {SYNTH_FLUO16, 9, 0, IMAGES, SIDE, SIDE};
    SCOPE_BUFFER warnings = {0};
    if (!mkdtemp(folder) || synth_write(&request, folder, NULL, NULL, NULL) != CODE_OK)
        return -1;
    return dataset_load(folder, &dataset, &warnings, NULL) == CODE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    dataset_destroy(dataset);
    return file_remove_tree(folder, NULL) == CODE_OK ? 0 : -1;
}

/* The distance from a point to where the object ends, to a tenth of a pixel. */
static float measure(const uint32_t *labels, uint32_t label, float x, float y, double angle)
{
    float length = 0;
    for (;; length += 0.1f) {
        int column = (int)floor(x + length * cos(angle)), row = (int)floor(y + length * sin(angle));
        if (column < 0 || row < 0 || column >= SIDE || row >= SIDE || labels[row * SIDE + column] != label)
            return length;
    }
}

/* Adds the object, where its centre is its own. */
static void find_object(const uint32_t *labels, uint32_t label, float shorter, struct detection_list *list)
{
    double x = 0, y = 0, pixels = 0;
    for (int i = 0; i < SIDE * SIDE; i++)
        if (labels[i] == label) {
            x += i % SIDE + 0.5;
            y += i / SIDE + 0.5;
            pixels++;
        }
    struct detection item = {.score = 0.9f, .origin_x = (float)(x / pixels), .origin_y = (float)(y / pixels)};
    if (pixels < 30 || labels[(int)item.origin_y * SIDE + (int)item.origin_x] != label)
        return;
    for (int k = 0; k < RAYS; k++)
        item.rays[k] = shorter * measure(labels, label, item.origin_x, item.origin_y, 2 * acos(-1) * k / RAYS);
    assert_int_equal(detection_list_add(list, &item, NULL), CODE_OK);
}

/* The first `count` images with their objects found, rays so many times as long; freed with scoring_free. */
static struct scoring find_all(size_t count, float shorter)
{
    struct scoring scoring = {.count = count,
                              .entries = calloc(count + 1, sizeof *scoring.entries),
                              .lists = calloc(count + 1, sizeof *scoring.lists),
                              .truths = calloc(count + 1, sizeof *scoring.truths)};
    for (size_t i = 0; i < count; i++) {
        const struct dataset_image *entry = &dataset->images[i];
        SCOPE_FREE uint32_t *labels = NULL;
        struct failure why;
        assert_code_ok(dataset_read_labels(dataset, entry, &labels, &why), why);
        scoring.entries[i] = entry;
        scoring.lists[i].ray_count = RAYS;
        for (size_t k = 0; k < entry->object_count; k++)
            find_object(labels, entry->objects[k].label, shorter, &scoring.lists[i]);
    }
    return scoring;
}

static double fit(size_t images, float shorter)
{
    const float threshold = 0.5f;
    double factor = 0;
    struct failure why;
    struct scoring scoring = find_all(images, shorter);
    assert_code_ok(mask_scoring_fit(&scoring, dataset, &threshold, &factor, &why), why);
    scoring_free(&scoring);
    return factor;
}

static void outlines_that_are_too_small_are_drawn_larger_and_the_other_way_round(void **state)
{
    (void)state;
    double small = fit(IMAGES, 0.82f), good = fit(IMAGES, 1), large = fit(IMAGES, 1.25f);
    if (!(small > 1.04 && small <= 1.16) || !(good > 0.97 && good < 1.03) || !(large < 0.97 && large >= 0.9))
        fail_msg("factors %g, %g, %g", small, good, large);
}

static void a_few_objects_tell_nothing(void **state)
{
    (void)state;
    assert_true(fit(1, 0.8f) == 1);
    assert_true(fit(0, 0.8f) == 1);
}

static void what_is_found_as_annotated_matches(void **state)
{
    (void)state;
    const float threshold = 0.5f, above = 0.95f;
    struct mask_tally tally;
    size_t images;
    struct failure why;
    struct scoring scoring = find_all(IMAGES, 1);
    assert_code_ok(mask_scoring_compare(&scoring, dataset, &threshold, &tally, &images, &why), why);
    assert_int_equal(images, IMAGES);
    assert_true(tally.objects >= MASK_SCORING_OBJECTS_MIN && tally.matched > tally.objects * 8 / 10);
    assert_true(mask_evaluation_fit(&tally) <= mask_evaluation_f1(&tally) && mask_evaluation_fit(&tally) > 0.7);
    assert_code_ok(mask_scoring_compare(&scoring, dataset, &above, &tally, &images, &why), why);
    assert_int_equal(tally.found, 0);
    scoring_free(&scoring);
}

/* The annotated objects are found, every fourth of them with a score below the threshold; with `wrong`, as a speck of it. */
static double fit_thresholds(bool wrong)
{
    const float threshold = 0.6f;
    double shift = 9;
    struct failure why;
    struct scoring scoring = find_all(IMAGES, 1);
    for (size_t i = 0; i < scoring.count; i++)
        for (size_t k = 0; k < scoring.lists[i].count; k++) {
            struct detection *item = &scoring.lists[i].items[k];
            item->score = k % 4 == 0 ? 0.4f : 0.9f;
            for (int r = 0; wrong && k % 4 == 0 && r < RAYS; r++)
                item->rays[r] = 1;
        }
    for (size_t i = 0; i < scoring.count; i++)
        detection_list_sort(&scoring.lists[i]);
    assert_code_ok(mask_scoring_fit_thresholds(&scoring, dataset, &threshold, &shift, &why), why);
    scoring_free(&scoring);
    return shift;
}

/* 0.4 is -0.81 away from 0.6, and 0.9 is 1.79. */
static void thresholds_are_moved_to_where_most_outlines_match(void **state)
{
    (void)state;
    double good = fit_thresholds(false), bad = fit_thresholds(true);
    if (!(good <= -0.81 && good >= -1.5) || bad != 0)
        fail_msg("shifts %g, %g", good, bad);
    assert_true(thresholds_moved(0.6f, 0) == 0.6f);
    assert_true(thresholds_moved(0.6f, good) <= 0.4f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outlines_that_are_too_small_are_drawn_larger_and_the_other_way_round),
        cmocka_unit_test(a_few_objects_tell_nothing),
        cmocka_unit_test(what_is_found_as_annotated_matches),
        cmocka_unit_test(thresholds_are_moved_to_where_most_outlines_match),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
