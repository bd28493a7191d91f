/* kernels/detector: suppression, tiles, results as text, overlays. */
#include "assert_near.h"

#include <stdlib.h>
#include <string.h>

#include "detection.h"
#include "domain_shift.h"
#include "overlay.h"
#include "random.h"
#include "results.h"
#include "tiling.h"

static void make_list(struct detection_list *list, uint64_t stream, int count)
{
    struct random random = random_stream(3, stream);
    for (int i = 0; i < count; i++) {
        float x = (float)random_between(&random, 0, 80), y = (float)random_between(&random, 0, 80);
        struct detection item = {
            .box = {x, y, x + (float)random_between(&random, 5, 40), y + (float)random_between(&random, 5, 40)},
            .class_index = (int32_t)random_below(&random, 2),
            .score = (float)random_uniform(&random)};
        struct failure why;
        assert_code_ok(detection_list_add(list, &item, &why), why);
    }
}

static double slow_iou(const struct box *a, const struct box *b)
{
    double both = 0, a_area = 0, b_area = 0; /* counted on a fine grid */
    for (double y = 0.125; y < 130; y += 0.25) {
        for (double x = 0.125; x < 130; x += 0.25) {
            bool in_a = x >= a->x0 && x < a->x1 && y >= a->y0 && y < a->y1;
            bool in_b = x >= b->x0 && x < b->x1 && y >= b->y0 && y < b->y1;
            both += in_a && in_b;
            a_area += in_a;
            b_area += in_b;
        }
    }
    return both / (a_area + b_area - both);
}

static void overlap_agrees_with_counting_points(void **state)
{
    (void)state;
    SCOPE_DETECTIONS list = {0};
    make_list(&list, 1, 12);
    for (size_t i = 0; i + 1 < list.count; i++)
        assert_near(detection_iou(&list.items[i].box, &list.items[i + 1].box),
                    slow_iou(&list.items[i].box, &list.items[i + 1].box), 0.02);
    struct box empty = {5, 5, 5, 9};
    assert_near(detection_iou(&empty, &empty), 0, 0);
}

/* What greedy suppression promises: what is kept does not overlap, and what went overlaps a better kept one.
 */
static void suppression_keeps_its_promise(void **state)
{
    (void)state;
    for (uint64_t stream = 0; stream < 50; stream++) {
        SCOPE_DETECTIONS before = {0};
        SCOPE_DETECTIONS after = {0};
        make_list(&before, stream, 60);
        make_list(&after, stream, 60);
        detection_list_suppress(&after, 0.5f);
        assert_in_range(after.count, 1, 59);
        for (size_t i = 0; i < after.count; i++)
            for (size_t k = 0; k < i; k++)
                assert_false(after.items[i].class_index == after.items[k].class_index &&
                             detection_iou(&after.items[i].box, &after.items[k].box) > 0.5f);
        for (size_t i = 0; i < before.count; i++) {
            bool is_kept = false, is_excused = false;
            for (size_t k = 0; k < after.count; k++) {
                const struct detection *kept = &after.items[k];
                is_kept |= kept->score == before.items[i].score;
                is_excused |= kept->class_index == before.items[i].class_index && kept->score >= before.items[i].score &&
                              detection_iou(&kept->box, &before.items[i].box) > 0.5f;
            }
            assert_true(is_kept || is_excused);
        }
    }
}

static void thresholds_are_per_class(void **state)
{
    (void)state;
    SCOPE_DETECTIONS list = {0};
    make_list(&list, 4, 50);
    const float thresholds[2] = {0.9f, 0.1f};
    detection_list_keep_above(&list, thresholds);
    for (size_t i = 0; i < list.count; i++)
        assert_true(list.items[i].score >= thresholds[list.items[i].class_index]);
    assert_in_range(list.count, 10, 40);
}

static void cores_of_tiles_cover_an_image_exactly_once(void **state)
{
    (void)state;
    static uint8_t hits[700][900];
    const int sizes[][2] = {{1, 1}, {200, 100}, {256, 256}, {257, 300}, {900, 700}, {511, 513}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct tiling tiling;
        struct failure why;
        assert_code_ok(tiling_create(sizes[s][0], sizes[s][1], 256, 60, &tiling, &why), why);
        memset(hits, 0, sizeof hits);
        for (int i = 0; i < tiling.count; i++) {
            const struct tile *t = &tiling.tiles[i];
            assert_true(t->x >= 0 && t->y >= 0 && t->x + t->width <= sizes[s][0] && t->y + t->height <= sizes[s][1]);
            assert_true(t->width <= 256 && t->height <= 256);
            /* Half the overlap lies between a core and its window's edge, except at the image's own edge. */
            assert_true(t->core_x0 == 0 || t->core_x0 - t->x >= 30);
            assert_true(t->core_y1 == sizes[s][1] || t->y + t->height - t->core_y1 >= 30);
            for (int y = t->core_y0; y < t->core_y1; y++)
                for (int x = t->core_x0; x < t->core_x1; x++)
                    hits[y][x]++;
        }
        for (int y = 0; y < sizes[s][1]; y++)
            for (int x = 0; x < sizes[s][0]; x++)
                assert_int_equal(hits[y][x], 1);
        tiling_free(&tiling);
    }
}

static const struct model_info two_classes = {.architecture.classes = 2, .class_names = {"RBC", "a,\"b\""}};

