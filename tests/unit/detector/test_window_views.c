/* kernels/detector: what eight views say of a window is the mean of what four say of it and what four say of the smaller
 * window. */
#include "testing.h"

#include <math.h>
#include <stdlib.h>

#include "device.h"
#include "preprocessing.h"
#include "random.h"
#include "resample.h"
#include "scope.h"
#include "window_views.h"

enum { RAYS = 8, CLASSES = 2, CHANNELS = 3 };

static const struct network_architecture architecture = {NETWORK_N, CHANNELS, CLASSES, RAYS};

struct networks {
    const struct device *device;
    struct network *made[4];
    int count;
};

static enum code make_network(void *context, int width, int height, struct network **out, struct failure *why)
{
    struct networks *networks = context;
    const struct network_plan plan = {.batch = 1, .height = height, .width = width};
    enum code code = network_create(networks->device, &architecture, &plan, out, why);
    if (code != CODE_OK)
        return code;
    network_initialize(*out, 5);
    assert_true(networks->count < 4);
    networks->made[networks->count++] = *out;
    return CODE_OK;
}

static void look(const struct device *device, int views, const struct window_input *window, struct sight *seen)
{
    struct networks networks = {device, {NULL}, 0};
    const struct window_networks where = {make_network, &networks};
    struct failure why;
    assert_code_ok(window_views_look(&where, &architecture, views, window, seen, &why), why);
    for (int i = 0; i < networks.count; i++)
        network_destroy(networks.made[i]);
}

static void make_window(int width, int height, struct window_input *out)
{
    struct random random = random_stream(3, 4);
    size_t count = (size_t)width * (size_t)height * CHANNELS;
    *out = (struct window_input){width, height, CHANNELS, malloc(count * sizeof *out->values), {-1, -0.5f, 0.25f}};
    assert_non_null(out->values);
    for (size_t i = 0; i < count; i++)
        out->values[i] = (float)random_below(&random, 4000) / 1000 - 2;
}

/* The window at three quarters of its size, continued to sides that the network takes. */
static void make_smaller(const struct window_input *window, struct window_input *out)
{
    const struct plane whole = {window->width, window->height, CHANNELS, window->values};
    int width = window->width * 3 / 4, height = window->height * 3 / 4;
    SCOPE_PLANE plane = {0};
    struct failure why;
    assert_code_ok(resample_plane(&whole, width, height, &plane, &why), why);
    make_window(preprocessing_padded(width), preprocessing_padded(height), out);
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++)
            for (int c = 0; c < CHANNELS; c++)
                out->values[(y * out->width + x) * CHANNELS + c] =
                    x < width && y < height ? plane.data[(y * width + x) * CHANNELS + c] : window->outside[c];
}

/* The value that a grid has at a place between its cells, linearly; beyond the middles of the outermost cells theirs. */
static double between(const float *values, int row_cells, int columns, int rows, int channels, double x, double y, int c)
{
    x = fmin(fmax(x, 0), columns - 1), y = fmin(fmax(y, 0), rows - 1);
    int left = (int)x, top = (int)y, right = left + 1 < columns ? left + 1 : left, bottom = top + 1 < rows ? top + 1 : top;
    double across = x - left, down = y - top;
#define AT(row, column) values[((row)*row_cells + (column)) * channels + c]
    return (1 - down) * ((1 - across) * AT(top, left) + across * AT(top, right)) +
           down * ((1 - across) * AT(bottom, left) + across * AT(bottom, right));
#undef AT
}

/* Logits become probabilities, of which the mean is taken. */
static void to_probabilities(struct sight *seen)
{
    const struct decode_outputs *shape = &seen->outputs;
    for (int i = 0; i < shape->rows * shape->columns * CLASSES; i++)
        seen->values[i] = 1 / (1 + expf(-seen->values[i]));
}

static void expect_mean(const float *both, const float *large, const float *small, const struct decode_outputs *shape,
                        int small_row_cells, int channels, double longer)
{
    for (int row = 0; row < shape->rows; row++)
        for (int column = 0; column < shape->columns; column++)
            for (int c = 0; c < channels; c++) {
                size_t at = (size_t)((row * shape->columns + column) * channels + c);
                double grown = longer + between(small, small_row_cells, shape->columns * 3 / 4, shape->rows * 3 / 4,
                                                channels, (column + 0.5) * 0.75 - 0.5, (row + 0.5) * 0.75 - 0.5, c);
                assert_true(fabs(both[at] - (large[at] + grown) / 2) < 1e-4);
            }
}

static void eight_views_are_the_mean_of_two_sizes(void **state)
{
    (void)state;
    const struct device_options one_thread = {.threads = 1};
    const int sides[][2] = {{256, 128}, {96, 64}}; /* of the second, three quarters are not sides that the network takes */
    struct device *device;
    struct failure why;
    assert_code_ok(device_open("cpu", &one_thread, &device, &why), why);
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        struct window_input window, smaller;
        struct sight both = {0}, large = {0}, small = {0};
        make_window(sides[i][0], sides[i][1], &window);
        make_smaller(&window, &smaller);
        look(device, WINDOW_VIEWS_SIZES, &window, &both);
        look(device, WINDOW_VIEWS_MIRRORED, &window, &large);
        look(device, WINDOW_VIEWS_MIRRORED, &smaller, &small);
        to_probabilities(&both);
        to_probabilities(&large);
        to_probabilities(&small);
        const struct decode_outputs *b = &both.outputs, *l = &large.outputs, *s = &small.outputs;
        assert_true(b->rows == sides[i][1] / 4 && b->columns == sides[i][0] / 4);
        expect_mean(b->heat, l->heat, s->heat, b, s->columns, CLASSES, 0);
        expect_mean(b->box, l->box, s->box, b, s->columns, 4, log(4.0 / 3));
        expect_mean(b->rays, l->rays, s->rays, b, s->columns, RAYS, log(4.0 / 3));
        window_views_free(&both);
        window_views_free(&large);
        window_views_free(&small);
        free(window.values);
        free(smaller.values);
    }
    device_close(device);
}

static void other_numbers_of_views_are_none(void **state)
{
    (void)state;
    for (int views = -1; views <= 17; views++)
        assert_int_equal(window_views_are_possible(views, RAYS), views == 1 || views == 4 || views == 8);
    assert_true(window_views_are_possible(1, 7));
    assert_false(window_views_are_possible(4, 7));
    assert_false(window_views_are_possible(8, 7));
    assert_true(window_views_are_possible(8, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_views_are_the_mean_of_two_sizes),
        cmocka_unit_test(other_numbers_of_views_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
