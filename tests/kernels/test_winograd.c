/* Winograd's loops as built for each instruction set, against the definition of a convolution and of its
 * gradients, in double precision.  (test_operations holds whole convolutions of the device against "ref".) */
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cpu_loops.h"
#include "cpu_winograd_loops.h"
#include "random.h"

static const struct cpu_winograd_loops *loops;

/* One image of 2 x 2 tiles, the lower and right ones cut by its edge. */
enum { HEIGHT = 7, WIDTH = 6, TILES = 4, DEPTHS = 32, OUTPUTS_MAX = 112, DISTANCE_MAX = CPU_WINOGRAD_ROWS * OUTPUTS_MAX };

#define WEIGHTS_DISTANCE(outputs) (DEPTHS * (outputs) + 3) /* any that is large enough */

static float x[HEIGHT * WIDTH * DEPTHS], y[HEIGHT * WIDTH * OUTPUTS_MAX], bias[OUTPUTS_MAX];
static float weights[OUTPUTS_MAX * 9 * DEPTHS], dweights[OUTPUTS_MAX * 9 * DEPTHS];
static float weight_points[WINOGRAD_POINTS * WEIGHTS_DISTANCE(OUTPUTS_MAX)];
static float points[WINOGRAD_POINTS * DISTANCE_MAX], products[WINOGRAD_POINTS * DISTANCE_MAX];

static void fill(float *values, size_t count, uint64_t seed)
{
    struct random random = random_stream(seed, 1);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)random_between(&random, -1, 1);
}

static double pixel(const float *image, int row, int column, size_t channels, size_t channel)
{
    if (row < 0 || row >= HEIGHT || column < 0 || column >= WIDTH)
        return 0;
    return (double)image[(size_t)(row * WIDTH + column) * channels + channel];
}

static struct cpu_winograd_tile tile_of(int tile, const float *image, size_t channels, int border, float *to)
{
    return (struct cpu_winograd_tile){.image = image,
                                      .height = HEIGHT,
                                      .width = WIDTH,
                                      .channels = channels,
                                      .row = tile / 2 * WINOGRAD_TILE - border,
                                      .column = tile % 2 * WINOGRAD_TILE - border,
                                      .points = to + (size_t)tile * channels,
                                      .distance = CPU_WINOGRAD_ROWS * channels};
}

static void convolve(size_t outputs)
{
    memset(points, 0, sizeof points);
    const struct cpu_winograd_weights forward = {.weights = weights,
                                                 .points = weight_points,
                                                 .depths = DEPTHS,
                                                 .outputs = outputs,
                                                 .distance = WEIGHTS_DISTANCE(outputs),
                                                 .tap = DEPTHS,
                                                 .depth = 1,
                                                 .output = 9 * DEPTHS};
    for (size_t depth = 0; depth < DEPTHS; depth += CPU_LANES)
        for (size_t output = 0; output < outputs; output += CPU_LANES)
            loops->transform_weights(&forward, depth, output);
    for (int tile = 0; tile < TILES; tile++) {
        const struct cpu_winograd_tile from = tile_of(tile, x, DEPTHS, 1, points);
        loops->gather[DTYPE_F32](&from);
    }
    for (size_t p = 0; p < WINOGRAD_POINTS; p++)
        loops->multiply(points + p * CPU_WINOGRAD_ROWS * DEPTHS, weight_points + p * WEIGHTS_DISTANCE(outputs),
                        products + p * CPU_WINOGRAD_ROWS * outputs, TILES, DEPTHS, outputs);
    for (int tile = 0; tile < TILES; tile++)
        loops->scatter[DTYPE_F32](&(struct cpu_winograd_result){.image = y,
                                                                .height = HEIGHT,
                                                                .width = WIDTH,
                                                                .channels = outputs,
                                                                .row = tile / 2 * WINOGRAD_TILE,
                                                                .column = tile % 2 * WINOGRAD_TILE,
                                                                .points = products + (size_t)tile * outputs,
                                                                .distance = CPU_WINOGRAD_ROWS * outputs,
                                                                .bias = bias});
}

static double defined(int row, int column, size_t output)
{
    double sum = (double)bias[output];
    for (int tap = 0; tap < 9; tap++)
        for (size_t k = 0; k < DEPTHS; k++)
            sum += pixel(x, row + tap / 3 - 1, column + tap % 3 - 1, DEPTHS, k) *
                   (double)weights[(output * 9 + (size_t)tap) * DEPTHS + k];
    return sum;
}

