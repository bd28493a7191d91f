/* The loss and the optimiser of every device against vectors from numpy, and the devices against one another
 * on larger, rougher cases. */
#include "testing.h"

#include <math.h>
#include <string.h>

#include "operands.h"
#include "vectors.h"

static struct operands operands;

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

/* Numbers of f64 in both devices' memory. */
static struct pair doubles(int count)
{
    return operands_vector(&operands, 2 * count, 0, 0);
}

static void fill(struct pair *pair, const void *values)
{
    for (int side = 0; side < 2; side++)
        operands_send(&operands, pair, side, values);
}

/* The tensors of one loss, on both sides. */
struct losing {
    struct pair heat, box, rays, dheat, dbox, drays;
    struct pair heat_target, box_target, box_weight, ray_target, ray_weight;
    struct pair terms_memory;
    double terms[2][3];
};

static void drop_negative(struct pair *pair)
{
    float values[1024];
    assert_true(tensor_bytes(&pair->on[1]) <= sizeof values);
    operands_fetch(&operands, pair, 1, values);
    for (size_t i = 0; i < tensor_count(&pair->on[1]); i++)
        values[i] = fmaxf(values[i], 0);
    fill(pair, values);
}

static struct losing losing_open(enum dtype gradients, const int cells[3], int classes, int rays)
{
    const int heat[4] = {cells[0], cells[1], cells[2], classes}, box[4] = {cells[0], cells[1], cells[2], 4};
    const int ray[4] = {cells[0], cells[1], cells[2], rays}, one[4] = {cells[0], cells[1], cells[2], 1};
    struct losing l = {.heat = operands_tensor(&operands, DTYPE_F32, heat, -12, 12),
                       .box = operands_tensor(&operands, DTYPE_F32, box, -5, 7),
                       .rays = operands_tensor(&operands, DTYPE_F32, ray, -5, 7),
                       .dheat = operands_tensor(&operands, gradients, heat, -1, 1),
                       .dbox = operands_tensor(&operands, gradients, box, -1, 1),
                       .drays = operands_tensor(&operands, gradients, ray, -1, 1),
                       .heat_target = operands_tensor(&operands, DTYPE_F32, heat, 0, 1),
                       .box_target = operands_tensor(&operands, DTYPE_F32, box, 0, 60),
                       .box_weight = operands_tensor(&operands, DTYPE_F32, one, -1, 0.2),
                       .ray_target = operands_tensor(&operands, DTYPE_F32, ray, 0, 60),
                       .ray_weight = operands_tensor(&operands, DTYPE_F32, one, -1, 0.2),
                       .terms_memory = doubles(3)};
    drop_negative(&l.box_weight);
    drop_negative(&l.ray_weight);
    return l;
}

static void losing_close(struct losing *l)
{
    struct pair *const pairs[] = {&l->heat,       &l->box,        &l->rays,        &l->dheat,
                                  &l->dbox,       &l->drays,      &l->heat_target, &l->box_target,
                                  &l->box_weight, &l->ray_target, &l->ray_weight,  &l->terms_memory};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        operands_release(&operands, pairs[i]);
}

static void losing_run(struct losing *l, bool rays)
{
    for (int side = 0; side < 2; side++) {
        const struct device *device = operands_device(&operands, side);
        struct detection_loss loss = {.heat = l->heat.on[side],
                                      .dheat = l->dheat.on[side],
                                      .box = l->box.on[side],
                                      .dbox = l->dbox.on[side],
                                      .heat_target = l->heat_target.on[side].data,
                                      .box_target = l->box_target.on[side].data,
                                      .box_weight = l->box_weight.on[side].data,
                                      .terms = l->terms_memory.on[side].data};
        if (rays) {
            loss.rays = l->rays.on[side];
            loss.drays = l->drays.on[side];
            loss.ray_target = l->ray_target.on[side].data;
            loss.ray_weight = l->ray_weight.on[side].data;
        }
        device->operations->detection_loss(device, &loss);
        operands_fetch(&operands, &l->terms_memory, side, l->terms[side]);
    }
}

