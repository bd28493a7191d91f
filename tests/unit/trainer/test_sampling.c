/* kernels/trainer: schedule, order of images, crops, batches. */
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "augment.h"
#include "sampler.h"
#include "schedule.h"

static void the_rate_warms_up_peaks_and_falls_to_a_hundredth(void **state)
{
    (void)state;
    const double peak = 2e-3;
    float previous = 0;
    for (int64_t step = 1; step <= 100; step++) {
        float lr = schedule_lr(step, 3000, peak);
        assert_true(lr > previous && lr <= (float)peak);
        previous = lr;
    }
    assert_true(schedule_lr(101, 3000, peak) == (float)peak);
    for (int64_t step = 102; step <= 3000; step++) {
        float lr = schedule_lr(step, 3000, peak);
        assert_true(lr < schedule_lr(step - 1, 3000, peak));
    }
    assert_true(fabs(schedule_lr(3000, 3000, peak) - peak / 100) < 1e-9);
    assert_true(fabs(schedule_lr(1550, 3000, peak) - peak * 0.505) < 2e-6); /* half way down */
}

static void short_trainings_have_sound_rates_too(void **state)
{
    (void)state;
    for (int64_t total = 1; total <= 30; total++)
        for (int64_t step = 1; step <= total; step++) {
            float lr = schedule_lr(step, total, 1);
            assert_true(lr > 0 && lr <= 1);
        }
}

static void the_average_forgets_the_random_start(void **state)
{
    (void)state;
    double kept = 1; /* of the weights before the first step */
    for (int64_t step = 1; step <= 300; step++)
        kept *= schedule_ema_decay(step);
    assert_true(kept < 1e-6);
    assert_true(schedule_ema_decay(1000000) == 0.998f);
}

/* Images with one object each: `rare` of class 1, the others of class 0. */
static struct dataset *make_dataset(size_t count, size_t rare)
{
    struct dataset *dataset = calloc(1, sizeof *dataset);
    dataset->images = calloc(count, sizeof *dataset->images);
    dataset->image_count = count;
    dataset->class_count = 3;
    for (size_t i = 0; i < count; i++) {
        size_t objects = i < rare ? 1 : 4;
        dataset->images[i].objects = calloc(objects, sizeof(struct dataset_object));
        dataset->images[i].object_count = objects;
        for (size_t k = 0; k < objects; k++)
            dataset->images[i].objects[k].class_index = i < rare ? 1 : k % 2 ? 2 : 0;
    }
    return dataset;
}

static void free_dataset(struct dataset *dataset)
{
    for (size_t i = 0; i < dataset->image_count; i++)
        free(dataset->images[i].objects);
    free(dataset->images);
    free(dataset);
}

static struct sampler *make_sampler(const struct dataset *dataset, uint64_t seed)
{
    size_t *indices = calloc(dataset->image_count, sizeof *indices);
    for (size_t i = 0; i < dataset->image_count; i++)
        indices[i] = i;
    struct sampler *sampler;
    struct failure why;
    assert_code_ok(sampler_create(dataset, indices, dataset->image_count, seed, &sampler, &why), why);
    free(indices);
    return sampler;
}

static void an_epoch_shows_every_image_and_rare_ones_more_often(void **state)
{
    (void)state;
    struct dataset *dataset = make_dataset(100, 8);
    struct sampler *sampler = make_sampler(dataset, 3);
    size_t length = sampler_epoch_length(sampler), shown[100] = {0};
    for (uint64_t draw = 0; draw < 3 * length; draw++)
        shown[sampler_image(sampler, draw)]++;
    /* 184 objects of the median class, 8 of class 1: sqrt(23) is cut to 4. */
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(shown[i], i < 8 ? 12 : 3);
    assert_int_equal(length, 92 + 4 * 8);
    sampler_destroy(sampler);
    free_dataset(dataset);
}

