/* The plain device against mathematics: its gradients are the adjoints of its forward passes, and slopes of
 * what they compute. */
#include "testing.h"

#include <math.h>
#include <string.h>

#include "operands.h"

static struct operands operands;

enum { REF = 1 }; /* the plain side of a pair */

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

static double inner_product(const struct pair *a, const struct pair *b)
{
    const float *x = a->on[REF].data, *y = b->on[REF].data;
    double sum = 0;
    for (size_t i = 0; i < tensor_count(&a->on[REF]); i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

#define assert_near(a, b, tolerance)                                                                                        \
    do {                                                                                                                    \
        double a_ = (a), b_ = (b);                                                                                          \
        if (!(fabs(a_ - b_) <= (tolerance)*fmax(fabs(b_), 1e-2)))                                                           \
            fail_msg("%s = %.9g, %s = %.9g", #a, a_, #b, b_);                                                               \
    } while (0)

/* <dy, conv(x, w)> = <dx, x> = <dw, w>: the convolution is linear in both. */
static void convolution_gradients_are_adjoints(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        int kernel = kind & 1 ? 3 : 1, stride = kind & 2 ? 2 : 1;
        const struct convolution_spec spec = {.batch = 2,
                                              .height = 7,
                                              .width = 6,
                                              .channels_in = 3,
                                              .channels_out = 5,
                                              .kernel = kernel,
                                              .stride = stride,
                                              .bias = true,
                                              .training = true,
                                              .input_gradient = true};
        const int input[4] = {2, 7, 6, 3}, output[4] = {2, (7 + stride - 1) / stride, 6 / stride, 5};
        const int weight[4] = {5, kernel, kernel, 3};
        struct pair x = operands_tensor(&operands, DTYPE_F32, input, -1, 1), dx, y, dy, w, dw, bias, dbias;
        dx = operands_tensor(&operands, DTYPE_F32, input, 0, 0);
        y = operands_tensor(&operands, DTYPE_F32, output, 0, 0);
        dy = operands_tensor(&operands, DTYPE_F32, output, -1, 1);
        w = operands_tensor(&operands, DTYPE_F32, weight, -1, 1);
        dw = operands_tensor(&operands, DTYPE_F32, weight, 0, 0);
        bias = operands_vector(&operands, 5, 0, 0);
        dbias = operands_vector(&operands, 5, 0, 0);
        const struct device_operations *ref = operands.ref->operations;
        struct convolution *plan;
        struct failure why;
        assert_code_ok(ref->convolution_create(operands.ref, &spec, &plan, &why), why);
        ref->convolution_set_weights(plan, w.on[REF].data, NULL, bias.on[REF].data);
        ref->convolution_forward(plan, x.on[REF].data, y.on[REF].data);
        ref->convolution_backward_data(plan, dy.on[REF].data, dx.on[REF].data);
        ref->convolution_backward_weights(plan, x.on[REF].data, dy.on[REF].data, dw.on[REF].data, dbias.on[REF].data);
        assert_near(inner_product(&dx, &x), inner_product(&dy, &y), 1e-5);
        assert_near(inner_product(&dw, &w), inner_product(&dy, &y), 1e-5);
        double sum = 0, sum_bias = 0;
        for (size_t i = 0; i < tensor_count(&dy.on[REF]); i++)
            sum += (double)((const float *)dy.on[REF].data)[i];
        for (size_t i = 0; i < 5; i++)
            sum_bias += (double)((const float *)dbias.on[REF].data)[i];
        assert_near(sum_bias, sum, 1e-5);
        ref->convolution_destroy(plan);
        struct pair *const pairs[] = {&x, &dx, &y, &dy, &w, &dw, &bias, &dbias};
        for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
            operands_release(&operands, pairs[i]);
    }
}

/* By hand: a 3x3 kernel of ones with zero padding counts neighbours; stride 2 keeps every other count. */
static void a_kernel_of_ones_counts_neighbours(void **state)
{
    (void)state;
    static const float ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const float dense[16] = {4, 6, 6, 4, 6, 9, 9, 6, 6, 9, 9, 6, 4, 6, 6, 4}, sparse[4] = {4, 6, 6, 9};
    for (int side = 0; side < 2; side++)
        for (int stride = 1; stride <= 2; stride++) {
            const struct device *device = operands_device(&operands, side);
            struct convolution_spec spec = {
                .batch = 1, .height = 4, .width = 4, .channels_in = 1, .channels_out = 1, .kernel = 3, .stride = stride};
            struct convolution *plan;
            struct failure why;
            float y[16];
            assert_code_ok(device->operations->convolution_create(device, &spec, &plan, &why), why);
            device->operations->convolution_set_weights(plan, ones, NULL, NULL);
            device->operations->convolution_forward(plan, ones, y);
            assert_memory_equal(y, stride == 1 ? dense : sparse, (stride == 1 ? 16 : 4) * sizeof(float));
            device->operations->convolution_destroy(plan);
        }
}

static void the_gradient_of_upsampling_is_its_adjoint(void **state)
{
    (void)state;
    struct pair coarse = operands_tensor(&operands, DTYPE_F32, (const int[4]){2, 3, 2, 16}, -1, 1);
    struct pair dcoarse = operands_tensor(&operands, DTYPE_F32, (const int[4]){2, 3, 2, 16}, 0, 0);
    struct pair fine = operands_tensor(&operands, DTYPE_F32, (const int[4]){2, 6, 4, 16}, 0, 0);
    struct pair dfine = operands_tensor(&operands, DTYPE_F32, (const int[4]){2, 6, 4, 16}, -1, 1);
    operands.ref->operations->upsample_add(operands.ref, &coarse.on[REF], &fine.on[REF]);
    operands.ref->operations->upsample_backward(operands.ref, &dfine.on[REF], &dcoarse.on[REF]);
    assert_near(inner_product(&dcoarse, &coarse), inner_product(&dfine, &fine), 1e-5);
    const float *low = coarse.on[REF].data, *high = fine.on[REF].data;
    assert_true(high[0] == low[0] && high[16] == low[0] && high[4 * 16] == low[0] && high[2 * 16] == low[16]);
    struct pair *const pairs[] = {&coarse, &dcoarse, &fine, &dfine};
    for (size_t i = 0; i < 4; i++)
        operands_release(&operands, pairs[i]);
}

/* Batch norm with a residual: everything that its slope is measured over. */
struct normalizing {
    struct pair x, y, residual, g, gamma, beta, mean, inverse, running_mean, running_variance;
};

/* <g, y> after the forward pass. */
static double normalize(struct normalizing *n, bool relu)
{
    operands.ref->operations->norm_forward(operands.ref,
                                           &(struct norm_forward){.x = n->x.on[REF],
                                                                  .y = n->y.on[REF],
                                                                  .residual = &n->residual.on[REF],
                                                                  .relu = relu,
                                                                  .gamma = n->gamma.on[REF].data,
                                                                  .beta = n->beta.on[REF].data,
                                                                  .mean = n->mean.on[REF].data,
                                                                  .inverse_deviation = n->inverse.on[REF].data,
                                                                  .running_mean = n->running_mean.on[REF].data,
                                                                  .running_variance = n->running_variance.on[REF].data});
    return inner_product(&n->g, &n->y);
}

/* The slope of <g, y> along a random direction of `what`. */
static double slope(struct normalizing *n, struct pair *what, const struct pair *direction, bool relu)
{
    const double step = 0x1p-8;
    float *values = what->on[REF].data;
    const float *way = direction->on[REF].data;
    double ends[2];
    for (int end = 0; end < 2; end++) {
        for (size_t i = 0; i < tensor_count(&what->on[REF]); i++)
            values[i] += (float)((end ? -2 : 1) * step * (double)way[i]);
        ends[end] = normalize(n, relu);
    }
    for (size_t i = 0; i < tensor_count(&what->on[REF]); i++)
        values[i] += (float)(step * (double)way[i]);
    return (ends[0] - ends[1]) / (2 * step);
}

static void batch_norm_gradients_are_slopes(void **state)
{
    (void)state;
    const int shape[4] = {2, 8, 8, 16};
    for (int relu = 0; relu < 2; relu++) {
        struct normalizing n = {.x = operands_tensor(&operands, DTYPE_F32, shape, -2, 2),
                                .y = operands_tensor(&operands, DTYPE_F32, shape, 0, 0),
                                .residual = operands_tensor(&operands, DTYPE_F32, shape, -1, 1),
                                .g = operands_tensor(&operands, DTYPE_F32, shape, -1, 1),
                                .gamma = operands_vector(&operands, 16, 0.5, 1.5),
                                .beta = operands_vector(&operands, 16, -1, 1),
                                .mean = operands_vector(&operands, 16, 0, 0),
                                .inverse = operands_vector(&operands, 16, 0, 0),
                                .running_mean = operands_vector(&operands, 16, 0, 0),
                                .running_variance = operands_vector(&operands, 16, 1, 1)};
        struct pair way = operands_tensor(&operands, DTYPE_F32, shape, -1, 1);
        struct pair short_way = operands_vector(&operands, 16, -1, 1);
        struct pair dx = operands_tensor(&operands, DTYPE_F32, shape, 0, 0);
        struct pair masked = operands_tensor(&operands, DTYPE_F32, shape, 0, 0);
        struct pair dgamma = operands_vector(&operands, 16, 0, 0), dbeta = operands_vector(&operands, 16, 0, 0);
        double by_x = slope(&n, &n.x, &way, relu), by_gamma = slope(&n, &n.gamma, &short_way, relu);
        double by_beta = slope(&n, &n.beta, &short_way, relu), by_residual = slope(&n, &n.residual, &way, relu);
        normalize(&n, relu);
        memcpy(masked.on[REF].data, n.g.on[REF].data, tensor_bytes(&masked.on[REF]));
        operands.ref->operations->norm_backward(operands.ref,
                                                &(struct norm_backward){.x = n.x.on[REF],
                                                                        .y = n.y.on[REF],
                                                                        .relu = relu,
                                                                        .gradients = {masked.on[REF]},
                                                                        .gradient_count = 1,
                                                                        .gamma = n.gamma.on[REF].data,
                                                                        .mean = n.mean.on[REF].data,
                                                                        .inverse_deviation = n.inverse.on[REF].data,
                                                                        .dx = dx.on[REF],
                                                                        .dgamma = dgamma.on[REF].data,
                                                                        .dbeta = dbeta.on[REF].data});
        double tolerance = relu ? 2e-2 : 1e-3; /* under ReLU some values cross the kink */
        assert_near(inner_product(&dx, &way), by_x, tolerance);
        assert_near(inner_product(&dgamma, &short_way), by_gamma, tolerance);
        assert_near(inner_product(&dbeta, &short_way), by_beta, tolerance);
        assert_near(inner_product(&masked, &way), by_residual, tolerance);
        struct pair *const pairs[] = {&n.x,
                                      &n.y,
                                      &n.residual,
                                      &n.g,
                                      &n.gamma,
                                      &n.beta,
                                      &n.mean,
                                      &n.inverse,
                                      &n.running_mean,
                                      &n.running_variance,
                                      &way,
                                      &short_way,
                                      &dx,
                                      &masked,
                                      &dgamma,
                                      &dbeta};
        for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
            operands_release(&operands, pairs[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolution_gradients_are_adjoints),
        cmocka_unit_test(a_kernel_of_ones_counts_neighbours),
        cmocka_unit_test(the_gradient_of_upsampling_is_its_adjoint),
        cmocka_unit_test(batch_norm_gradients_are_slopes),
    };
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
