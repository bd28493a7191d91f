/* kernels/detector: an image and its mirror image are seen alike by a model that looks in many views; outlines are drawn as
 * large as the model says. */
#include "testing.h"

#include <math.h>
#include <stdlib.h>

#include "detector.h"
#include "device.h"
#include "random.h"
#include "scope.h"

enum { WIDTH = 256, HEIGHT = 128, RAYS = 8 }; /* sides that the network takes as they are, and three quarters of them */

static struct model_info model_of(int views, double outline_factor)
{
    return (struct model_info){
        .architecture = {NETWORK_N, 1, 1, RAYS},
        .class_names = {"cell"},
        .preprocessing = {INTENSITY_PERCENTILE, 0.01, 1, 1},
        .views = views,
        .outline_factor = outline_factor,
        .image_bits = 8,
        .object_side_px = 20,
        .object_side_p99 = 30,
        .thresholds = {.best_f1 = {0.5f}, .unbiased = {0.5f}, .best_f1_all = 0.5f, .calibration = {{1, 0}}},
    };
}

/* Noise, or the same noise mirrored: bit 0 left and right, bit 1 top and bottom. */
static void make_image(int view, struct image *image)
{
    struct failure why;
    struct random random = random_stream(3, 4);
    assert_code_ok(image_create(WIDTH, HEIGHT, 1, 8, image, &why), why);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            int to_x = view & 1 ? WIDTH - 1 - x : x, to_y = view & 2 ? HEIGHT - 1 - y : y;
            ((uint8_t *)image->data)[to_y * WIDTH + to_x] = (uint8_t)random_below(&random, 256);
        }
}

static struct device *open_device(void)
{
    const struct device_options one_thread = {.threads = 1};
    struct device *device;
    struct failure why;
    assert_code_ok(device_open("cpu", &one_thread, &device, &why), why);
    return device;
}

static struct detector *open_detector(const struct device *device, int views, double outline_factor)
{
    const struct network_plan plan = {.batch = 1, .height = 64, .width = 64};
    struct model_info info = model_of(views, outline_factor);
    struct network *network;
    struct detector *detector;
    struct failure why;
    assert_code_ok(network_create(device, &info.architecture, &plan, &network, &why), why);
    network_initialize(network, 5);
    size_t floats = network_slab_floats(network);
    SCOPE_FREE float *weights = malloc(floats * sizeof *weights);
    network_read_slab(network, SLAB_WEIGHTS, weights);
    const struct detector_options options = {.device = device};
    assert_code_ok(detector_create(&info, weights, floats, &options, &detector, &why), why);
    network_destroy(network);
    return detector;
}

static void detect(struct detector *detector, int view, struct detection_list *list)
{
    SCOPE_IMAGE image = {0};
    struct failure why;
    make_image(view, &image);
    assert_code_ok(detector_detect(detector, &image, list, &why), why);
    assert_true(list->count >= 10);
}

/* Whether `other` is `item`, mirrored: centre, score, and the length of the ray whose end is the mirrored end. */
static bool is_mirror_image(const struct detection *item, const struct detection *other, int view)
{
    const float near = 1e-3f;
    float x = view & 1 ? WIDTH - item->origin_x : item->origin_x, y = view & 2 ? HEIGHT - item->origin_y : item->origin_y;
    if (fabsf(other->origin_x - x) > near || fabsf(other->origin_y - y) > near || fabsf(other->score - item->score) > near)
        return false;
    for (int k = 0; k < RAYS; k++) {
        double angle = 2 * acos(-1) * k / RAYS;
        double across = view & 1 ? -cos(angle) : cos(angle), down = view & 2 ? -sin(angle) : sin(angle);
        int turned = (int)lround(atan2(down, across) / (2 * acos(-1)) * RAYS + RAYS) % RAYS;
        if (fabsf(other->rays[turned] - item->rays[k]) > near * item->rays[k])
            return false;
    }
    return true;
}

/* How many of what was found in the image have their mirror image among what was found in the mirrored one. */
static size_t count_mirrored(const struct detection_list *found, const struct detection_list *mirrored, int view)
{
    size_t count = 0;
    for (size_t i = 0; i < found->count; i++) {
        bool is_there = false;
        for (size_t k = 0; k < mirrored->count; k++)
            is_there = is_there || is_mirror_image(&found->items[i], &mirrored->items[k], view);
        count += is_there;
    }
    return count;
}

static void mirror_images_are_seen_alike_in_many_views_and_not_in_one(void **state)
{
    (void)state;
    struct device *device = open_device();
    const int counts[] = {1, 4, 8};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct detector *detector = open_detector(device, counts[i], 1);
        SCOPE_DETECTIONS found = {0};
        detect(detector, 0, &found);
        for (int view = 1; view < 4; view++) {
            SCOPE_DETECTIONS mirrored = {0};
            detect(detector, view, &mirrored);
            size_t alike = count_mirrored(&found, &mirrored, view);
            if (counts[i] == 1)
                assert_true(alike < found.count / 2);
            else
                assert_int_equal(alike, found.count);
        }
        detector_destroy(detector);
    }
    device_close(device);
}

/* The same objects, with rays so many times as long. */
static void assert_found_alike(struct detector *one, struct detector *other, float factor)
{
    SCOPE_DETECTIONS found = {0}, again = {0};
    detect(one, 0, &found);
    detect(other, 0, &again);
    assert_int_equal(found.count, again.count);
    for (size_t i = 0; i < found.count; i++) {
        assert_true(found.items[i].score == again.items[i].score);
        for (int k = 0; k < RAYS; k++)
            assert_true(found.items[i].rays[k] * factor == again.items[i].rays[k]);
    }
    detector_destroy(one);
    detector_destroy(other);
}

/* A description in memory that says nothing of views and factors is that of an older model. */
static void no_views_and_no_factor_are_one(void **state)
{
    (void)state;
    struct device *device = open_device();
    assert_found_alike(open_detector(device, 1, 1), open_detector(device, 0, 0), 1);
    device_close(device);
}

static void outlines_are_drawn_as_large_as_the_model_says(void **state)
{
    (void)state;
    struct device *device = open_device();
    assert_found_alike(open_detector(device, 1, 1), open_detector(device, 1, 1.125), 1.125f);
    device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mirror_images_are_seen_alike_in_many_views_and_not_in_one),
        cmocka_unit_test(no_views_and_no_factor_are_one),
        cmocka_unit_test(outlines_are_drawn_as_large_as_the_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
