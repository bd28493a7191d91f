/* Where the activations of one network lie: for each value, and in training for each gradient, a block of one
 * slab.
 *
 * A block lives from the step that writes it to the last that reads it.  With n nodes, step 0 brings the
 * input, step i + 1 runs node i, step n + 1 is the loss, step 2n + 1 - i is node i's backward pass, and step
 * 2n + 2 is after it all, when the caller may read the outputs.
 *
 * In training a normalised node keeps its convolution's result (raw) beside its output.  In inference the
 * norm is folded into the convolution, and a residual is added in place: the node's output takes its
 * residual's block.
 */
#ifndef CYTOFS_LAYOUT_H
#define CYTOFS_LAYOUT_H

#include "arena.h"
#include "celldet.h"
#include "device.h"

#define LAYOUT_NONE (-1)

/* Blocks, by index. */
struct layout_node {
    int raw;    /* the convolution's result; the output's block where no norm follows in training */
    int draw;   /* its gradient */
    int dinput; /* this node's summand of its input's gradient */
};

struct layout_value {
    int block;
    int gradients[GRADIENT_SUMMANDS_MAX]; /* summands of its gradient */
    int gradient_count;
};

struct layout {
    struct arena_block blocks[ARENA_BLOCKS_MAX];
    size_t block_count;
    struct layout_node nodes[CELLDET_NODES_MAX];
    struct layout_value values[CELLDET_VALUES_MAX];
    int upload; /* the f32 input before its conversion; the input's own block in f32 */
    size_t bytes;
};

void layout_plan(const struct celldet *graph, const struct network_plan *plan, struct layout *layout);

/* The shape of a value under a plan; data is NULL.  Logits are always f32. */
struct tensor layout_tensor(const struct celldet *graph, const struct network_plan *plan, int value);

/* What activations and their gradients are kept in. */
enum dtype layout_dtype(const struct network_plan *plan);

#endif