static void the_order_depends_on_the_seed_alone(void **state)
{
    (void)state;
    struct dataset *dataset = make_dataset(50, 3);
    struct sampler *forwards = make_sampler(dataset, 11), *backwards = make_sampler(dataset, 11);
    struct sampler *other = make_sampler(dataset, 12);
    size_t order[200], differing = 0, repeated = 0, length = sampler_epoch_length(forwards);
    for (uint64_t draw = 0; draw < 200; draw++)
        order[draw] = sampler_image(forwards, draw);
    for (uint64_t draw = 200; draw-- > 0;) {
        assert_int_equal(sampler_image(backwards, draw), order[draw]);
        differing += sampler_image(other, draw) != order[draw];
        repeated += draw >= length && order[draw] == order[draw - length];
    }
    assert_in_range(differing, 150, 200);
    assert_in_range(repeated, 0, 40); /* epochs are shuffled anew */
    sampler_destroy(forwards);
    sampler_destroy(backwards);
    sampler_destroy(other);
    free_dataset(dataset);
}

#define SIDE 96

/* A dark image with one bright rectangle, whose label is 1: boxes, labels and pixels must move together. */
static struct training_image make_image(int x0, int y0, int x1, int y1)
{
    struct training_image image = {.width = 160, .height = 120, .channels = 1, .across = 0.5f, .down = 0.5f};
    image.samples = calloc(160 * 120, sizeof *image.samples);
    image.labels = calloc(160 * 120, sizeof *image.labels);
    for (int y = 0; y < 120; y++)
        for (int x = 0; x < 160; x++) {
            bool is_inside = x >= x0 && x < x1 && y >= y0 && y < y1;
            image.samples[y * 160 + x] = is_inside ? 49152 : 16384; /* 1 and 0 */
            image.labels[y * 160 + x] = is_inside;
        }
    image.median[0] = 0;
    return image;
}

static void pixels_labels_and_boxes_move_together(void **state)
{
    (void)state;
    struct training_image image = make_image(60, 40, 100, 64);
    struct dataset_object object = {120, 80, 200, 128, 0, 1}; /* image pixels: twice the working ones */
    static float input[SIDE * SIDE];
    static uint32_t labels[SIDE * SIDE];
    int seen = 0;
    for (uint64_t stream = 0; stream < 200; stream++) {
        struct target_object objects[1];
        struct augmented out = {.side = SIDE, .input = input, .labels = labels, .objects = objects};
        struct random random = random_stream(1, stream);
        augment_example(&image, &object, 1, &random, &out);
        double low = 0, high = 0, low_count = 0, high_count = 0, wrong = 0;
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                double u = x + 0.5, v = y + 0.5;
                bool in_label = labels[y * SIDE + x] == 1;
                *(in_label ? &high : &low) += input[y * SIDE + x];
                *(in_label ? &high_count : &low_count) += 1;
                if (out.object_count == 1) {
                    const struct target_object *o = &objects[0];
                    wrong += in_label != (u > o->x0 && u < o->x1 && v > o->y0 && v < o->y1);
                }
            }
        if (out.object_count == 0)
            continue;
        seen++;
        assert_true(wrong <= 2 * (SIDE + SIDE)); /* half a pixel along the border at most */
        assert_true(wrong < high_count / 3 + 1);
        assert_true(high / high_count > low / low_count + 2); /* of (1 - 0) * 4, less gain and gamma */
    }
    assert_in_range(seen, 100, 200);
    free(image.samples);
    free(image.labels);
}

/* What a crop shows of an object is an object, however little that is, since images too cut objects at their frame; but no
 * sliver that nobody would annotate. */
