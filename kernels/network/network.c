/* A network's life: planning every convolution and every byte, its slabs, and the optimiser's step.  Forward
 * and backward are in network_forward.c and network_backward.c; the architecture is in celldet.c. */
#include "network.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "network_internal.h"

#define BATCH_MAX  4096
#define SIDE_MAX   16384
#define PIXELS_MAX ((size_t)1 << 28) /* of one batch: keeps every byte count far from overflow */

static enum code check_plan(const struct device *device, const struct network_plan *plan, struct failure *why)
{
    if (plan->batch < 1 || plan->batch > BATCH_MAX)
        return failure_set(why, CODE_INVALID, "planning the network: a batch of %d (use 1 to %d)", plan->batch, BATCH_MAX);
    if (plan->height < 32 || plan->width < 32 || plan->height > SIDE_MAX || plan->width > SIDE_MAX || plan->height % 32 ||
        plan->width % 32)
        return failure_set(why, CODE_INVALID, "planning the network: %d x %d pixels (use multiples of 32, from 32 to %d)",
                           plan->width, plan->height, SIDE_MAX);
    if ((size_t)plan->batch * (size_t)plan->height * (size_t)plan->width > PIXELS_MAX)
        return failure_set(why, CODE_TOO_LARGE,
                           "planning the network: %d images of %d x %d pixels are more than %zu million pixels at "
                           "once (use a smaller batch)",
                           plan->batch, plan->width, plan->height, PIXELS_MAX / 1000000);
    if (plan->precision == PRECISION_BF16 && !device->bf16)
        return failure_set(why, CODE_UNSUPPORTED,
                           "planning the network: device %s (%s) has no bf16 arithmetic (use precision f32)", device->name,
                           device->description);
    return CODE_OK;
}

static struct tensor block_tensor(const struct network *network, int value, enum dtype dtype, int block)
{
    struct tensor tensor = layout_tensor(&network->graph, &network->plan, value);
    tensor.dtype = dtype;
    tensor.data = network->arena + network->layout.blocks[block].offset;
    return tensor;
}

/* Points every tensor into the arena. */
static void place_tensors(struct network *network)
{
    const struct celldet *graph = &network->graph;
    const struct layout *layout = &network->layout;
    enum dtype dtype = layout_dtype(&network->plan);
    network->upload = block_tensor(network, graph->input, DTYPE_F32, layout->upload);
    for (int v = 0; v < graph->value_count; v++) {
        struct network_value *value = &network->values[v];
        enum dtype own = layout_tensor(graph, &network->plan, v).dtype;
        value->data = block_tensor(network, v, own, layout->values[v].block);
        value->gradient_count = layout->values[v].gradient_count;
        for (int k = 0; k < value->gradient_count; k++)
            value->gradients[k] = block_tensor(network, v, dtype, layout->values[v].gradients[k]);
    }
    for (int i = 0; i < graph->node_count; i++) {
        const struct celldet_node *node = &graph->nodes[i];
        enum dtype own = layout_tensor(graph, &network->plan, node->output).dtype;
        if (node->kind == NODE_CONVOLUTION)
            network->nodes[i].raw = block_tensor(network, node->output, own, layout->nodes[i].raw);
        if (!network->plan.training)
            continue;
        network->nodes[i].draw = block_tensor(network, node->output, dtype, layout->nodes[i].draw);
        if (layout->nodes[i].dinput != LAYOUT_NONE)
            network->nodes[i].dinput = block_tensor(network, node->input, dtype, layout->nodes[i].dinput);
    }
}

