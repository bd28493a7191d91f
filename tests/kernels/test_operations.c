/* Every operation of the tested device (operands.h) against the plain loops of "ref", over shapes and element types. */
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "operands.h"
#include "scope.h"

static struct operands operands;

#define assert_close(pair, dtype, what)                                                                                     \
    do {                                                                                                                    \
        double distance_ = operands_distance(&operands, pair);                                                              \
        if (!(distance_ <= operands_tolerance(dtype)))                                                                      \
            fail_msg("%s: devices differ by %g", what, distance_);                                                          \
    } while (0)

static int open_devices(void **state)
{
    (void)state;
    operands_open(&operands);
    return 0;
}

static int close_devices(void **state)
{
    (void)state;
    operands_close(&operands);
    return 0;
}

/* f32, and bf16 where this processor has it. */
static int dtype_count(void)
{
    return operands.tested->bf16 ? 2 : 1;
}

static const struct convolution_spec shapes[] = {
    {.batch = 2, .height = 16, .width = 8, .channels_in = 3, .channels_out = 16, .kernel = 3, .stride = 2},
    {.batch = 1, .height = 8, .width = 16, .channels_in = 1, .channels_out = 16, .kernel = 3, .stride = 2},
    {.batch = 2, .height = 12, .width = 10, .channels_in = 16, .channels_out = 32, .kernel = 3, .stride = 1},
    {.batch = 1, .height = 1, .width = 1, .channels_in = 96, .channels_out = 128, .kernel = 3, .stride = 1},
    {.batch = 3, .height = 2, .width = 6, .channels_in = 48, .channels_out = 48, .kernel = 3, .stride = 2},
    {.batch = 2, .height = 6, .width = 6, .channels_in = 32, .channels_out = 64, .kernel = 1, .stride = 2},
    {.batch = 1, .height = 9, .width = 7, .channels_in = 48, .channels_out = 4, .kernel = 1, .stride = 1},
    {.batch = 1, .height = 5, .width = 5, .channels_in = 48, .channels_out = 1, .kernel = 1, .stride = 1},
    {.batch = 2, .height = 20, .width = 9, .channels_in = 112, .channels_out = 7, .kernel = 1, .stride = 1},
    /* enough tiles of 4 x 4 that the CPU takes Winograd's algorithm, most images cut within one */
    {.batch = 2, .height = 30, .width = 21, .channels_in = 16, .channels_out = 16, .kernel = 3, .stride = 1},
    {.batch = 1, .height = 46, .width = 43, .channels_in = 16, .channels_out = 32, .kernel = 3, .stride = 1},
    {.batch = 1, .height = 46, .width = 43, .channels_in = 32, .channels_out = 16, .kernel = 3, .stride = 1},
};

#define SHAPE_COUNT (sizeof shapes / sizeof shapes[0])

/* The operands of one convolution, on both sides. */
struct convolving {
    struct convolution_spec spec;
    struct convolution *plans[2];
    struct pair x, y, weights, scale, bias, dy, dx, dweights, dbias;
};

static void convolving_open(struct convolving *c, const struct convolution_spec *spec)
{
    int rows = (spec->height + spec->stride - 1) / spec->stride, columns = (spec->width + spec->stride - 1) / spec->stride;
    const int input[4] = {spec->batch, spec->height, spec->width, spec->channels_in};
    const int output[4] = {spec->batch, rows, columns, spec->channels_out};
    const int kernel[4] = {spec->channels_out, spec->kernel, spec->kernel, spec->channels_in};
    *c = (struct convolving){.spec = *spec,
                             .x = operands_tensor(&operands, spec->dtype, input, -1, 1),
                             .y = operands_tensor(&operands, spec->dtype_out, output, -1, 1),
                             .dx = operands_tensor(&operands, spec->dtype, input, -1, 1),
                             .dy = operands_tensor(&operands, spec->dtype, output, -1, 1),
                             .weights = operands_tensor(&operands, DTYPE_F32, kernel, -1, 1),
                             .dweights = operands_tensor(&operands, DTYPE_F32, kernel, -1, 1),
                             .scale = operands_vector(&operands, spec->channels_out, 0.5, 2),
                             .bias = operands_vector(&operands, spec->channels_out, -1, 1),
                             .dbias = operands_vector(&operands, spec->channels_out, -1, 1)};
    for (int side = 0; side < 2; side++) {
        const struct device *device = operands_device(&operands, side);
        struct failure why;
        assert_code_ok(device->operations->convolution_create(device, spec, &c->plans[side], &why), why);
    }
}

