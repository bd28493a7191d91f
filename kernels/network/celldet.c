/* Builds CellDet's graph.  See celldet.h for the architecture; each function below adds one of its lines. */
#include "celldet.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "random.h"

static const int widths[] = {[NETWORK_N] = 16, [NETWORK_S] = 32, [NETWORK_M] = 48};
static const int neck_widths[] = {[NETWORK_N] = 48, [NETWORK_S] = 64, [NETWORK_M] = 96};

#define CLASSES_MAX     80
#define STAGE_COUNT     4
#define HEAT_START_BIAS -2.19f /* sigmoid = 0.1: few cells are peaks */
/* Smaller, and the features before the heat map learn the frequent classes first: those of a rare one may all be switched
 * off by then, and where every feature is zero no gradient calls them back (platelets in blood smears stayed at AP50 0.6).
 */
#define HEAT_START_SIGMA 0.1
#define DISTANCE_BIAS    1.386294361f /* ln 4: 16 px */

static int add_parameter(struct celldet *graph, const char *node, const char *what, const int shape[4], int rank)
{
    assert(graph->parameter_count < CELLDET_PARAMETERS_MAX);
    struct network_parameter *parameter = &graph->parameters[graph->parameter_count];
    snprintf(parameter->name, sizeof parameter->name, "%s.%s", node, what);
    parameter->rank = rank;
    parameter->count = 1;
    for (int axis = 0; axis < 4; axis++) {
        parameter->shape[axis] = axis < rank ? shape[axis] : 1;
        parameter->count *= (size_t)parameter->shape[axis];
    }
    return graph->parameter_count++;
}

static int add_vector(struct celldet *graph, const char *node, const char *what, int channels)
{
    return add_parameter(graph, node, what, (const int[4]){channels}, 1);
}

static int add_value(struct celldet *graph, int producer, int reduction, int channels)
{
    assert(graph->value_count < CELLDET_VALUES_MAX);
    graph->values[graph->value_count] = (struct celldet_value){producer, reduction, channels};
    return graph->value_count++;
}

/* What a convolution node is told; zero is a plain 1x1 with bias. */
struct unit {
    int input, channels, kernel, stride, residual;
    bool norm, relu;
    enum celldet_start start;
};

/* Adds a convolution node with its parameters; returns its output value. */
static int add_unit(struct celldet *graph, const char *name, const struct unit *unit)
{
    assert(graph->node_count < CELLDET_NODES_MAX);
    int index = graph->node_count++;
    const struct celldet_value input = graph->values[unit->input];
    struct celldet_node *node = &graph->nodes[index];
    *node = (struct celldet_node){.kind = NODE_CONVOLUTION,
                                  .input = unit->input,
                                  .residual = unit->residual,
                                  .kernel = unit->kernel,
                                  .stride = unit->stride,
                                  .norm = unit->norm,
                                  .relu = unit->relu,
                                  .start = unit->start,
                                  .bias = CELLDET_NONE,
                                  .gamma = CELLDET_NONE,
                                  .beta = CELLDET_NONE,
                                  .running_mean = CELLDET_NONE,
                                  .running_variance = CELLDET_NONE};
    snprintf(node->name, sizeof node->name, "%s", name);
    const int shape[4] = {unit->channels, unit->kernel, unit->kernel, input.channels};
    node->weight = add_parameter(graph, name, "weight", shape, 4);
    graph->parameters[node->weight].decays = true;
    if (unit->norm) {
        node->gamma = add_vector(graph, name, "norm.weight", unit->channels);
        node->beta = add_vector(graph, name, "norm.bias", unit->channels);
        node->running_mean = add_vector(graph, name, "norm.running_mean", unit->channels);
        node->running_variance = add_vector(graph, name, "norm.running_var", unit->channels);
        graph->parameters[node->running_mean].is_statistic = true;
        graph->parameters[node->running_variance].is_statistic = true;
    } else {
        node->bias = add_vector(graph, name, "bias", unit->channels);
    }
    node->output = add_value(graph, index, input.reduction * unit->stride, unit->channels);
    return node->output;
}

static int add_cbr(struct celldet *graph, const char *name, int input, int channels, int stride)
{
    return add_unit(graph, name,
                    &(struct unit){.input = input,
                                   .channels = channels,
                                   .kernel = 3,
                                   .stride = stride,
                                   .residual = CELLDET_NONE,
                                   .norm = true,
                                   .relu = true});
}

