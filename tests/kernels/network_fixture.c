#include "network_fixture.h"

#include <math.h>
#include <stdlib.h>

#include "random.h"
#include "testing.h"

static float *zeros(size_t count)
{
    float *values = calloc(count, sizeof *values);
    assert_non_null(values);
    return values;
}

/* Marks one square object of `side` px around the centre of cell (i, j) of image n: its peak, a softer ring,
 * its box. */
static void place_object(struct network_fixture *fixture, int n, int i, int j, float side)
{
    int height = fixture->plan.height / 4, width = fixture->plan.width / 4;
    int classes = fixture->architecture.classes, rays = fixture->architecture.rays;
    for (int y = i - 1; y <= i + 1; y++)
        for (int x = j - 1; x <= j + 1; x++) {
            if (y < 0 || x < 0 || y >= height || x >= width)
                continue;
            size_t cell = ((size_t)n * (size_t)height + (size_t)y) * (size_t)width + (size_t)x;
            float near = y == i && x == j ? 1.0f : 0.6f;
            float *heat = &fixture->heat[cell * (size_t)classes + (size_t)((i + j) % classes)];
            *heat = fmaxf(*heat, near);
            float dx = (float)(x - j) * 4, dy = (float)(y - i) * 4;
            const float box[4] = {side / 2 + dx, side / 2 + dy, side / 2 - dx, side / 2 - dy};
            for (size_t k = 0; k < 4; k++)
                fixture->box[cell * 4 + k] = box[k];
            fixture->box_weight[cell] = 1.0f / 9;
            for (int k = 0; k < rays; k++)
                fixture->rays[cell * (size_t)rays + (size_t)k] = side / 2 + (float)(k % 3);
            if (rays)
                fixture->ray_weight[cell] = 1.0f / 9;
        }
}

static void make_data(struct network_fixture *fixture, uint64_t seed)
{
    const struct network_plan *plan = &fixture->plan;
    int height = plan->height / 4, width = plan->width / 4, rays = fixture->architecture.rays;
    size_t cells = (size_t)plan->batch * (size_t)height * (size_t)width;
    size_t values = cells * 16 * (size_t)fixture->architecture.input_channels;
    struct random random = random_stream(seed, 77);
    fixture->input = zeros(values);
    for (size_t i = 0; i < values; i++)
        fixture->input[i] = (float)random_between(&random, -2, 2);
    fixture->heat = zeros(cells * (size_t)fixture->architecture.classes);
    fixture->box = zeros(cells * 4);
    fixture->box_weight = zeros(cells);
    fixture->rays = rays ? zeros(cells * (size_t)rays) : NULL;
    fixture->ray_weight = rays ? zeros(cells) : NULL;
    for (int n = 0; n < plan->batch; n++)
        for (int object = 0; object < 3; object++)
            place_object(fixture, n, (int)random_below(&random, (uint32_t)height),
                         (int)random_below(&random, (uint32_t)width), (float)random_between(&random, 16, 40));
    fixture->targets =
        (struct network_targets){fixture->heat, fixture->box, fixture->box_weight, fixture->rays, fixture->ray_weight};
}

void network_fixture_open(struct network_fixture *fixture, const char *device, int threads,
                          const struct network_architecture *architecture, const struct network_plan *plan, uint64_t seed)
{
    struct failure why;
    *fixture = (struct network_fixture){.architecture = *architecture, .plan = *plan};
    assert_code_ok(device_open(device, &(struct device_options){.threads = threads}, &fixture->device, &why), why);
    assert_code_ok(network_create(fixture->device, architecture, plan, &fixture->network, &why), why);
    network_initialize(fixture->network, seed);
    make_data(fixture, seed);
}

void network_fixture_close(struct network_fixture *fixture)
{
    network_destroy(fixture->network);
    device_close(fixture->device);
    free(fixture->input);
    free(fixture->heat);
    free(fixture->box);
    free(fixture->box_weight);
    free(fixture->rays);
    free(fixture->ray_weight);
}

void network_fixture_shake(struct network_fixture *fixture, uint64_t seed)
{
    struct random random = random_stream(seed, 78);
    float *weights = network_fixture_slab(fixture, SLAB_WEIGHTS);
    for (size_t i = 0; i < network_parameter_count(fixture->network); i++) {
        const struct network_parameter *parameter = network_parameter(fixture->network, i);
        if (parameter->decays || parameter->is_statistic)
            continue;
        for (size_t k = 0; k < parameter->count; k++)
            weights[parameter->offset + k] += (float)random_between(&random, -0.4, 0.6);
    }
    network_write_slab(fixture->network, SLAB_WEIGHTS, weights);
    free(weights);
}

void network_fixture_move(struct network_fixture *fixture, const float *direction, double step)
{
    float *weights = network_fixture_slab(fixture, SLAB_WEIGHTS);
    for (size_t i = 0; i < network_slab_floats(fixture->network); i++)
        weights[i] += (float)(step * (double)direction[i]);
    network_write_slab(fixture->network, SLAB_WEIGHTS, weights);
    free(weights);
}

struct network_loss network_fixture_gradient(struct network_fixture *fixture)
{
    struct failure why;
    struct network_loss loss;
    assert_code_ok(network_forward(fixture->network, fixture->input, &why), why);
    assert_code_ok(network_backward(fixture->network, &fixture->targets, &loss, &why), why);
    return loss;
}

float *network_fixture_slab(const struct network_fixture *fixture, enum network_slab slab)
{
    float *values = zeros(network_slab_floats(fixture->network));
    network_read_slab(fixture->network, slab, values);
    return values;
}

void network_fixture_apply(struct network_fixture *fixture, int64_t step, float lr)
{
    const struct network_update update = {.lr = lr, .weight_decay = 1e-2f, .clip_norm = 10, .ema_decay = 0.9f, .step = step};
    network_apply(fixture->network, &update, NULL);
}