static void convolving_close(struct convolving *c)
{
    struct pair *const pairs[] = {&c->x, &c->y, &c->weights, &c->scale, &c->bias, &c->dy, &c->dx, &c->dweights, &c->dbias};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        operands_release(&operands, pairs[i]);
    for (int side = 0; side < 2; side++)
        operands_device(&operands, side)->operations->convolution_destroy(c->plans[side]);
}

static void convolving_forward(struct convolving *c, bool scaled)
{
    for (int side = 0; side < 2; side++) {
        const struct device *device = operands_device(&operands, side);
        struct failure why;
        device->operations->convolution_set_weights(c->plans[side], c->weights.on[side].data,
                                                    scaled ? c->scale.on[side].data : NULL,
                                                    c->spec.bias ? c->bias.on[side].data : NULL);
        device->operations->convolution_forward(c->plans[side], c->x.on[side].data, c->y.on[side].data);
        assert_code_ok(device->operations->synchronize(device, &why), why);
    }
}

static void convolving_backward(struct convolving *c)
{
    for (int side = 0; side < 2; side++) {
        const struct device_operations *operations = operands_device(&operands, side)->operations;
        operations->convolution_backward_weights(c->plans[side], c->x.on[side].data, c->dy.on[side].data,
                                                 c->dweights.on[side].data, c->dbias.on[side].data);
        operations->convolution_backward_data(c->plans[side], c->dy.on[side].data, c->dx.on[side].data);
    }
}

static void training_convolutions_agree_forward_and_backward(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype < dtype_count(); dtype++)
        for (size_t i = 0; i < SHAPE_COUNT; i++)
            for (int bias = 0; bias < 2; bias++) {
                struct convolution_spec spec = shapes[i];
                spec.dtype = (enum dtype)dtype;
                spec.dtype_out = bias ? DTYPE_F32 : (enum dtype)dtype; /* heads have a bias and f32 logits */
                spec.bias = bias;
                spec.training = spec.input_gradient = true;
                struct convolving c;
                char what[64];
                snprintf(what, sizeof what, "shape %zu, %s, bias %d", i, dtype == DTYPE_F32 ? "f32" : "bf16", bias);
                convolving_open(&c, &spec);
                convolving_forward(&c, false);
                convolving_backward(&c);
                assert_close(&c.y, spec.dtype, what);
                assert_close(&c.dx, spec.dtype, what);
                assert_close(&c.dweights, spec.dtype, what);
                assert_close(&c.dbias, spec.dtype, what);
                convolving_close(&c);
            }
}

static void inference_convolutions_agree_with_every_epilogue(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype < dtype_count(); dtype++)
        for (size_t i = 0; i < SHAPE_COUNT; i++)
            for (int epilogue = 0; epilogue < 8; epilogue++) {
                struct convolution_spec spec = shapes[i];
                spec.dtype = spec.dtype_out = (enum dtype)dtype;
                spec.bias = epilogue & 1;
                spec.accumulate = epilogue & 2;
                spec.relu = epilogue & 4;
                struct convolving c;
                char what[64];
                snprintf(what, sizeof what, "shape %zu, %s, epilogue %d", i, dtype == DTYPE_F32 ? "f32" : "bf16", epilogue);
                convolving_open(&c, &spec);
                convolving_forward(&c, true);
                assert_close(&c.y, spec.dtype, what);
                convolving_close(&c);
            }
}

/* ---- batch norm ---- */

static const int norm_shapes[][4] = {{2, 16, 16, 16}, {1, 3, 5, 48}, {3, 8, 9, 112}, {8, 40, 40, 32}, {1, 1, 1, 16}};

#define NORM_SHAPE_COUNT (sizeof norm_shapes / sizeof norm_shapes[0])

