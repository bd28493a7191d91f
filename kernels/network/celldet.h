/* CellDet as a graph: its values (activations), its nodes in the order of computation, and its parameters
 * with their places in the slab.  Pure data; no device.
 *
 *     input   Cin x H x W                                              1/1
 *     stem    CBR3x3 s2 Cin->w ; CBR3x3 w->w                           1/2
 *     stage1  Block(w->2w, s2)  Block(2w->2w)                          1/4   -> f1
 *     stage2  Block(2w->4w, s2) Block(4w->4w)                          1/8   -> f2
 *     stage3  Block(4w->6w, s2) Block(6w->6w)                          1/16  -> f3
 *     stage4  Block(6w->8w, s2) Block(8w->8w)                          1/32  -> f4
 *     neck    p = lateral4(f4); for i = 3, 2, 1: p = CBR3x3(up(p) + lateral_i(f_i))
 *             lateral_i: 1x1 with bias -> D
 *     heads   on p (1/4), each CBR3x3 D->D, then 1x1 with bias: heat K, box 4, rays R
 *
 * CBR = convolution, batch norm, ReLU.  Block = CBR3x3(s), 3x3, batch norm, + shortcut (identity, or 1x1(s)
 * with batch norm where the shape changes), ReLU.
 */
#ifndef CYTOFS_CELLDET_H
#define CYTOFS_CELLDET_H

#include "network.h"

#define CELLDET_NODES_MAX      40
#define CELLDET_VALUES_MAX     40
#define CELLDET_PARAMETERS_MAX 160
#define CELLDET_NONE           (-1)

/* Each parameter begins at a multiple of this many floats; the gap is zero. */
#define CELLDET_ALIGN_FLOATS 16

enum celldet_node_kind {
    NODE_CONVOLUTION, /* output = relu?(norm?(convolution(input) + bias?) + residual?) */
    NODE_UPSAMPLE_ADD /* output += upsampled input; the output is made by an earlier node */
};

/* How fresh parameters look. */
enum celldet_start { START_DEFAULT, START_BLOCK_END, START_HEAT, START_DISTANCE };

struct celldet_node {
    enum celldet_node_kind kind;
    char name[40];               /* "stage1.0.conv1" */
    int input, output, residual; /* values; residual may be CELLDET_NONE */
    int kernel, stride;
    bool norm, relu; /* a convolution has a norm or a bias, never both */
    enum celldet_start start;
    /* Parameters, by index; those that the node lacks are CELLDET_NONE. */
    int weight, bias, gamma, beta, running_mean, running_variance;
};

struct celldet_value {
    int producer;  /* node; CELLDET_NONE for the input */
    int reduction; /* the value is (N, H / reduction, W / reduction, channels) */
    int channels;
};

struct celldet {
    struct network_architecture architecture;
    struct celldet_node nodes[CELLDET_NODES_MAX];
    struct celldet_value values[CELLDET_VALUES_MAX];
    struct network_parameter parameters[CELLDET_PARAMETERS_MAX];
    int node_count, value_count, parameter_count;
    int input, heat, box, rays; /* values; rays may be CELLDET_NONE */
    /* The slab: [0, decaying) convolution weights, [decaying, trained) biases, gammas and betas, [trained,
     * slab_floats) running statistics. */
    size_t decaying, trained, slab_floats;
};

/* Fills in *graph.  An architecture out of range is CODE_INVALID. */
MUST_CHECK enum code celldet_build(const struct network_architecture *architecture, struct celldet *graph,
                                   struct failure *why);

/* Fresh parameters into weights (slab_floats): see network_initialize. */
void celldet_initialize(const struct celldet *graph, uint64_t seed, float *weights);

#endif