static enum code plan_convolution(struct network *network, int index, struct failure *why)
{
    const struct celldet_node *node = &network->graph.nodes[index];
    const struct tensor input = layout_tensor(&network->graph, &network->plan, node->input);
    const struct tensor output = layout_tensor(&network->graph, &network->plan, node->output);
    bool training = network->plan.training;
    bool folded = node->norm && !training;
    struct convolution_spec spec = {.batch = input.n,
                                    .height = input.h,
                                    .width = input.w,
                                    .channels_in = input.c,
                                    .channels_out = output.c,
                                    .kernel = node->kernel,
                                    .stride = node->stride,
                                    .dtype = input.dtype,
                                    .dtype_out = output.dtype,
                                    .bias = folded || !node->norm,
                                    .accumulate = folded && node->residual != CELLDET_NONE,
                                    .relu = folded && node->relu,
                                    .training = training,
                                    .input_gradient = training && node->input != network->graph.input,
                                    .normalized = node->norm && training};
    const struct device *device = network->device;
    enum code code = device->operations->convolution_create(device, &spec, &network->nodes[index].plan, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "planning the network, %s", node->name);
}

/* Allocates on the device; remembers a failure in *failed so that a run of calls needs one check. */
static void *take(const struct network *network, size_t bytes, bool *failed)
{
    void *memory = network->device->operations->allocate(network->device, bytes);
    if (!memory)
        *failed = true;
    return memory;
}

static enum code allocate(struct network *network, struct failure *why)
{
    bool failed = false, training = network->plan.training;
    size_t slab = network->graph.slab_floats * sizeof(float);
    network->arena = take(network, network->layout.bytes, &failed);
    for (int i = 0; i < SLAB_COUNT; i++)
        if (training || i == SLAB_WEIGHTS)
            network->slabs[i] = take(network, slab, &failed);
    network->fold = take(network, 2 * DEVICE_CHANNELS_MAX * sizeof(float), &failed);
    network->results = take(network, RESULT_COUNT * sizeof(double), &failed);
    network->rates = take(network, sizeof *network->rates, &failed);
    network->staging = calloc(network->graph.slab_floats, sizeof(float));
    if (training) {
        struct tensor heat = layout_tensor(&network->graph, &network->plan, network->graph.heat);
        size_t cells = tensor_pixels(&heat) * sizeof(float);
        size_t rays = (size_t)network->graph.architecture.rays;
        network->targets.heat = take(network, cells * (size_t)heat.c, &failed);
        network->targets.box = take(network, cells * 4, &failed);
        network->targets.box_weight = take(network, cells, &failed);
        if (rays) {
            network->targets.rays = take(network, cells * rays, &failed);
            network->targets.ray_weight = take(network, cells, &failed);
        }
        network->batch_statistics = take(network, 2 * DEVICE_CHANNELS_MAX * CELLDET_NODES_MAX * sizeof(float), &failed);
        for (int i = 0; network->batch_statistics && i < network->graph.node_count; i++) {
            network->nodes[i].mean = network->batch_statistics + 2 * DEVICE_CHANNELS_MAX * i;
            network->nodes[i].inverse_deviation = network->nodes[i].mean + DEVICE_CHANNELS_MAX;
        }
    }
    if (failed || !network->staging)
        return failure_set(why, CODE_NO_MEMORY,
                           "planning the network: %zu MB for activations and %zu MB for parameters are not to be had "
                           "on device %s (use a smaller batch or image)",
                           network->layout.bytes >> 20, slab >> 20, network->device->name);
    return CODE_OK;
}

enum code network_create(const struct device *device, const struct network_architecture *architecture,
                         const struct network_plan *plan, struct network **out, struct failure *why)
{
    enum code code = check_plan(device, plan, why);
    if (code != CODE_OK)
        return code;
    struct network *network = calloc(1, sizeof *network);
    if (!network)
        return failure_set(why, CODE_NO_MEMORY, "planning the network: out of memory");
    network->device = device;
    network->plan = *plan;
    network->stale = true;
    code = celldet_build(architecture, &network->graph, why);
    if (code == CODE_OK) {
        layout_plan(&network->graph, plan, &network->layout);
        code = allocate(network, why);
    }
    if (code == CODE_OK)
        place_tensors(network);
    for (int i = 0; code == CODE_OK && i < network->graph.node_count; i++)
        if (network->graph.nodes[i].kind == NODE_CONVOLUTION)
            code = plan_convolution(network, i, why);
    if (code != CODE_OK) {
        network_destroy(network);
        return code;
    }
    *out = network;
    return CODE_OK;
}