struct normalizing {
    struct pair x, y, residual, gradients[GRADIENT_SUMMANDS_MAX], dx;
    struct pair gamma, beta, running_mean, running_variance, mean, inverse, dgamma, dbeta;
    bool lone;                            /* the backward pass is given beta */
    const struct convolution *sources[2]; /* that made x */
};

static struct normalizing normalizing_open(enum dtype dtype, const int shape[4])
{
    int channels = shape[3];
    struct normalizing n = {.x = operands_tensor(&operands, dtype, shape, 2, 5), /* far from zero: no cancelling */
                            .y = operands_tensor(&operands, dtype, shape, -1, 1),
                            .residual = operands_tensor(&operands, dtype, shape, -1, 1),
                            .dx = operands_tensor(&operands, dtype, shape, -1, 1),
                            .gamma = operands_vector(&operands, channels, -1, 1),
                            .beta = operands_vector(&operands, channels, -1, 1),
                            .running_mean = operands_vector(&operands, channels, -1, 1),
                            .running_variance = operands_vector(&operands, channels, 1, 2),
                            .mean = operands_vector(&operands, channels, 0, 1),
                            .inverse = operands_vector(&operands, channels, 0, 1),
                            .dgamma = operands_vector(&operands, channels, 0, 1),
                            .dbeta = operands_vector(&operands, channels, 0, 1)};
    for (int k = 0; k < GRADIENT_SUMMANDS_MAX; k++)
        n.gradients[k] = operands_tensor(&operands, dtype, shape, -1, 1);
    return n;
}

static void normalizing_close(struct normalizing *n)
{
    struct pair *const pairs[] = {
        &n->x,       &n->y,      &n->residual, &n->gradients[0], &n->gradients[1],     &n->gradients[2],
        &n->dx,      &n->gamma,  &n->beta,     &n->running_mean, &n->running_variance, &n->mean,
        &n->inverse, &n->dgamma, &n->dbeta};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        operands_release(&operands, pairs[i]);
}

static void normalizing_forward(struct normalizing *n, bool residual, bool relu)
{
    for (int side = 0; side < 2; side++) {
        const struct device *device = operands_device(&operands, side);
        device->operations->norm_forward(device,
                                         &(struct norm_forward){.x = n->x.on[side],
                                                                .source = n->sources[side],
                                                                .y = n->y.on[side],
                                                                .residual = residual ? &n->residual.on[side] : NULL,
                                                                .relu = relu,
                                                                .gamma = n->gamma.on[side].data,
                                                                .beta = n->beta.on[side].data,
                                                                .running_mean = n->running_mean.on[side].data,
                                                                .running_variance = n->running_variance.on[side].data,
                                                                .mean = n->mean.on[side].data,
                                                                .inverse_deviation = n->inverse.on[side].data});
    }
}

static void normalizing_backward(struct normalizing *n, int gradient_count, bool relu, bool in_place)
{
    for (int side = 0; side < 2; side++) {
        const struct device *device = operands_device(&operands, side);
        struct norm_backward norm = {.x = n->x.on[side],
                                     .y = n->y.on[side],
                                     .relu = relu,
                                     .gradient_count = gradient_count,
                                     .gamma = n->gamma.on[side].data,
                                     .mean = n->mean.on[side].data,
                                     .inverse_deviation = n->inverse.on[side].data,
                                     .dx = in_place ? n->gradients[0].on[side] : n->dx.on[side],
                                     .dgamma = n->dgamma.on[side].data,
                                     .dbeta = n->dbeta.on[side].data,
                                     .beta = n->lone ? n->beta.on[side].data : NULL};
        for (int k = 0; k < gradient_count; k++)
            norm.gradients[k] = n->gradients[k].on[side];
        device->operations->norm_backward(device, &norm);
    }
}

static void batch_norm_agrees_with_residual_and_relu(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++)
        for (size_t i = 0; i < NORM_SHAPE_COUNT; i++)
            for (int kind = 0; kind < 4; kind++) {
                struct normalizing n = normalizing_open((enum dtype)dtype, norm_shapes[i]);
                normalizing_forward(&n, kind & 1, kind & 2);
                assert_close(&n.y, (enum dtype)dtype, "y");
                assert_close(&n.mean, DTYPE_F32, "mean");
                assert_close(&n.inverse, DTYPE_F32, "inverse deviation");
                assert_close(&n.running_mean, DTYPE_F32, "running mean");
                assert_close(&n.running_variance, DTYPE_F32, "running variance");
                normalizing_close(&n);
            }
}