/* Strips of 1, 2, 3 and 4 vectors, and several of them. */
static const size_t widths[] = {16, 32, 48, 64, 80, 96, 112};

static void tiles_give_the_convolution(void **state)
{
    (void)state;
    fill(x, sizeof x / sizeof *x, 1);
    fill(weights, sizeof weights / sizeof *weights, 2);
    fill(bias, sizeof bias / sizeof *bias, 3);
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        fill(y, sizeof y / sizeof *y, 4);
        convolve(widths[w]);
        for (int at = 0; at < HEIGHT * WIDTH; at++)
            for (size_t output = 0; output < widths[w]; output += 5) {
                double want = defined(at / WIDTH, at % WIDTH, output);
                double found = pixel(y, at / WIDTH, at % WIDTH, widths[w], output);
                if (!(fabs(want - found) < 1e-4))
                    fail_msg("%zu outputs, pixel %d: %g instead of %g", widths[w], at, found, want);
            }
    }
}

/* The gradient of one weight, by the definition; y holds dy. */
static double defined_gradient(size_t outputs, size_t output, int tap, size_t depth)
{
    double sum = 0;
    for (int at = 0; at < HEIGHT * WIDTH; at++)
        sum += pixel(y, at / WIDTH, at % WIDTH, outputs, output) *
               pixel(x, at / WIDTH + tap / 3 - 1, at % WIDTH + tap % 3 - 1, DEPTHS, depth);
    return sum;
}

static void tiles_give_the_gradient_of_weights(void **state)
{
    (void)state;
    fill(x, sizeof x / sizeof *x, 1);
    fill(y, sizeof y / sizeof *y, 5);
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        size_t outputs = widths[w];
        memset(weight_points, 0, sizeof weight_points);
        for (int tile = 0; tile < TILES; tile++) {
            const struct cpu_winograd_tile from = tile_of(tile, x, DEPTHS, 1, points),
                                           gradient = tile_of(tile, y, outputs, 0, products);
            loops->gather[DTYPE_F32](&from);
            loops->gather_gradient[DTYPE_F32](&gradient);
        }
        for (size_t p = 0; p < WINOGRAD_POINTS; p++)
            loops->accumulate(points + p * CPU_WINOGRAD_ROWS * DEPTHS, products + p * CPU_WINOGRAD_ROWS * outputs,
                              weight_points + p * WEIGHTS_DISTANCE(outputs), TILES, DEPTHS, outputs);
        const struct cpu_winograd_weights_gradient gradient = {weight_points, dweights, DEPTHS, outputs,
                                                               WEIGHTS_DISTANCE(outputs)};
        for (size_t depth = 0; depth < DEPTHS; depth += CPU_LANES)
            for (size_t output = 0; output < outputs; output += CPU_LANES)
                loops->weights_gradient(&gradient, depth, output);
        for (size_t output = 0; output < outputs; output += 3)
            for (int tap = 0; tap < 9; tap++)
                for (size_t depth = 0; depth < DEPTHS; depth += 7) {
                    double want = defined_gradient(outputs, output, tap, depth);
                    double found = (double)dweights[(output * 9 + (size_t)tap) * DEPTHS + depth];
                    if (!(fabs(want - found) < 1e-4))
                        fail_msg("%zu outputs, weight %zu %d %zu: %g instead of %g", outputs, output, tap, depth, found,
                                 want);
                }
    }
}

static int use_common(void **state)
{
    (void)state;
#ifdef __x86_64__
    loops = &cpu_winograd_loops_avx512;
#endif
    return 0;
}

static int use_bf16(void **state)
{
    (void)state;
#ifdef __x86_64__
    loops = &cpu_winograd_loops_avx512_bf16;
#endif
    return 0;
}

int main(void)
{
    bool common = false, bf16 = false;
#ifdef __x86_64__
    common = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    bf16 = common && __builtin_cpu_supports("avx512bf16");
#endif
    if (!common) {
        puts("skipped: this processor has no AVX-512");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_give_the_convolution),
        cmocka_unit_test(tiles_give_the_gradient_of_weights),
    };
    int failed = cmocka_run_group_tests_name("AVX-512", tests, use_common, NULL);
    if (bf16)
        failed += cmocka_run_group_tests_name("AVX-512 with bf16", tests, use_bf16, NULL);
    return failed;
}