static void csv_lines_say_what_was_found(void **state)
{
    (void)state;
    struct detection items[2] = {{.box = {0, 10, 20, 30}, .score = 0.75f, .probability = 0.9f, .class_index = 0},
                                 {.box = {50.5f, 40, 60.5f, 60}, .score = 0.5f, .probability = 0.4f, .class_index = 1}};
    struct detection_list list = {items, 2, 2, 0};
    struct results_image image = {"a b.png", 100, 80, 0.5};
    SCOPE_BUFFER text = {0};
    results_append_detections(&text, &image, &list, &two_classes);
    assert_string_equal(buffer_text(&text),
                        "a b.png,1,RBC,0.7500,0.9000,0.00,10.00,20.00,30.00,10.00,20.00,400.0,100.000,1\n"
                        "a b.png,2,\"a,\"\"b\"\"\",0.5000,0.4000,50.50,40.00,60.50,60.00,55.50,50.00,200.0,50.000,0\n");
    buffer_clear(&text);
    results_append_counts_header(&text, &two_classes);
    results_append_counts(&text, "a b.png", &list, &two_classes, "darker");
    assert_string_equal(buffer_text(&text), "image,RBC,\"a,\"\"b\"\"\",total,unlike_training\na b.png,1,1,2,darker\n");
}

static void an_image_unlike_the_training_images_is_flagged(void **state)
{
    (void)state;
    const struct model_info info = {.object_side_px = 20, .range_low = {0.1, 0.2}, .range_high = {0.5, 0.8}};
    uint8_t pixels[100];
    struct image image = {.width = 10, .height = 10, .channels = 1, .bits = 8, .data = pixels};
    struct detection items[DOMAIN_SHIFT_OBJECTS_MIN];
    struct detection_list list = {items, DOMAIN_SHIFT_OBJECTS_MIN, DOMAIN_SHIFT_OBJECTS_MIN, 0};
    for (int k = 0; k < DOMAIN_SHIFT_OBJECTS_MIN; k++)
        items[k] = (struct detection){.box = {0, 0, 18, 22}};
    for (int i = 0; i < 100; i++)
        pixels[i] = (uint8_t)(40 + i); /* 0.16 .. 0.54 */
    assert_string_equal(domain_shift_of(&info, &image, &list), "");
    for (int i = 0; i < 100; i++)
        pixels[i] = (uint8_t)(i / 2);
    assert_string_equal(domain_shift_of(&info, &image, &list), "darker");
    for (int k = 0; k < DOMAIN_SHIFT_OBJECTS_MIN; k++)
        items[k].box.x1 = items[k].box.y1 = 50;
    assert_string_equal(domain_shift_of(&info, &image, &list), "darker; larger objects");
    image.pixel_um = 0.2; /* the same objects under another magnification */
    struct model_info known = info;
    known.pixel_um = 0.5;
    assert_string_equal(domain_shift_of(&known, &image, &list), "darker");
    list.count--;
    image.pixel_um = 0;
    assert_string_equal(domain_shift_of(&info, &image, &list), "darker");
}

static void an_outline_of_equal_rays_is_a_circle(void **state)
{
    (void)state;
    struct detection item = {.box = {0, 0, 40, 40}, .origin_x = 20, .origin_y = 20};
    for (int k = 0; k < 64; k++)
        item.rays[k] = 10;
    assert_near(detection_area(&item, 64), 3.14159265 * 100, 1);
    float points[64][2];
    const int size[2] = {25, 40};
    detection_outline(&item, 64, size, points);
    assert_near(points[0][0], 25, 0); /* clipped from 30 */
    assert_near(points[16][1], 30, 1e-4);
    assert_near(detection_area(&item, 0), 1600, 1e-3);
}

static void an_overlay_colours_the_box_and_leaves_the_rest(void **state)
{
    (void)state;
    SCOPE_IMAGE image = {0}, picture = {0};
    struct failure why;
    assert_code_ok(image_create(64, 48, 3, 8, &image, &why), why);
    memset(image.data, 100, 64 * 48 * 3);
    struct detection item = {.box = {10, 12, 30, 40}, .class_index = 1};
    struct detection outside = {.box = {-50, -50, 500, 500}, .class_index = 0};
    struct detection items[2] = {item, outside};
    struct detection_list list = {items, 2, 2, 0};
    assert_code_ok(overlay_draw(&image, &list, &picture, &why), why);
    const uint8_t(*pixels)[64][3] = picture.data;
    uint8_t colour[3];
    overlay_class_colour(1, colour);
    assert_memory_equal(pixels[12][20], colour, 3);
    assert_memory_equal(pixels[39][10], colour, 3);
    assert_memory_equal(pixels[25][29], colour, 3);
    assert_int_equal(pixels[25][20][0], 100);
    assert_int_equal(picture.width, 64);
    assert_int_equal(picture.bits, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overlap_agrees_with_counting_points),
        cmocka_unit_test(suppression_keeps_its_promise),
        cmocka_unit_test(thresholds_are_per_class),
        cmocka_unit_test(cores_of_tiles_cover_an_image_exactly_once),
        cmocka_unit_test(csv_lines_say_what_was_found),
        cmocka_unit_test(an_image_unlike_the_training_images_is_flagged),
        cmocka_unit_test(an_outline_of_equal_rays_is_a_circle),
        cmocka_unit_test(an_overlay_colours_the_box_and_leaves_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
