/* The forward pass: the graph's nodes in order. */
#include "network.h"

#include "network_internal.h"

/* Hands changed weights to the convolutions; in inference with the norms folded in. */
static void refresh(struct network *network)
{
    const struct device *device = network->device;
    float *scale = network->fold, *shift = network->fold + DEVICE_CHANNELS_MAX;
    for (int i = 0; i < network->graph.node_count; i++) {
        const struct celldet_node *node = &network->graph.nodes[i];
        if (node->kind != NODE_CONVOLUTION)
            continue;
        const float *weights = network_internal_place(network, SLAB_WEIGHTS, node->weight);
        const float *bias = network_internal_place(network, SLAB_WEIGHTS, node->bias);
        if (!node->norm || network->plan.training) {
            device->operations->convolution_set_weights(network->nodes[i].plan, weights, NULL, bias);
            continue;
        }
        device->operations->norm_fold(device, network->graph.values[node->output].channels,
                                      network_internal_place(network, SLAB_WEIGHTS, node->gamma),
                                      network_internal_place(network, SLAB_WEIGHTS, node->beta),
                                      network_internal_place(network, SLAB_WEIGHTS, node->running_mean),
                                      network_internal_place(network, SLAB_WEIGHTS, node->running_variance), scale, shift);
        device->operations->convolution_set_weights(network->nodes[i].plan, weights, scale, shift);
    }
    network->stale = false;
}

static void normalize(struct network *network, int index)
{
    const struct celldet_node *node = &network->graph.nodes[index];
    network->device->operations->norm_forward(
        network->device,
        &(struct norm_forward){.x = network->nodes[index].raw,
                               .source = network->nodes[index].plan,
                               .y = network->values[node->output].data,
                               .residual = node->residual == CELLDET_NONE ? NULL : &network->values[node->residual].data,
                               .relu = node->relu,
                               .gamma = network_internal_place(network, SLAB_WEIGHTS, node->gamma),
                               .beta = network_internal_place(network, SLAB_WEIGHTS, node->beta),
                               .running_mean = network_internal_place(network, SLAB_WEIGHTS, node->running_mean),
                               .running_variance = network_internal_place(network, SLAB_WEIGHTS, node->running_variance),
                               .mean = network->nodes[index].mean,
                               .inverse_deviation = network->nodes[index].inverse_deviation});
}

void network_internal_forward(struct network *network)
{
    const struct device *device = network->device;
    const struct celldet *graph = &network->graph;
    if (network->stale)
        refresh(network);
    for (int i = 0; i < graph->node_count; i++) {
        const struct celldet_node *node = &graph->nodes[i];
        const struct tensor *x = &network->values[node->input].data;
        if (node->kind == NODE_UPSAMPLE_ADD) {
            device->operations->upsample_add(device, x, &network->values[node->output].data);
            continue;
        }
        device->operations->convolution_forward(network->nodes[i].plan, x->data, network->nodes[i].raw.data);
        if (node->norm && network->plan.training)
            normalize(network, i);
    }
}

enum code network_forward(struct network *network, const float *input, struct failure *why)
{
    const struct device *device = network->device;
    const struct tensor *x = &network->values[network->graph.input].data;
    struct tensor from = network->upload;
    if (network_internal_reads_host(device) && from.data != x->data)
        from.data = (void *)input; /* only read */
    else
        device->operations->upload(device, from.data, input, tensor_bytes(&from));
    if (from.data != x->data)
        device->operations->convert(device, &from, x);
    network_internal_forward(network);
    return device->operations->synchronize(device, why);
}

static void read_output(const struct network *network, int value, float *out)
{
    if (!out || value == CELLDET_NONE)
        return;
    const struct tensor *data = &network->values[value].data;
    network->device->operations->download(network->device, out, data->data, tensor_bytes(data));
}

void network_read_outputs(const struct network *network, float *heat, float *box, float *rays)
{
    read_output(network, network->graph.heat, heat);
    read_output(network, network->graph.box, box);
    read_output(network, network->graph.rays, rays);
}