/* What a convolution sums on its way serves as well as what the norm sums itself. */
static void batch_norm_agrees_behind_a_convolution(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype < dtype_count(); dtype++)
        for (size_t i = 0; i < SHAPE_COUNT; i++) {
            struct convolution_spec spec = shapes[i];
            if (spec.channels_out % NORM_CHANNELS_UNIT != 0)
                continue;
            spec.dtype = spec.dtype_out = (enum dtype)dtype;
            spec.training = spec.normalized = true;
            struct convolving c;
            convolving_open(&c, &spec);
            convolving_forward(&c, false);
            const struct tensor *made = &c.y.on[0];
            struct normalizing n = normalizing_open((enum dtype)dtype, (const int[4]){made->n, made->h, made->w, made->c});
            SCOPE_FREE void *values = malloc(tensor_bytes(made));
            assert_non_null(values);
            for (int side = 0; side < 2; side++) { /* both have what the tested device computed */
                operands_fetch(&operands, &c.y, 0, values);
                operands_send(&operands, &n.x, side, values);
            }
            n.sources[0] = c.plans[0];
            normalizing_forward(&n, true, true);
            char what[64];
            snprintf(what, sizeof what, "behind shape %zu, %s", i, dtype == DTYPE_F32 ? "f32" : "bf16");
            assert_close(&n.y, spec.dtype, what);
            assert_close(&n.mean, spec.dtype, what);
            if (tensor_pixels(made) > 1) /* the deviation of one pixel is that of nothing */
                assert_close(&n.inverse, spec.dtype, what);
            assert_close(&n.running_variance, spec.dtype, what);
            normalizing_close(&n);
            convolving_close(&c);
        }
}

static void take_from_ref(const struct pair *pair)
{
    SCOPE_FREE void *values = malloc(tensor_bytes(&pair->on[1]));
    assert_non_null(values);
    operands_fetch(&operands, pair, 1, values);
    operands_send(&operands, pair, 0, values);
}

static void batch_norm_gradients_agree_for_any_number_of_summands(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++)
        for (size_t i = 0; i < NORM_SHAPE_COUNT - 1; i++) /* of one pixel, dx is 0 and all that is left is rounding */
            for (int kind = 0; kind < 4 * GRADIENT_SUMMANDS_MAX; kind++) {
                bool in_place = kind & 1, relu = kind & 2;
                struct normalizing n = normalizing_open((enum dtype)dtype, norm_shapes[i]);
                normalizing_forward(&n, true, false); /* some y are negative even where the test calls for relu */
                /* Both sides mask by the same y: near zero the two may differ in sign. */
                take_from_ref(&n.y);
                normalizing_backward(&n, kind / 4 + 1, relu, in_place);
                assert_close(&n.gradients[0], (enum dtype)dtype, in_place ? "dx in place" : "masked gradient");
                assert_close(&n.dx, (enum dtype)dtype, "dx");
                assert_close(&n.dgamma, (enum dtype)dtype, "dgamma"); /* of the gradients before or after rounding */
                assert_close(&n.dbeta, (enum dtype)dtype, "dbeta");
                normalizing_close(&n);
            }
}

/* The CPU tells the mask from x where it may. */
static void batch_norm_gradients_agree_where_the_mask_is_nobodys(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++)
        for (size_t i = 0; i < NORM_SHAPE_COUNT - 1; i++)
            for (int in_place = 0; in_place < 2; in_place++) {
                struct normalizing n = normalizing_open((enum dtype)dtype, norm_shapes[i]);
                normalizing_forward(&n, false, true);
                n.lone = true;
                normalizing_backward(&n, 1, true, in_place);
                assert_close(in_place ? &n.gradients[0] : &n.dx, (enum dtype)dtype, "dx");
                assert_close(&n.dgamma, (enum dtype)dtype, "dgamma");
                assert_close(&n.dbeta, (enum dtype)dtype, "dbeta");
                normalizing_close(&n);
            }
}