static int add_pointwise(struct celldet *graph, const char *name, int input, int channels, enum celldet_start start)
{
    return add_unit(
        graph, name,
        &(struct unit){
            .input = input, .channels = channels, .kernel = 1, .stride = 1, .residual = CELLDET_NONE, .start = start});
}

static int add_block(struct celldet *graph, const char *name, int input, int channels, int stride)
{
    char part[40];
    int shortcut = input;
    if (stride != 1 || graph->values[input].channels != channels) {
        snprintf(part, sizeof part, "%s.shortcut", name);
        shortcut = add_unit(graph, part,
                            &(struct unit){.input = input,
                                           .channels = channels,
                                           .kernel = 1,
                                           .stride = stride,
                                           .residual = CELLDET_NONE,
                                           .norm = true});
    }
    snprintf(part, sizeof part, "%s.conv1", name);
    int middle = add_cbr(graph, part, input, channels, stride);
    snprintf(part, sizeof part, "%s.conv2", name);
    return add_unit(graph, part,
                    &(struct unit){.input = middle,
                                   .channels = channels,
                                   .kernel = 3,
                                   .stride = 1,
                                   .residual = shortcut,
                                   .norm = true,
                                   .relu = true,
                                   .start = START_BLOCK_END});
}

static void add_upsample(struct celldet *graph, const char *name, int coarse, int fine)
{
    assert(graph->node_count < CELLDET_NODES_MAX);
    struct celldet_node *node = &graph->nodes[graph->node_count++];
    *node = (struct celldet_node){.kind = NODE_UPSAMPLE_ADD,
                                  .input = coarse,
                                  .output = fine,
                                  .residual = CELLDET_NONE,
                                  .weight = CELLDET_NONE,
                                  .bias = CELLDET_NONE,
                                  .gamma = CELLDET_NONE,
                                  .beta = CELLDET_NONE,
                                  .running_mean = CELLDET_NONE,
                                  .running_variance = CELLDET_NONE};
    snprintf(node->name, sizeof node->name, "%s", name);
}

/* Returns p, the finest map of the neck. */
static int add_neck(struct celldet *graph, const int features[STAGE_COUNT], int channels)
{
    int p = add_pointwise(graph, "neck.lateral4", features[STAGE_COUNT - 1], channels, START_DEFAULT);
    for (int level = STAGE_COUNT - 1; level >= 1; level--) {
        char name[40];
        snprintf(name, sizeof name, "neck.lateral%d", level);
        int sum = add_pointwise(graph, name, features[level - 1], channels, START_DEFAULT);
        snprintf(name, sizeof name, "neck.upsample%d", level);
        add_upsample(graph, name, p, sum);
        snprintf(name, sizeof name, "neck.smooth%d", level);
        p = add_cbr(graph, name, sum, channels, 1);
    }
    return p;
}

static int add_head(struct celldet *graph, const char *name, int p, int outputs, enum celldet_start start)
{
    char part[40];
    snprintf(part, sizeof part, "%s.conv", name);
    int middle = add_cbr(graph, part, p, graph->values[p].channels, 1);
    snprintf(part, sizeof part, "%s.out", name);
    return add_pointwise(graph, part, middle, outputs, start);
}

/* Places the parameters: those that decay, the other trained ones, the statistics. */
static void place_parameters(struct celldet *graph)
{
    size_t end = 0;
    for (int section = 0; section < 3; section++) {
        for (int i = 0; i < graph->parameter_count; i++) {
            struct network_parameter *parameter = &graph->parameters[i];
            if ((parameter->decays ? 0 : parameter->is_statistic ? 2 : 1) != section)
                continue;
            parameter->offset = end;
            end += (parameter->count + CELLDET_ALIGN_FLOATS - 1) / CELLDET_ALIGN_FLOATS * CELLDET_ALIGN_FLOATS;
        }
        *(size_t *[]){&graph->decaying, &graph->trained, &graph->slab_floats}[section] = end;
    }
}

