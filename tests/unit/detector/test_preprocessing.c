/* kernels/detector: resampling, intensities, padding. */
#include "assert_near.h"

#include <stdlib.h>
#include <string.h>

#include "preprocessing.h"
#include "random.h"

static struct plane random_plane(int width, int height, int channels)
{
    struct plane plane;
    struct failure why;
    struct random random = random_stream(1, (uint64_t)(width * height));
    assert_code_ok(resample_create(width, height, channels, &plane, &why), why);
    for (int i = 0; i < width * height * channels; i++)
        plane.data[i] = (float)random_uniform(&random);
    return plane;
}

/* The mean of the input over an output pixel's rectangle, by summing 1/8-pixel squares. */
static double slow_area_mean(const struct plane *in, const int size[2], const int at[2], int channel)
{
    const int parts = 400;
    double sum = 0;
    for (int v = 0; v < parts; v++) {
        for (int u = 0; u < parts; u++) {
            int x = (int)((at[0] + (u + 0.5) / parts) * in->width / size[0]);
            int y = (int)((at[1] + (v + 0.5) / parts) * in->height / size[1]);
            sum += in->data[(y * in->width + x) * in->channels + channel];
        }
    }
    return sum / (parts * parts);
}

static void shrinking_is_the_mean_over_the_area(void **state)
{
    (void)state;
    SCOPE_PLANE in = random_plane(23, 17, 3);
    SCOPE_PLANE out = {0};
    struct failure why;
    assert_code_ok(resample_plane(&in, 9, 5, &out, &why), why);
    const int size[2] = {9, 5};
    for (int y = 0; y < 5; y++)
        for (int x = 0; x < 9; x++) {
            const int at[2] = {x, y};
            assert_near(out.data[(y * 9 + x) * 3 + 1], slow_area_mean(&in, size, at, 1), 2e-3);
        }
}

static void growing_goes_linearly_between_centres(void **state)
{
    (void)state;
    SCOPE_PLANE in = {0}, out = {0};
    struct failure why;
    assert_code_ok(resample_create(2, 1, 1, &in, &why), why);
    in.data[1] = 1;
    assert_code_ok(resample_plane(&in, 4, 2, &out, &why), why);
    const double expected[4] = {0, 0.25, 0.75, 1};
    for (int i = 0; i < 8; i++)
        assert_near(out.data[i], expected[i % 4], 1e-6);
}

static void resampling_keeps_a_constant_image(void **state)
{
    (void)state;
    const int sizes[][2] = {{1, 1}, {3, 50}, {64, 64}, {63, 65}, {200, 7}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        SCOPE_PLANE in = {0}, out = {0};
        struct failure why;
        assert_code_ok(resample_create(64, 64, 1, &in, &why), why);
        for (int k = 0; k < 64 * 64; k++)
            in.data[k] = 0.37f;
        assert_code_ok(resample_plane(&in, sizes[i][0], sizes[i][1], &out, &why), why);
        for (int k = 0; k < sizes[i][0] * sizes[i][1]; k++)
            assert_near(out.data[k], 0.37, 1e-5);
    }
}

static void percentiles_are_ranks_of_sorted_samples(void **state)
{
    (void)state;
    SCOPE_IMAGE image = {0};
    struct failure why;
    assert_code_ok(image_create(100, 10, 1, 16, &image, &why), why);
    for (int i = 0; i < 1000; i++)
        ((uint16_t *)image.data)[(i * 7) % 1000] = (uint16_t)(100 + i);
    double low, high;
    preprocessing_percentiles(&image, &low, &high);
    assert_near(low * 65535, 109, 1e-6);   /* the 10th of 1000 */
    assert_near(high * 65535, 1097, 1e-6); /* the 998th */
}

static void an_empty_field_stays_dark(void **state)
{
    (void)state;
    SCOPE_IMAGE image = {0};
    SCOPE_PLANE plane = {0};
    struct failure why;
    assert_code_ok(image_create(64, 64, 1, 16, &image, &why), why);
    for (int i = 0; i < 64 * 64; i++)
        ((uint16_t *)image.data)[i] = (uint16_t)(300 + i % 20);
    struct preprocessing recipe = {
        .intensity = INTENSITY_PERCENTILE, .range_floor = 500.0 / 65535, .scale = 1, .channels = 1};
    assert_code_ok(preprocessing_apply(&recipe, &image, &plane, &why), why);
    for (int i = 0; i < 64 * 64; i++)
        assert_true(plane.data[i] < 0.05f);
}

static void grey_becomes_three_channels_and_colour_becomes_grey(void **state)
{
    (void)state;
    SCOPE_IMAGE grey = {0}, colour = {0};
    SCOPE_PLANE three = {0}, one = {0};
    struct failure why;
    assert_code_ok(image_create(4, 4, 1, 8, &grey, &why), why);
    assert_code_ok(image_create(4, 4, 3, 8, &colour, &why), why);
    memset(grey.data, 51, 16);
    ((uint8_t *)colour.data)[1] = 255; /* pure green */
    struct preprocessing recipe = {.intensity = INTENSITY_FULL, .scale = 1, .channels = 3};
    assert_code_ok(preprocessing_apply(&recipe, &grey, &three, &why), why);
    for (int i = 0; i < 48; i++)
        assert_near(three.data[i], 0.2, 1e-6);
    recipe.channels = 1;
    assert_code_ok(preprocessing_apply(&recipe, &colour, &one, &why), why);
    assert_near(one.data[0], 0.587, 1e-6);
    assert_near(one.data[1], 0, 1e-6);
}

static void a_window_beyond_the_image_shows_the_given_colour(void **state)
{
    (void)state;
    SCOPE_PLANE plane = {0};
    struct failure why;
    assert_code_ok(resample_create(5, 1, 1, &plane, &why), why);
    for (int i = 0; i < 5; i++)
        plane.data[i] = (float)i / 10;
    struct preprocessing_window window = {-1, 0, 8, 2, {0.7f}};
    float input[16];
    preprocessing_copy_window(&plane, &window, input);
    const double expected[16] = {.7, 0, .1, .2, .3, .4, .7, .7, .7, .7, .7, .7, .7, .7, .7, .7};
    for (int i = 0; i < 16; i++)
        assert_near(input[i], (expected[i] - 0.5) * 4, 1e-6);
}

static int compare_floats(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

static void medians_are_those_of_sorted_samples(void **state)
{
    (void)state;
    SCOPE_PLANE plane = random_plane(31, 17, 1);
    float median[3];
    preprocessing_medians(&plane, median);
    qsort(plane.data, 31 * 17, sizeof(float), compare_floats);
    assert_near(median[0], plane.data[31 * 17 / 2], 1e-3);
}

static void padded_sides_are_multiples_that_hold_the_side(void **state)
{
    (void)state;
    for (int side = 1; side <= 1024; side++) {
        int padded = preprocessing_padded(side);
        assert_true(padded >= side && padded % 32 == 0 && padded < side + 128);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shrinking_is_the_mean_over_the_area),
        cmocka_unit_test(growing_goes_linearly_between_centres),
        cmocka_unit_test(resampling_keeps_a_constant_image),
        cmocka_unit_test(percentiles_are_ranks_of_sorted_samples),
        cmocka_unit_test(an_empty_field_stays_dark),
        cmocka_unit_test(grey_becomes_three_channels_and_colour_becomes_grey),
        cmocka_unit_test(a_window_beyond_the_image_shows_the_given_colour),
        cmocka_unit_test(medians_are_those_of_sorted_samples),
        cmocka_unit_test(padded_sides_are_multiples_that_hold_the_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