static void folded_norms_agree(void **state)
{
    (void)state;
    struct normalizing n = normalizing_open(DTYPE_F32, norm_shapes[0]);
    for (int side = 0; side < 2; side++) {
        const struct device *device = operands_device(&operands, side);
        device->operations->norm_fold(device, norm_shapes[0][3], n.gamma.on[side].data, n.beta.on[side].data,
                                      n.running_mean.on[side].data, n.running_variance.on[side].data, n.dgamma.on[side].data,
                                      n.dbeta.on[side].data);
    }
    assert_close(&n.dgamma, DTYPE_F32, "scale");
    assert_close(&n.dbeta, DTYPE_F32, "shift");
    normalizing_close(&n);
}

/* ---- upsampling, conversion ---- */

static void upsampling_agrees_forward_and_backward(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        struct pair coarse = operands_tensor(&operands, (enum dtype)dtype, (const int[4]){2, 3, 5, 48}, -1, 1);
        struct pair fine = operands_tensor(&operands, (enum dtype)dtype, (const int[4]){2, 6, 10, 48}, -1, 1);
        for (int side = 0; side < 2; side++) {
            const struct device *device = operands_device(&operands, side);
            device->operations->upsample_add(device, &coarse.on[side], &fine.on[side]);
        }
        assert_close(&fine, (enum dtype)dtype, "fine");
        for (int side = 0; side < 2; side++) {
            const struct device *device = operands_device(&operands, side);
            device->operations->upsample_backward(device, &fine.on[side], &coarse.on[side]);
        }
        assert_close(&coarse, (enum dtype)dtype, "coarse gradient");
        operands_release(&operands, &coarse);
        operands_release(&operands, &fine);
    }
}

static void conversion_rounds_to_the_nearest_even(void **state)
{
    (void)state;
    struct pair wide = operands_tensor(&operands, DTYPE_F32, (const int[4]){3, 7, 11, 5}, -100, 100);
    struct pair narrow = operands_tensor(&operands, DTYPE_BF16, (const int[4]){3, 7, 11, 5}, 0, 0);
    static float values[3 * 7 * 11 * 5], widened[2][3 * 7 * 11 * 5];
    static uint16_t narrowed[2][3 * 7 * 11 * 5];
    operands_fetch(&operands, &wide, 1, values);
    values[0] = 1 + 0x1p-8f;     /* half way: down to the even 1 */
    values[1] = 1 + 3 * 0x1p-8f; /* half way: up to the even 1 + 2^-6 */
    for (int side = 0; side < 2; side++) {
        const struct device *device = operands_device(&operands, side);
        operands_send(&operands, &wide, side, values);
        device->operations->convert(device, &wide.on[side], &narrow.on[side]);
        device->operations->convert(device, &narrow.on[side], &wide.on[side]);
        operands_fetch(&operands, &narrow, side, narrowed[side]);
        operands_fetch(&operands, &wide, side, widened[side]);
        assert_int_equal(narrowed[side][0], 0x3F80);
        assert_int_equal(narrowed[side][1], 0x3F82);
    }
    assert_memory_equal(narrowed[0], narrowed[1], sizeof narrowed[0]);
    assert_memory_equal(widened[0], widened[1], sizeof widened[0]);
    operands_release(&operands, &wide);
    operands_release(&operands, &narrow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_convolutions_agree_forward_and_backward),
        cmocka_unit_test(inference_convolutions_agree_with_every_epilogue),
        cmocka_unit_test(batch_norm_agrees_with_residual_and_relu),
        cmocka_unit_test(batch_norm_agrees_behind_a_convolution),
        cmocka_unit_test(batch_norm_gradients_agree_for_any_number_of_summands),
        cmocka_unit_test(batch_norm_gradients_agree_where_the_mask_is_nobodys),
        cmocka_unit_test(folded_norms_agree),
        cmocka_unit_test(upsampling_agrees_forward_and_backward),
        cmocka_unit_test(conversion_rounds_to_the_nearest_even),
    };
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