static void assert_equal_to(const struct pair *pair, const double *expected, double tolerance, const char *what)
{
    for (int side = 0; side < 2; side++) {
        float values[4096];
        assert_true(tensor_bytes(&pair->on[side]) <= sizeof values);
        operands_fetch(&operands, pair, side, values);
        for (size_t i = 0; i < tensor_count(&pair->on[side]); i++)
            if (!(fabs((double)values[i] - expected[i]) <= tolerance))
                fail_msg("%s[%zu] on %s is %.9g, not %.9g", what, i, operands_device(&operands, side)->name,
                         (double)values[i], expected[i]);
    }
}

static void the_loss_and_its_gradient_are_those_of_numpy(void **state)
{
    (void)state;
    struct losing l = losing_open(DTYPE_F32, (const int[3]){1, 2, VECTORS_CELLS / 2}, VECTORS_CLASSES, VECTORS_RAYS);
    fill(&l.heat, vectors_heat);
    fill(&l.heat_target, vectors_heat_target);
    fill(&l.box, vectors_box);
    fill(&l.box_target, vectors_box_target);
    fill(&l.rays, vectors_rays);
    fill(&l.ray_target, vectors_ray_target);
    fill(&l.box_weight, vectors_weight);
    fill(&l.ray_weight, vectors_weight);
    losing_run(&l, true);
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < 3; k++)
            assert_true(fabs(l.terms[side][k] - vectors_terms[k]) < 1e-6 * fabs(vectors_terms[k]));
    assert_equal_to(&l.dheat, vectors_dheat, 1e-6, "dheat");
    assert_equal_to(&l.dbox, vectors_dbox, 1e-6, "dbox");
    assert_equal_to(&l.drays, vectors_drays, 1e-6, "drays");
    losing_close(&l);
}

static void assert_terms_agree(const struct losing *l)
{
    for (int k = 0; k < 3; k++)
        assert_true(fabs(l->terms[0][k] - l->terms[1][k]) <= 2e-5 * fabs(l->terms[1][k]));
}

static void losses_agree_between_devices_even_where_logits_saturate(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++)
        for (int rays = 0; rays <= 64; rays += 32) {
            struct losing l = losing_open((enum dtype)dtype, (const int[3]){2, 9, 13}, 3, rays ? rays : 1);
            losing_run(&l, rays > 0);
            assert_terms_agree(&l);
            assert_true(operands_distance(&operands, &l.dheat) <= operands_tolerance((enum dtype)dtype));
            assert_true(operands_distance(&operands, &l.dbox) <= operands_tolerance((enum dtype)dtype));
            assert_true(operands_distance(&operands, &l.drays) <= operands_tolerance((enum dtype)dtype));
            losing_close(&l);
        }
}

static void a_batch_without_any_object_has_only_a_heat_loss(void **state)
{
    (void)state;
    struct losing l = losing_open(DTYPE_F32, (const int[3]){1, 4, 4}, 2, 8);
    const float nothing[16 * 2] = {0};
    fill(&l.box_weight, nothing);
    fill(&l.ray_weight, nothing);
    fill(&l.heat_target, nothing);
    losing_run(&l, true);
    assert_terms_agree(&l);
    const double zeros[16 * 8] = {0};
    assert_true(l.terms[0][0] > 0);
    assert_true(l.terms[0][1] == 0 && l.terms[0][2] == 0);
    assert_equal_to(&l.dbox, zeros, 0, "dbox");
    assert_equal_to(&l.drays, zeros, 0, "drays");
    losing_close(&l);
}

/* A slab and its companions, on both sides. */
struct stepping {
    struct pair weights, average, moment1, moment2, gradient, rates, norm_memory;
    double norm[2];
};

#define RATES_FLOATS ((int)(sizeof(struct optimizer_rates) / sizeof(float)))

static struct stepping stepping_open(int count)
{
    struct stepping s = {.weights = operands_vector(&operands, count, -1, 1),
                         .average = operands_vector(&operands, count, -1, 1),
                         .moment1 = operands_vector(&operands, count, 0, 0),
                         .moment2 = operands_vector(&operands, count, 0, 0),
                         .gradient = operands_vector(&operands, count, -1, 1),
                         .rates = operands_vector(&operands, RATES_FLOATS, 0, 0),
                         .norm_memory = doubles(1)};
    return s;
}

static void stepping_close(struct stepping *s)
{
    struct pair *const pairs[] = {&s->weights,  &s->average, &s->moment1,    &s->moment2,
                                  &s->gradient, &s->rates,   &s->norm_memory};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        operands_release(&operands, pairs[i]);
}

