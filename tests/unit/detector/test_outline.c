/* kernels/detector: outlines painted into label maps, and label maps compared. */
#include "assert_near.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mask_evaluation.h"
#include "outline.h"
#include "random.h"

enum { SIDE = 96, PIXELS = SIDE * SIDE };

static struct detection circle(float x, float y, float radius, float score)
{
    struct detection item = {
        .box = {x - radius, y - radius, x + radius, y + radius}, .score = score, .origin_x = x, .origin_y = y};
    for (int k = 0; k < NETWORK_RAYS_MAX; k++)
        item.rays[k] = radius;
    return item;
}

static void add(struct detection_list *list, struct detection item)
{
    struct failure why;
    assert_code_ok(detection_list_add(list, &item, &why), why);
}

static void paint(struct detection_list *list, uint32_t labels[PIXELS])
{
    struct failure why;
    assert_code_ok(outline_paint(list, SIDE, SIDE, labels, &why), why);
}

static size_t count_label(const uint32_t labels[PIXELS], uint32_t label)
{
    size_t count = 0;
    for (size_t i = 0; i < PIXELS; i++)
        count += labels[i] == label;
    return count;
}

static void a_circle_is_filled_where_its_radius_says(void **state)
{
    (void)state;
    static uint32_t labels[PIXELS];
    SCOPE_DETECTIONS list = {.ray_count = 64};
    add(&list, circle(40.3f, 50.7f, 20, 1));
    paint(&list, labels);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            double distance = hypot(x + 0.5 - 40.3, y + 0.5 - 50.7);
            if (distance < 19.9) /* the polygon of 64 corners lies within 0.03 px of the circle */
                assert_int_equal(labels[y * SIDE + x], 1);
            if (distance > 20.01)
                assert_int_equal(labels[y * SIDE + x], 0);
        }
    assert_near((double)count_label(labels, 1), 3.14159265 * 400, 8);
}

static void the_better_one_owns_shared_pixels_and_hides_what_it_mostly_covers(void **state)
{
    (void)state;
    static uint32_t labels[PIXELS];
    SCOPE_DETECTIONS list = {.ray_count = 32};
    add(&list, circle(40, 40, 20, 0.9f));
    add(&list, circle(44, 40, 10, 0.8f)); /* within the first */
    add(&list, circle(70, 40, 20, 0.7f)); /* overlaps it a little */
    paint(&list, labels);
    assert_int_equal(list.count, 2);
    assert_near(list.items[1].score, 0.7, 1e-6);
    assert_int_equal(labels[40 * SIDE + 57], 1);
    assert_int_equal(labels[40 * SIDE + 65], 2);
    assert_int_equal(count_label(labels, 3), 0);
}

static void outlines_beyond_the_frame_and_boxes_are_painted_too(void **state)
{
    (void)state;
    static uint32_t labels[PIXELS];
    SCOPE_DETECTIONS rays = {.ray_count = 32}, boxes = {0};
    add(&rays, circle(0, 95.5f, 30, 1));
    paint(&rays, labels);
    assert_int_equal(labels[(SIDE - 1) * SIDE], 1);
    add(&boxes, circle(48, 48, 16, 1));
    paint(&boxes, labels);
    assert_int_equal(count_label(labels, 1), 32 * 32);
}

static void the_same_map_under_other_numbers_is_perfect(void **state)
{
    (void)state;
    static uint32_t truth[PIXELS], found[PIXELS];
    SCOPE_DETECTIONS list = {.ray_count = 32};
    for (int i = 0; i < 4; i++)
        add(&list, circle(20.0f + 18.0f * (float)i, 30.0f + 10.0f * (float)i, 8, 1));
    paint(&list, truth);
    for (size_t i = 0; i < PIXELS; i++)
        found[i] = truth[i] ? 1000000000 - truth[i] : 0;
    struct mask_tally tally = {0};
    struct failure why;
    assert_code_ok(mask_evaluation_add(&tally, truth, found, PIXELS, 0.5, &why), why);
    assert_int_equal(tally.matched, 4);
    assert_near(mask_evaluation_ap(&tally), 1, 1e-12);
    assert_near(mask_evaluation_f1(&tally), 1, 1e-12);
    assert_near(mask_evaluation_fit(&tally), 1, 1e-12);
}

