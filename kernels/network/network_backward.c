/* The backward pass: the loss, then the graph's nodes in reverse.  Each node turns the summed gradient of its
 * output into that of its parameters and into one summand of its input's gradient. */
#include "network.h"

#include <assert.h>
#include <string.h>

#include "network_internal.h"

static void upload_targets(const struct network *network, const struct network_targets *targets)
{
    const struct device *device = network->device;
    const struct network_target_memory *memory = &network->targets;
    const struct tensor *heat = &network->values[network->graph.heat].data;
    size_t cells = tensor_pixels(heat) * sizeof(float);
    size_t rays = (size_t)network->graph.architecture.rays;
    device->operations->upload(device, memory->heat, targets->heat, cells * (size_t)heat->c);
    device->operations->upload(device, memory->box, targets->box, cells * 4);
    device->operations->upload(device, memory->box_weight, targets->box_weight, cells);
    if (rays) {
        assert(targets->rays && targets->ray_weight);
        device->operations->upload(device, memory->rays, targets->rays, cells * rays);
        device->operations->upload(device, memory->ray_weight, targets->ray_weight, cells);
    }
}

static void compute_loss(const struct network *network, const struct network_target_memory *targets, double *results)
{
    const struct celldet *graph = &network->graph;
    const struct network_value *values = network->values;
    struct detection_loss loss = {.heat = values[graph->heat].data,
                                  .dheat = values[graph->heat].gradients[0],
                                  .box = values[graph->box].data,
                                  .dbox = values[graph->box].gradients[0],
                                  .heat_target = targets->heat,
                                  .box_target = targets->box,
                                  .box_weight = targets->box_weight,
                                  .ray_target = targets->rays,
                                  .ray_weight = targets->ray_weight,
                                  .terms = &results[RESULT_HEAT]};
    if (graph->rays != CELLDET_NONE) {
        loss.rays = values[graph->rays].data;
        loss.drays = values[graph->rays].gradients[0];
    }
    network->device->operations->detection_loss(network->device, &loss);
}

static void norm_backward(const struct network *network, int index)
{
    const struct celldet_node *node = &network->graph.nodes[index];
    const struct network_value *output = &network->values[node->output];
    struct norm_backward norm = {.x = network->nodes[index].raw,
                                 .y = output->data,
                                 .relu = node->relu,
                                 .gradient_count = output->gradient_count,
                                 .gamma = network_internal_place(network, SLAB_WEIGHTS, node->gamma),
                                 .mean = network->nodes[index].mean,
                                 .inverse_deviation = network->nodes[index].inverse_deviation,
                                 .dx = network->nodes[index].draw,
                                 .dgamma = network_internal_place(network, SLAB_GRADIENT, node->gamma),
                                 .dbeta = network_internal_place(network, SLAB_GRADIENT, node->beta)};
    memcpy(norm.gradients, output->gradients, sizeof norm.gradients);
    if (node->relu && node->residual == CELLDET_NONE && output->gradient_count == 1)
        norm.beta = network_internal_place(network, SLAB_WEIGHTS, node->beta);
    network->device->operations->norm_backward(network->device, &norm);
}

static void node_backward(const struct network *network, int index)
{
    const struct celldet_node *node = &network->graph.nodes[index];
    const struct network_node *place = &network->nodes[index];
    const struct device_operations *operations = network->device->operations;
    if (node->kind == NODE_UPSAMPLE_ADD) {
        operations->upsample_backward(network->device, &place->draw, &place->dinput);
        return;
    }
    if (node->norm)
        norm_backward(network, index);
    operations->convolution_backward_weights(place->plan, network->values[node->input].data.data, place->draw.data,
                                             network_internal_place(network, SLAB_GRADIENT, node->weight),
                                             network_internal_place(network, SLAB_GRADIENT, node->bias));
    if (place->dinput.data)
        operations->convolution_backward_data(place->plan, place->draw.data, place->dinput.data);
}

void network_internal_backward(const struct network *network, const struct network_target_memory *targets, double *results)
{
    compute_loss(network, targets, results);
    for (int i = network->graph.node_count - 1; i >= 0; i--)
        node_backward(network, i);
}

enum code network_backward(struct network *network, const struct network_targets *targets, struct network_loss *loss,
                           struct failure *why)
{
    assert(network->plan.training);
    const struct device *device = network->device;
    struct network_target_memory memory = network->targets;
    if (network_internal_reads_host(device))
        memory = (struct network_target_memory){(float *)targets->heat, (float *)targets->box, (float *)targets->box_weight,
                                                (float *)targets->rays, (float *)targets->ray_weight}; /* only read */
    else
        upload_targets(network, targets);
    network_internal_backward(network, &memory, network->results);
    enum code code = device->operations->synchronize(device, why);
    if (code != CODE_OK)
        return code;
    double results[RESULT_COUNT];
    device->operations->download(device, results, network->results, sizeof results);
    *loss = network_internal_loss(results);
    return CODE_OK;
}
