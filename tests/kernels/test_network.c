/* The network on the CPU against the same network on the plain device, and against its own promises. */
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network_fixture.h"
#include "operands.h"
#include "random.h"
#include "scope.h"

static const struct network_architecture small = {.size = NETWORK_N, .input_channels = 3, .classes = 2, .rays = 8};
static const struct network_plan small_plan = {.batch = 2, .height = 64, .width = 32, .training = true};

/* Root of the summed squares of a - b over that of b, for one parameter. */
static double distance(const struct network_parameter *parameter, const float *a, const float *b)
{
    double difference = 0, size = 0;
    for (size_t i = parameter->offset; i < parameter->offset + parameter->count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return size > 0 ? sqrt(difference / size) : sqrt(difference);
}

static bool has_bf16(void)
{
    struct operands operands;
    operands_open(&operands);
    bool bf16 = operands.tested->bf16;
    operands_close(&operands);
    return bf16;
}

/* ---- the description ---- */

static void sizes_have_the_documented_number_of_parameters(void **state)
{
    (void)state;
    /* Summed by hand from the architecture in celldet.h, for 3 input channels and 3 classes. */
    static const struct {
        enum network_size size;
        int rays;
        size_t floats;
    } cases[] = {{NETWORK_N, 0, 1165415},
                 {NETWORK_N, 32, 1187815},
                 {NETWORK_S, 0, 4400679},
                 {NETWORK_S, 32, 4439751},
                 {NETWORK_M, 0, 9894967}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct network_architecture architecture = {
            .size = cases[i].size, .input_channels = 3, .classes = 3, .rays = cases[i].rays};
        struct network_fixture fixture;
        network_fixture_open(&fixture, operands_tested_name(), 1, &architecture,
                             &(struct network_plan){.batch = 1, .height = 32, .width = 32}, 1);
        size_t floats = 0;
        for (size_t k = 0; k < network_parameter_count(fixture.network); k++)
            if (!network_parameter(fixture.network, k)->is_statistic)
                floats += network_parameter(fixture.network, k)->count;
        assert_int_equal(floats, cases[i].floats);
        network_fixture_close(&fixture);
    }
}

static void parameters_have_unique_names_and_places_of_their_own(void **state)
{
    (void)state;
    struct network_fixture fixture;
    network_fixture_open(&fixture, operands_tested_name(), 1, &small, &small_plan, 1);
    SCOPE_FREE char *taken = calloc(network_slab_floats(fixture.network), 1);
    assert_non_null(taken);
    for (size_t i = 0; i < network_parameter_count(fixture.network); i++) {
        const struct network_parameter *parameter = network_parameter(fixture.network, i);
        assert_true(parameter->offset + parameter->count <= network_slab_floats(fixture.network));
        for (size_t k = 0; k < parameter->count; k++)
            assert_int_equal(taken[parameter->offset + k]++, 0);
        for (size_t other = 0; other < i; other++)
            assert_string_not_equal(parameter->name, network_parameter(fixture.network, other)->name);
        assert_int_equal(parameter->decays, parameter->rank == 4);
    }
    network_fixture_close(&fixture);
}

static void fresh_weights_have_the_documented_scale(void **state)
{
    (void)state;
    struct network_fixture fixture;
    network_fixture_open(&fixture, operands_tested_name(), 1, &small, &small_plan, 3);
    SCOPE_FREE float *weights = network_fixture_slab(&fixture, SLAB_WEIGHTS);
    SCOPE_FREE float *average = network_fixture_slab(&fixture, SLAB_EMA);
    assert_memory_equal(weights, average, network_slab_floats(fixture.network) * sizeof *weights);
    for (size_t i = 0; i < network_parameter_count(fixture.network); i++) {
        const struct network_parameter *parameter = network_parameter(fixture.network, i);
        const float *values = weights + parameter->offset;
        if (strcmp(parameter->name, "stage2.1.conv1.weight") == 0) {
            double bound = 1 / sqrt(9 * 64.0), largest = 0;
            for (size_t k = 0; k < parameter->count; k++)
                largest = fmax(largest, fabs((double)values[k]));
            assert_true(largest <= bound && largest > 0.99 * bound);
        } else if (strcmp(parameter->name, "heat.out.bias") == 0) {
            assert_true(values[0] == -2.19f && values[1] == -2.19f);
        } else if (strcmp(parameter->name, "rays.out.bias") == 0 || strcmp(parameter->name, "box.out.bias") == 0) {
            assert_true(fabs((double)values[0] - log(4)) < 1e-6);
        } else if (strcmp(parameter->name, "stage3.0.conv2.norm.weight") == 0) {
            assert_true(values[0] == 0 && values[parameter->count - 1] == 0);
        } else if (strcmp(parameter->name, "stage3.0.conv1.norm.weight") == 0) {
            assert_true(values[0] == 1);
        }
    }
    network_fixture_close(&fixture);
}

/* ---- gradients ---- */

static void compare_with_ref(const struct network_architecture *architecture, const struct network_plan *plan)
{
    struct network_fixture cpu, ref;
    network_fixture_open(&cpu, operands_tested_name(), 2, architecture, plan, 5);
    network_fixture_open(&ref, "ref", 1, architecture, plan, 5);
    network_fixture_shake(&cpu, 6);
    network_fixture_shake(&ref, 6);
    struct network_loss fast = network_fixture_gradient(&cpu), plain = network_fixture_gradient(&ref);
    assert_true(fabs(fast.total / plain.total - 1) < 1e-5);
    SCOPE_FREE float *a = network_fixture_slab(&cpu, SLAB_GRADIENT);
    SCOPE_FREE float *b = network_fixture_slab(&ref, SLAB_GRADIENT);
    for (size_t i = 0; i < network_parameter_count(cpu.network); i++) {
        const struct network_parameter *parameter = network_parameter(cpu.network, i);
        if (!parameter->is_statistic && !(distance(parameter, a, b) < 1e-4))
            fail_msg("%s: gradients differ by %g", parameter->name, distance(parameter, a, b));
    }
    network_fixture_close(&cpu);
    network_fixture_close(&ref);
}

static void gradients_on_the_cpu_equal_the_plain_ones(void **state)
{
    (void)state;
    compare_with_ref(&small, &small_plan);
}

static void gradients_without_rays_on_grey_images_equal_the_plain_ones(void **state)
{
    (void)state;
    compare_with_ref(&(struct network_architecture){.size = NETWORK_N, .input_channels = 1, .classes = 1},
                     &(struct network_plan){.batch = 3, .height = 32, .width = 64, .training = true});
}

/* The loss along a line through the weights has the slope that the gradient says. */
static void the_gradient_is_the_slope_of_the_loss(void **state)
{
    (void)state;
    struct network_fixture fixture;
    network_fixture_open(&fixture, operands_tested_name(), 1, &small,
                         &(struct network_plan){.batch = 2, .height = 96, .width = 96, .training = true}, 9);
    network_fixture_shake(&fixture, 6);
    network_fixture_gradient(&fixture);
    SCOPE_FREE float *direction = network_fixture_slab(&fixture, SLAB_GRADIENT);
    double slope = 0;
    for (size_t i = 0; i < network_slab_floats(fixture.network); i++)
        slope += (double)direction[i] * (double)direction[i];
    const double step = 2e-4 / sqrt(slope);
    network_fixture_move(&fixture, direction, step);
    double above = network_fixture_gradient(&fixture).total;
    network_fixture_move(&fixture, direction, -2 * step);
    double below = network_fixture_gradient(&fixture).total;
    double measured = (above - below) / (2 * step);
    if (!(fabs(measured / slope - 1) < 0.02))
        fail_msg("slope %g, gradient says %g", measured, slope);
    network_fixture_close(&fixture);
}

/* ---- training ---- */

static void five_steps_on_the_cpu_follow_the_plain_ones(void **state)
{
    (void)state;
    struct network_fixture cpu, ref;
    network_fixture_open(&cpu, operands_tested_name(), 1, &small, &small_plan, 5);
    network_fixture_open(&ref, "ref", 1, &small, &small_plan, 5);
    for (int step = 1; step <= 5; step++) {
        double fast = network_fixture_gradient(&cpu).total, plain = network_fixture_gradient(&ref).total;
        if (!(fabs(fast / plain - 1) < 1e-5))
            fail_msg("step %d: the loss is %g, on ref %g", step, fast, plain);
        network_fixture_apply(&cpu, step, 1e-4f); /* small: Adam turns rounding of tiny gradients into whole steps */
        network_fixture_apply(&ref, step, 1e-4f);
    }
    network_fixture_close(&cpu);
    network_fixture_close(&ref);
}

/* The weights after four steps, to be freed. */
static float *train_four_steps(enum network_precision precision, double *first, double *last, size_t *floats)
{
    struct network_plan plan = small_plan;
    struct network_fixture fixture;
    plan.precision = precision;
    network_fixture_open(&fixture, operands_tested_name(), 1, &small, &plan, 5);
    for (int step = 1; step <= 4; step++) {
        *last = network_fixture_gradient(&fixture).total;
        if (step == 1)
            *first = *last;
        network_fixture_apply(&fixture, step, 1e-3f);
    }
    float *weights = network_fixture_slab(&fixture, SLAB_EMA);
    *floats = network_slab_floats(fixture.network);
    network_fixture_close(&fixture);
    return weights;
}

static void the_same_seed_gives_the_same_bits(void **state)
{
    (void)state;
    for (int precision = PRECISION_F32; precision <= (has_bf16() ? PRECISION_BF16 : PRECISION_F32); precision++) {
        double first, last;
        size_t floats;
        SCOPE_FREE float *a = train_four_steps((enum network_precision)precision, &first, &last, &floats);
        SCOPE_FREE float *b = train_four_steps((enum network_precision)precision, &first, &last, &floats);
        assert_memory_equal(a, b, floats * sizeof *a);
    }
}

static void training_lowers_the_loss_in_either_precision(void **state)
{
    (void)state;
    double first, last, first_bf16, last_bf16;
    size_t floats;
    free(train_four_steps(PRECISION_F32, &first, &last, &floats));
    assert_true(last < 0.9 * first);
    if (!has_bf16()) {
        print_message("bf16: not in this processor\n");
        skip();
    }
    free(train_four_steps(PRECISION_BF16, &first_bf16, &last_bf16, &floats));
    assert_true(fabs(first_bf16 / first - 1) < 0.02);
    assert_true(last_bf16 < 0.9 * first_bf16);
}

/* ---- inference ---- */

/* How many values a channel's statistics were taken over, from the parameter's name. */
static double statistic_count(const struct network_plan *plan, const char *name)
{
    int level, reduction;
    if (strncmp(name, "stem", 4) == 0)
        reduction = 2;
    else if (sscanf(name, "stage%d", &level) == 1 || sscanf(name, "neck.smooth%d", &level) == 1)
        reduction = 2 << level;
    else
        reduction = 4; /* the heads */
    return (double)plan->batch * (plan->height / reduction) * (plan->width / reduction);
}

/* Turns running statistics after one step, from a start of mean 0 and variance 1, into that batch's own. */
static void make_statistics_those_of_the_batch(const struct network_fixture *fixture, float *weights)
{
    for (size_t i = 0; i < network_parameter_count(fixture->network); i++) {
        const struct network_parameter *parameter = network_parameter(fixture->network, i);
        if (!parameter->is_statistic)
            continue;
        bool variance = strstr(parameter->name, "running_var") != NULL;
        double count = statistic_count(&fixture->plan, parameter->name);
        for (size_t k = 0; k < parameter->count; k++) {
            float *value = &weights[parameter->offset + k];
            *value = variance ? (float)(((double)*value - 0.9) / 0.1 * (count - 1) / count) : *value / 0.1f;
        }
    }
}

/* With the batch's own statistics, inference (norms folded, residuals in place) computes what training's
 * forward did. */
static void inference_equals_the_training_forward(const char *device, enum network_precision precision, double tolerance)
{
    struct network_plan plan = {.batch = 2, .height = 96, .width = 64, .training = true};
    struct network_fixture training, inference;
    struct failure why;
    network_fixture_open(&training, device, 1, &small, &plan, 5);
    network_fixture_shake(&training, 6);
    assert_code_ok(network_forward(training.network, training.input, &why), why);
    SCOPE_FREE float *weights = network_fixture_slab(&training, SLAB_WEIGHTS);
    make_statistics_those_of_the_batch(&training, weights);
    plan.training = false;
    plan.precision = precision;
    network_fixture_open(&inference, device, 1, &small, &plan, 5);
    network_write_slab(inference.network, SLAB_WEIGHTS, weights);
    assert_code_ok(network_forward(inference.network, training.input, &why), why);
    enum { CELLS = 2 * 24 * 16 };
    static float expected[3][CELLS * 8], got[3][CELLS * 8];
    network_read_outputs(training.network, expected[0], expected[1], expected[2]);
    network_read_outputs(inference.network, got[0], got[1], got[2]);
    const size_t counts[] = {CELLS * 2, CELLS * 4, CELLS * 8};
    for (int head = 0; head < 3; head++) {
        double difference = 0, size = 0;
        for (size_t i = 0; i < counts[head]; i++) {
            difference += pow((double)got[head][i] - (double)expected[head][i], 2);
            size += pow((double)expected[head][i], 2);
        }
        if (!(sqrt(difference / size) < tolerance))
            fail_msg("head %d on %s differs by %g", head, device, sqrt(difference / size));
    }
    network_fixture_close(&training);
    network_fixture_close(&inference);
}

static void inference_folds_the_norms_without_changing_the_result(void **state)
{
    (void)state;
    inference_equals_the_training_forward(operands_tested_name(), PRECISION_F32, 1e-3);
    inference_equals_the_training_forward("ref", PRECISION_F32, 1e-3);
}

static void inference_in_bf16_stays_near(void **state)
{
    (void)state;
    if (!has_bf16()) {
        print_message("bf16: not in this processor\n");
        skip();
    }
    inference_equals_the_training_forward(operands_tested_name(), PRECISION_BF16, 0.05);
}

static void two_images_at_once_equal_one_after_the_other(void **state)
{
    (void)state;
    struct network_plan plan = {.batch = 2, .height = 64, .width = 64};
    struct network_fixture both, one;
    struct failure why;
    network_fixture_open(&both, operands_tested_name(), 1, &small, &plan, 4);
    plan.batch = 1;
    network_fixture_open(&one, operands_tested_name(), 1, &small, &plan, 4);
    enum { CELLS = 16 * 16 };
    static float together[2 * CELLS * 4], alone[CELLS * 4];
    assert_code_ok(network_forward(both.network, both.input, &why), why);
    network_read_outputs(both.network, NULL, together, NULL);
    for (size_t n = 0; n < 2; n++) {
        assert_code_ok(network_forward(one.network, both.input + n * 64 * 64 * 3, &why), why);
        network_read_outputs(one.network, NULL, alone, NULL);
        for (size_t i = 0; i < CELLS * 4; i++)
            assert_true(fabsf(alone[i] - together[n * CELLS * 4 + i]) < 1e-4f);
    }
    network_fixture_close(&both);
    network_fixture_close(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_the_documented_number_of_parameters),
        cmocka_unit_test(parameters_have_unique_names_and_places_of_their_own),
        cmocka_unit_test(fresh_weights_have_the_documented_scale),
        cmocka_unit_test(gradients_on_the_cpu_equal_the_plain_ones),
        cmocka_unit_test(gradients_without_rays_on_grey_images_equal_the_plain_ones),
        cmocka_unit_test(the_gradient_is_the_slope_of_the_loss),
        cmocka_unit_test(five_steps_on_the_cpu_follow_the_plain_ones),
        cmocka_unit_test(the_same_seed_gives_the_same_bits),
        cmocka_unit_test(training_lowers_the_loss_in_either_precision),
        cmocka_unit_test(inference_folds_the_norms_without_changing_the_result),
        cmocka_unit_test(inference_in_bf16_stays_near),
        cmocka_unit_test(two_images_at_once_equal_one_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