/* Against counting every pair of labels on its own. */
static size_t matched_slowly(const uint32_t *truth, const uint32_t *found, uint32_t labels, const double ious[],
                             size_t iou_count)
{
    size_t matched = 0;
    for (uint32_t t = 1; t <= labels; t++)
        for (uint32_t f = 1; f <= labels; f++) {
            size_t both = 0, either = 0;
            for (size_t i = 0; i < PIXELS; i++) {
                both += truth[i] == t && found[i] == f;
                either += truth[i] == t || found[i] == f;
            }
            for (size_t k = 0; k < iou_count; k++)
                matched += both && (double)both > ious[k] * (double)either;
        }
    return matched;
}

static void random_maps_agree_with_counting_every_pair(void **state)
{
    (void)state;
    static uint32_t truth[PIXELS], found[PIXELS];
    double half = 0.5, ious[100];
    for (int k = 0; k < 100; k++)
        ious[k] = 0.5 + 0.25 * (k + 0.5) / 100;
    struct mask_tally together = {0};
    double image_ap = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct random random = random_stream(seed, 1);
        SCOPE_DETECTIONS first = {.ray_count = 16}, second = {.ray_count = 16};
        for (int i = 0; i < 12; i++) {
            float x = (float)random_between(&random, 0, SIDE), y = (float)random_between(&random, 0, SIDE);
            float radius = (float)random_between(&random, 5, 14);
            add(&first, circle(x, y, radius, 1));
            add(&second, circle(x + (float)random_between(&random, -4, 4), y, radius, 1));
        }
        paint(&first, truth);
        paint(&second, found);
        struct mask_tally tally = {0};
        struct failure why;
        assert_code_ok(mask_evaluation_add(&tally, truth, found, PIXELS, 0.5, &why), why);
        assert_int_equal(tally.matched, matched_slowly(truth, found, 12, &half, 1));
        assert_near(tally.matched_mean, (double)matched_slowly(truth, found, 12, ious, 100) / 100, 12 * 0.005);
        assert_near(mask_evaluation_fit(&tally), 2 * tally.matched_mean / (double)(first.count + second.count), 1e-12);
        assert_int_equal(tally.objects, first.count);
        assert_int_equal(tally.found, second.count);
        assert_near(mask_evaluation_ap(&tally), (double)tally.matched / (double)(first.count + second.count - tally.matched),
                    1e-12);
        assert_code_ok(mask_evaluation_add(&together, truth, found, PIXELS, 0.5, &why), why);
        image_ap += mask_evaluation_ap(&tally) / 6;
    }
    assert_near(mask_evaluation_image_ap(&together), image_ap, 1e-12);
    assert_true(fabs(mask_evaluation_ap(&together) - image_ap) > 1e-6); /* not the same */
}

static void nothing_found_where_nothing_is_counts_as_perfect(void **state)
{
    (void)state;
    static uint32_t empty[PIXELS];
    struct mask_tally tally = {0};
    struct failure why;
    assert_code_ok(mask_evaluation_add(&tally, empty, empty, PIXELS, 0.5, &why), why);
    assert_near(mask_evaluation_ap(&tally), 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_circle_is_filled_where_its_radius_says),
        cmocka_unit_test(the_better_one_owns_shared_pixels_and_hides_what_it_mostly_covers),
        cmocka_unit_test(outlines_beyond_the_frame_and_boxes_are_painted_too),
        cmocka_unit_test(the_same_map_under_other_numbers_is_perfect),
        cmocka_unit_test(random_maps_agree_with_counting_every_pair),
        cmocka_unit_test(nothing_found_where_nothing_is_counts_as_perfect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