void network_destroy(struct network *network)
{
    if (!network)
        return;
    const struct device *device = network->device;
    for (int i = 0; i < CELLDET_NODES_MAX; i++)
        device->operations->convolution_destroy(network->nodes[i].plan);
    for (int i = 0; i < SLAB_COUNT; i++)
        device->operations->release(device, network->slabs[i]);
    void *const owned[] = {network->arena,
                           network->fold,
                           network->results,
                           network->rates,
                           network->batch_statistics,
                           network->targets.heat,
                           network->targets.box,
                           network->targets.box_weight,
                           network->targets.rays,
                           network->targets.ray_weight};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        device->operations->release(device, owned[i]);
    free(network->staging);
    free(network);
}

size_t network_parameter_count(const struct network *network)
{
    return (size_t)network->graph.parameter_count;
}

const struct network_parameter *network_parameter(const struct network *network, size_t index)
{
    assert(index < network_parameter_count(network));
    return &network->graph.parameters[index];
}

size_t network_slab_floats(const struct network *network)
{
    return network->graph.slab_floats;
}

void network_initialize(struct network *network, uint64_t seed)
{
    celldet_initialize(&network->graph, seed, network->staging);
    network_write_slab(network, SLAB_WEIGHTS, network->staging);
    if (!network->plan.training)
        return;
    network_write_slab(network, SLAB_EMA, network->staging);
    memset(network->staging, 0, network->graph.slab_floats * sizeof(float));
    network_write_slab(network, SLAB_MOMENT1, network->staging);
    network_write_slab(network, SLAB_MOMENT2, network->staging);
}

void network_read_slab(const struct network *network, enum network_slab slab, float *out)
{
    assert(network->slabs[slab]);
    network->device->operations->download(network->device, out, network->slabs[slab],
                                          network->graph.slab_floats * sizeof(float));
}

void network_write_slab(struct network *network, enum network_slab slab, const float *in)
{
    assert(network->slabs[slab]);
    network->device->operations->upload(network->device, network->slabs[slab], in,
                                        network->graph.slab_floats * sizeof(float));
    if (slab == SLAB_WEIGHTS)
        network->stale = true;
}

struct optimizer_rates network_internal_rates(const struct network_update *update)
{
    assert(update->step >= 1);
    return (struct optimizer_rates){.lr = update->lr,
                                    .weight_decay = update->weight_decay,
                                    .clip_norm = update->clip_norm,
                                    .average_decay = update->ema_decay,
                                    .bias_correction1 = 1 - pow(ADAM_BETA1, (double)update->step),
                                    .bias_correction2 = 1 - pow(ADAM_BETA2, (double)update->step)};
}

void network_internal_update(struct network *network, const struct optimizer_rates *rates, double *results)
{
    assert(network->plan.training);
    const struct device *device = network->device;
    device->operations->optimizer_step(device, &(struct optimizer_step){.weights = network->slabs[SLAB_WEIGHTS],
                                                                        .average = network->slabs[SLAB_EMA],
                                                                        .moment1 = network->slabs[SLAB_MOMENT1],
                                                                        .moment2 = network->slabs[SLAB_MOMENT2],
                                                                        .gradient = network->slabs[SLAB_GRADIENT],
                                                                        .count = network->graph.slab_floats,
                                                                        .trained = network->graph.trained,
                                                                        .decaying = network->graph.decaying,
                                                                        .rates = rates,
                                                                        .gradient_norm = &results[RESULT_GRADIENT_NORM]});
    network->stale = true;
}

void network_apply(struct network *network, const struct network_update *update, float *gradient_norm)
{
    const struct device *device = network->device;
    struct optimizer_rates rates = network_internal_rates(update);
    device->operations->upload(device, network->rates, &rates, sizeof rates);
    network_internal_update(network, network->rates, network->results);
    if (gradient_norm) {
        double norm;
        device->operations->download(device, &norm, &network->results[RESULT_GRADIENT_NORM], sizeof norm);
        *gradient_norm = (float)norm;
    }
}