static enum code check(const struct network_architecture *architecture, struct failure *why)
{
    if (architecture->size != NETWORK_N && architecture->size != NETWORK_S && architecture->size != NETWORK_M)
        return failure_set(why, CODE_INVALID, "building the network: size %d is none of N, S, M", (int)architecture->size);
    if (architecture->input_channels != 1 && architecture->input_channels != 3)
        return failure_set(why, CODE_INVALID, "building the network: %d input channels (use 1 or 3)",
                           architecture->input_channels);
    if (architecture->classes < 1 || architecture->classes > CLASSES_MAX)
        return failure_set(why, CODE_INVALID, "building the network: %d classes (use 1 to %d)", architecture->classes,
                           CLASSES_MAX);
    if (architecture->rays < 0 || architecture->rays > NETWORK_RAYS_MAX)
        return failure_set(why, CODE_INVALID, "building the network: %d rays (use 0 to %d)", architecture->rays,
                           NETWORK_RAYS_MAX);
    return CODE_OK;
}

enum code celldet_build(const struct network_architecture *architecture, struct celldet *graph, struct failure *why)
{
    enum code code = check(architecture, why);
    if (code != CODE_OK)
        return code;
    memset(graph, 0, sizeof *graph);
    graph->architecture = *architecture;
    int w = widths[architecture->size];
    graph->input = add_value(graph, CELLDET_NONE, 1, architecture->input_channels);
    int x = add_cbr(graph, "stem.conv1", graph->input, w, 2);
    x = add_cbr(graph, "stem.conv2", x, w, 1);
    int features[STAGE_COUNT];
    for (int stage = 0; stage < STAGE_COUNT; stage++) {
        char name[40];
        snprintf(name, sizeof name, "stage%d.0", stage + 1);
        x = add_block(graph, name, x, 2 * (stage + 1) * w, 2);
        snprintf(name, sizeof name, "stage%d.1", stage + 1);
        features[stage] = x = add_block(graph, name, x, 2 * (stage + 1) * w, 1);
    }
    int p = add_neck(graph, features, neck_widths[architecture->size]);
    graph->heat = add_head(graph, "heat", p, architecture->classes, START_HEAT);
    graph->box = add_head(graph, "box", p, 4, START_DISTANCE);
    graph->rays = architecture->rays ? add_head(graph, "rays", p, architecture->rays, START_DISTANCE) : CELLDET_NONE;
    place_parameters(graph);
    return CODE_OK;
}

static void fill(const struct celldet *graph, int parameter, float value, float *weights)
{
    for (size_t i = 0; i < graph->parameters[parameter].count; i++)
        weights[graph->parameters[parameter].offset + i] = value;
}

/* Uniform in +-1 / sqrt(fan in), which is what Kaiming-uniform with a = sqrt(5) comes to. */
static void fill_uniform(const struct network_parameter *parameter, int fan_in, struct random *random, float *weights)
{
    double bound = 1 / sqrt((double)fan_in);
    for (size_t i = 0; i < parameter->count; i++)
        weights[parameter->offset + i] = (float)random_between(random, -bound, bound);
}

void celldet_initialize(const struct celldet *graph, uint64_t seed, float *weights)
{
    memset(weights, 0, graph->slab_floats * sizeof *weights);
    for (int i = 0; i < graph->node_count; i++) {
        const struct celldet_node *node = &graph->nodes[i];
        if (node->kind != NODE_CONVOLUTION)
            continue;
        struct random random = random_stream(seed, (uint64_t)i + 1);
        const struct network_parameter *weight = &graph->parameters[node->weight];
        int fan_in = weight->shape[1] * weight->shape[2] * weight->shape[3];
        fill_uniform(weight, fan_in, &random, weights);
        if (node->norm) {
            fill(graph, node->gamma, node->start == START_BLOCK_END ? 0.0f : 1.0f, weights);
            fill(graph, node->running_variance, 1.0f, weights);
        } else if (node->start == START_DEFAULT) {
            fill_uniform(&graph->parameters[node->bias], fan_in, &random, weights);
        } else {
            fill(graph, node->bias, node->start == START_HEAT ? HEAT_START_BIAS : DISTANCE_BIAS, weights);
        }
        for (size_t k = 0; node->start == START_HEAT && k < weight->count; k++)
            weights[weight->offset + k] = (float)(HEAT_START_SIGMA * random_gaussian(&random));
    }
}