static void stepping_run(struct stepping *s, int step, size_t trained, size_t decaying, const float factors[4])
{
    const struct optimizer_rates rates = {.lr = factors[0],
                                          .weight_decay = factors[1],
                                          .clip_norm = factors[2],
                                          .average_decay = factors[3],
                                          .bias_correction1 = 1 - pow(ADAM_BETA1, step),
                                          .bias_correction2 = 1 - pow(ADAM_BETA2, step)};
    fill(&s->rates, &rates);
    for (int side = 0; side < 2; side++) {
        const struct device *device = operands_device(&operands, side);
        device->operations->optimizer_step(device, &(struct optimizer_step){.weights = s->weights.on[side].data,
                                                                            .average = s->average.on[side].data,
                                                                            .moment1 = s->moment1.on[side].data,
                                                                            .moment2 = s->moment2.on[side].data,
                                                                            .gradient = s->gradient.on[side].data,
                                                                            .count = tensor_count(&s->weights.on[side]),
                                                                            .trained = trained,
                                                                            .decaying = decaying,
                                                                            .rates = s->rates.on[side].data,
                                                                            .gradient_norm = s->norm_memory.on[side].data});
        operands_fetch(&operands, &s->norm_memory, side, &s->norm[side]);
    }
}

static void three_steps_of_the_optimiser_are_those_of_numpy(void **state)
{
    (void)state;
    struct stepping s = stepping_open(VECTORS_COUNT);
    fill(&s.weights, vectors_start);
    fill(&s.average, vectors_start);
    for (int step = 1; step <= VECTORS_STEPS; step++) {
        float gradient[VECTORS_COUNT] = {0};
        memcpy(gradient, vectors_gradients + (step - 1) * VECTORS_TRAINED, VECTORS_TRAINED * sizeof(float));
        fill(&s.gradient, gradient);
        stepping_run(&s, step, VECTORS_TRAINED, VECTORS_DECAYING, vectors_step_factors);
        for (int side = 0; side < 2; side++)
            assert_true(fabs(s.norm[side] / vectors_norms[step - 1] - 1) < 1e-6);
    }
    assert_equal_to(&s.weights, vectors_weights, 1e-6, "weights");
    assert_equal_to(&s.average, vectors_average, 1e-6, "average");
    stepping_close(&s);
}

static void steps_agree_on_slabs_of_any_length(void **state)
{
    (void)state;
    static const int counts[] = {1, 17, 4096, 70001};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct stepping s = stepping_open(counts[i]);
        size_t trained = (size_t)counts[i] - (size_t)counts[i] / 3;
        stepping_run(&s, 1, trained, trained / 2, (const float[4]){1e-2f, 1e-2f, 0, 0.5f});
        stepping_run(&s, 2, trained, trained / 2, (const float[4]){1e-2f, 1e-2f, 1, 0.5f});
        assert_true(operands_distance(&operands, &s.weights) < 1e-6);
        assert_true(operands_distance(&operands, &s.average) < 1e-6);
        assert_true(operands_distance(&operands, &s.moment1) < 1e-6);
        assert_true(operands_distance(&operands, &s.moment2) < 1e-5);
        assert_true(fabs(s.norm[0] / s.norm[1] - 1) < 1e-6);
        stepping_close(&s);
    }
}

static void a_gradient_that_is_not_finite_changes_nothing(void **state)
{
    (void)state;
    struct stepping s = stepping_open(32);
    float kept[32], gradient[32] = {[5] = NAN}, left[32];
    operands_fetch(&operands, &s.weights, 1, kept);
    fill(&s.gradient, gradient);
    stepping_run(&s, 1, 32, 16, vectors_step_factors);
    for (int side = 0; side < 2; side++) {
        assert_false(isfinite(s.norm[side]));
        operands_fetch(&operands, &s.weights, side, left);
        assert_memory_equal(left, kept, sizeof kept);
    }
    stepping_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_and_its_gradient_are_those_of_numpy),
        cmocka_unit_test(losses_agree_between_devices_even_where_logits_saturate),
        cmocka_unit_test(a_batch_without_any_object_has_only_a_heat_loss),
        cmocka_unit_test(three_steps_of_the_optimiser_are_those_of_numpy),
        cmocka_unit_test(steps_agree_on_slabs_of_any_length),
        cmocka_unit_test(a_gradient_that_is_not_finite_changes_nothing),
    };
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