static void a_cut_object_is_as_large_as_what_is_seen_of_it(void **state)
{
    (void)state;
    struct training_image image = make_image(8, 6, 48, 30);
    struct dataset_object object = {16, 12, 96, 60, 0, 1};
    static uint32_t labels[SIDE * SIDE];
    int cut = 0, slivers = 0;
    for (uint64_t stream = 0; stream < 600; stream++) {
        struct target_object objects[1];
        struct augmented out = {.side = SIDE, .labels = labels, .objects = objects};
        struct random random = random_stream(4, stream);
        augment_example(&image, &object, 1, &random, &out);
        int x0 = SIDE, y0 = SIDE, x1 = 0, y1 = 0;
        for (int i = 0; i < SIDE * SIDE; i++)
            if (labels[i]) {
                x0 = i % SIDE < x0 ? i % SIDE : x0;
                x1 = i % SIDE >= x1 ? i % SIDE + 1 : x1;
                y0 = i / SIDE < y0 ? i / SIDE : y0;
                y1 = i / SIDE >= y1 ? i / SIDE + 1 : y1;
            }
        bool is_large = x1 - x0 >= 5 && y1 - y0 >= 5;
        assert_int_equal(out.object_count, is_large);
        slivers += x1 > x0 && !is_large;
        if (!is_large)
            continue;
        assert_true(objects[0].x0 == (float)x0 && objects[0].x1 == (float)x1);
        assert_true(objects[0].y0 == (float)y0 && objects[0].y1 == (float)y1);
        cut += (x1 - x0) * (y1 - y0) < 40 * 24 / 5; /* less than a quarter even where it is shown largest */
    }
    assert_true(cut > 3 && slivers > 3);
    free(image.samples);
    free(image.labels);
}

static void an_example_is_a_function_of_its_stream(void **state)
{
    (void)state;
    struct training_image image = make_image(60, 40, 100, 64);
    struct dataset_object object = {120, 80, 200, 128, 0, 1};
    static float first[SIDE * SIDE], again[SIDE * SIDE];
    struct target_object objects[1];
    for (uint64_t stream = 0; stream < 5; stream++) {
        struct random random = random_stream(1, stream);
        struct augmented out = {.side = SIDE, .input = first, .objects = objects};
        augment_example(&image, &object, 1, &random, &out);
        random = random_stream(1, stream);
        out.input = again;
        augment_example(&image, &object, 1, &random, &out);
        assert_memory_equal(first, again, sizeof first);
        random = random_stream(1, stream + 100);
        augment_example(&image, &object, 1, &random, &out);
        assert_memory_not_equal(first, again, sizeof first);
    }
    free(image.samples);
    free(image.labels);
}

static void objects_that_are_mostly_outside_are_left_out(void **state)
{
    (void)state;
    struct training_image image = make_image(0, 0, 160, 120);
    struct dataset_object object = {0, 0, 320, 240, 0, 1}; /* the whole image, larger than any crop of it */
    static float input[SIDE * SIDE];
    int kept = 0;
    for (uint64_t stream = 0; stream < 300; stream++) {
        struct target_object objects[1];
        struct augmented out = {.side = SIDE, .input = input, .objects = objects};
        struct random random = random_stream(2, stream);
        augment_example(&image, &object, 1, &random, &out);
        kept += (int)out.object_count;
        for (size_t i = 0; i < out.object_count; i++)
            assert_true(objects[i].x0 >= 0 && objects[i].x1 <= SIDE && objects[i].y0 >= 0 && objects[i].y1 <= SIDE);
    }
    /* A crop shows (96 / zoom)^2 of 160 x 120: more than a quarter below zoom 1.386, nearly always. */
    assert_in_range(kept, 270, 300);
    free(image.samples);
    free(image.labels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rate_warms_up_peaks_and_falls_to_a_hundredth),
        cmocka_unit_test(short_trainings_have_sound_rates_too),
        cmocka_unit_test(the_average_forgets_the_random_start),
        cmocka_unit_test(an_epoch_shows_every_image_and_rare_ones_more_often),
        cmocka_unit_test(the_order_depends_on_the_seed_alone),
        cmocka_unit_test(pixels_labels_and_boxes_move_together),
        cmocka_unit_test(a_cut_object_is_as_large_as_what_is_seen_of_it),
        cmocka_unit_test(an_example_is_a_function_of_its_stream),
        cmocka_unit_test(objects_that_are_mostly_outside_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
