/* Walks the graph forward, then backward, and notes which step touches which block.  See layout.h for the
 * steps. */
#include "layout.h"

#include <assert.h>

struct walk {
    const struct celldet *graph;
    const struct network_plan *plan;
    struct layout *layout;
};

enum dtype layout_dtype(const struct network_plan *plan)
{
    return plan->precision == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_F32;
}

struct tensor layout_tensor(const struct celldet *graph, const struct network_plan *plan, int value)
{
    bool logits = value == graph->heat || value == graph->box || value == graph->rays;
    int reduction = graph->values[value].reduction;
    return (struct tensor){.dtype = logits ? DTYPE_F32 : layout_dtype(plan),
                           .n = plan->batch,
                           .h = plan->height / reduction,
                           .w = plan->width / reduction,
                           .c = graph->values[value].channels};
}

static int new_block(const struct walk *walk, int value, enum dtype dtype, int step)
{
    struct layout *layout = walk->layout;
    assert(layout->block_count < ARENA_BLOCKS_MAX);
    struct tensor shape = layout_tensor(walk->graph, walk->plan, value);
    shape.dtype = dtype;
    layout->blocks[layout->block_count] = (struct arena_block){.bytes = tensor_bytes(&shape), .first = step, .last = step};
    return (int)layout->block_count++;
}

/* Steps grow as the walk goes on. */
static void touch(const struct walk *walk, int block, int step)
{
    walk->layout->blocks[block].last = step;
}

static void add_gradient(const struct walk *walk, int value, int block)
{
    struct layout_value *place = &walk->layout->values[value];
    assert(place->gradient_count < GRADIENT_SUMMANDS_MAX);
    place->gradients[place->gradient_count++] = block;
}

static void place_input(const struct walk *walk)
{
    struct layout *layout = walk->layout;
    int input = walk->graph->input;
    layout->values[input].block = new_block(walk, input, layout_dtype(walk->plan), 0);
    layout->upload = layout->values[input].block;
    if (layout_dtype(walk->plan) != DTYPE_F32)
        layout->upload = new_block(walk, input, DTYPE_F32, 0);
}

static void walk_forward(const struct walk *walk, int index, int step)
{
    const struct celldet_node *node = &walk->graph->nodes[index];
    struct layout *layout = walk->layout;
    bool training = walk->plan->training;
    touch(walk, layout->values[node->input].block, step);
    if (node->kind == NODE_UPSAMPLE_ADD) {
        touch(walk, layout->values[node->output].block, step);
        return;
    }
    enum dtype dtype = layout_tensor(walk->graph, walk->plan, node->output).dtype;
    bool in_place = node->residual != CELLDET_NONE && !training;
    if (node->residual != CELLDET_NONE)
        touch(walk, layout->values[node->residual].block, step);
    int output = in_place ? layout->values[node->residual].block : new_block(walk, node->output, dtype, step);
    layout->values[node->output].block = output;
    layout->nodes[index].raw = training && node->norm ? new_block(walk, node->output, dtype, step) : output;
}

static void walk_backward(const struct walk *walk, int index, int step)
{
    const struct celldet_node *node = &walk->graph->nodes[index];
    struct layout_node *place = &walk->layout->nodes[index];
    const struct layout_value *output = &walk->layout->values[node->output];
    enum dtype dtype = layout_dtype(walk->plan);
    assert(output->gradient_count >= 1 && (node->norm || output->gradient_count == 1));
    for (int k = 0; k < output->gradient_count; k++)
        touch(walk, output->gradients[k], step);
    place->draw = output->gradients[0];
    if (node->kind == NODE_CONVOLUTION) {
        touch(walk, place->raw, step);
        touch(walk, output->block, step);
        touch(walk, walk->layout->values[node->input].block, step);
        if (node->residual != CELLDET_NONE) {
            place->draw = new_block(walk, node->output, dtype, step);
            add_gradient(walk, node->residual, output->gradients[0]);
        }
    }
    place->dinput = LAYOUT_NONE;
    if (node->input != walk->graph->input) {
        place->dinput = new_block(walk, node->input, dtype, step);
        add_gradient(walk, node->input, place->dinput);
    }
}

void layout_plan(const struct celldet *graph, const struct network_plan *plan, struct layout *layout)
{
    *layout = (struct layout){0};
    struct walk walk = {graph, plan, layout};
    const int heads[] = {graph->heat, graph->box, graph->rays};
    int nodes = graph->node_count;
    place_input(&walk);
    for (int i = 0; i < nodes; i++)
        walk_forward(&walk, i, i + 1);
    for (int k = 0; plan->training && k < 3; k++)
        if (heads[k] != CELLDET_NONE)
            add_gradient(&walk, heads[k], new_block(&walk, heads[k], layout_dtype(plan), nodes + 1));
    for (int i = nodes - 1; plan->training && i >= 0; i--)
        walk_backward(&walk, i, 2 * nodes + 1 - i);
    for (int k = 0; k < 3; k++)
        if (heads[k] != CELLDET_NONE)
            touch(&walk, layout->values[heads[k]].block, 2 * nodes + 2);
    layout->bytes = arena_plan(layout->blocks, layout->block_count);
}
