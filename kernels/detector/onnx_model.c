/* ONNX files: see onnx_model.h.  The graph is walked once; each convolution becomes a Conv, with an Add and a Relu behind
 * it where it has a shortcut or an activation; up-sampling becomes a Resize and an Add.  Values are named by the node that
 * made them.  Field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
 */
#include "onnx_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "celldet.h"
#include "device.h"
#include "file.h"
#include "model_info.h"
#include "protobuf.h"
#include "scope.h"

#define ONNX_IR_VERSION 8
#define ONNX_OPSET      13
#define VALUE_NAME_MAX  64

enum {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER = 2,
    MODEL_PRODUCER_VERSION = 3,
    MODEL_DOC = 6,
    MODEL_GRAPH = 7,
    MODEL_OPSET = 8,
    MODEL_METADATA = 14
};
enum { OPSET_VERSION = 2 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OPERATION = 4, NODE_ATTRIBUTE = 5 };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_TEXT = 4, ATTRIBUTE_INTEGERS = 8, ATTRIBUTE_TYPE = 20 };
enum { ATTRIBUTE_IS_TEXT = 3, ATTRIBUTE_IS_INTEGERS = 7 };
enum { TENSOR_DIMENSION = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9, TENSOR_IS_FLOAT = 1 };
enum {
    VALUE_NAME = 1,
    VALUE_TYPE = 2,
    TYPE_TENSOR = 1,
    TENSOR_TYPE_ELEMENT = 1,
    TENSOR_TYPE_SHAPE = 2,
    SHAPE_DIMENSION = 1,
    DIMENSION_VALUE = 1,
    DIMENSION_NAME = 2
};

struct writer {
    struct celldet graph;
    const float *slab;
    struct buffer message;                  /* the GraphProto */
    const char *values[CELLDET_VALUES_MAX]; /* what the graph's values are called now */
};

/* Nodes ------------------------------------------------------------------------------------------------------------- */

static void begin_node(struct buffer *node, const char *operation, const char *const *inputs, const char *output)
{
    for (; *inputs; inputs++)
        protobuf_append_text(node, NODE_INPUT, *inputs);
    protobuf_append_text(node, NODE_OUTPUT, output);
    protobuf_append_text(node, NODE_NAME, output);
    protobuf_append_text(node, NODE_OPERATION, operation);
}

static void add_integers(struct buffer *node, const char *name, const int *values, size_t count)
{
    SCOPE_BUFFER attribute = {0};
    protobuf_append_text(&attribute, ATTRIBUTE_NAME, name);
    for (size_t i = 0; i < count; i++)
        protobuf_append_integer(&attribute, ATTRIBUTE_INTEGERS, (uint64_t)values[i]);
    protobuf_append_integer(&attribute, ATTRIBUTE_TYPE, ATTRIBUTE_IS_INTEGERS);
    protobuf_append_message(node, NODE_ATTRIBUTE, &attribute);
}

static void add_text(struct buffer *node, const char *name, const char *value)
{
    SCOPE_BUFFER attribute = {0};
    protobuf_append_text(&attribute, ATTRIBUTE_NAME, name);
    protobuf_append_text(&attribute, ATTRIBUTE_TEXT, value);
    protobuf_append_integer(&attribute, ATTRIBUTE_TYPE, ATTRIBUTE_IS_TEXT);
    protobuf_append_message(node, NODE_ATTRIBUTE, &attribute);
}

static void add_plain_node(struct writer *writer, const char *operation, const char *const *inputs, const char *output)
{
    SCOPE_BUFFER node = {0};
    begin_node(&node, operation, inputs, output);
    protobuf_append_message(&writer->message, GRAPH_NODE, &node);
}

/* Constants --------------------------------------------------------------------------------------------------------- */

static void add_tensor(struct writer *writer, const char *name, const int *shape, size_t rank, const float *values)
{
    SCOPE_BUFFER tensor = {0};
    size_t count = 1;
    for (size_t i = 0; i < rank; i++) {
        protobuf_append_integer(&tensor, TENSOR_DIMENSION, (uint64_t)shape[i]);
        count *= (size_t)shape[i];
    }
    protobuf_append_integer(&tensor, TENSOR_TYPE, TENSOR_IS_FLOAT);
    protobuf_append_text(&tensor, TENSOR_NAME, name);
    protobuf_append_bytes(&tensor, TENSOR_RAW, values, count * sizeof *values); /* little-endian, as every host we run on */
    protobuf_append_message(&writer->message, GRAPH_INITIALIZER, &tensor);
}

/* (Cout, Kh, Kw, Cin) with one factor an output channel, to (Cout, Cin, Kh, Kw). */
static void transpose(const float *from, const int shape[4], const double *factors, float *to)
{
    int area = shape[1] * shape[2], inputs = shape[3];
    for (int o = 0; o < shape[0]; o++)
        for (int k = 0; k < area; k++)
            for (int i = 0; i < inputs; i++)
                to[((size_t)o * (size_t)inputs + (size_t)i) * (size_t)area + (size_t)k] =
                    (float)((double)from[((size_t)o * (size_t)area + (size_t)k) * (size_t)inputs + (size_t)i] * factors[o]);
}

static const float *parameter_of(const struct writer *writer, int parameter)
{
    return writer->slab + writer->graph.parameters[parameter].offset;
}

/* What a node multiplies its weights with and adds to its sums. */
static void fold(const struct writer *writer, const struct celldet_node *node, int channels, double *factors, float *shifts)
{
    for (int c = 0; c < channels; c++) {
        factors[c] = 1;
        if (!node->norm) {
            shifts[c] = parameter_of(writer, node->bias)[c];
            continue;
        }
        double variance = (double)parameter_of(writer, node->running_variance)[c];
        factors[c] = (double)parameter_of(writer, node->gamma)[c] / sqrt(variance + (double)NORM_EPSILON);
        shifts[c] = (float)((double)parameter_of(writer, node->beta)[c] -
                            (double)parameter_of(writer, node->running_mean)[c] * factors[c]);
    }
}

static enum code add_weights(struct writer *writer, const struct celldet_node *node, const char *weight_name,
                             const char *bias_name, struct failure *why)
{
    const struct network_parameter *weight = &writer->graph.parameters[node->weight];
    int channels = weight->shape[0];
    SCOPE_FREE double *factors = calloc((size_t)channels, sizeof *factors);
    SCOPE_FREE float *shifts = calloc((size_t)channels, sizeof *shifts);
    SCOPE_FREE float *transposed = calloc(weight->count, sizeof *transposed);
    if (!factors || !shifts || !transposed)
        return failure_set(why, CODE_NO_MEMORY, "writing the ONNX model: out of memory");
    fold(writer, node, channels, factors, shifts);
    transpose(parameter_of(writer, node->weight), weight->shape, factors, transposed);
    add_tensor(writer, weight_name, (const int[]){channels, weight->shape[3], weight->shape[1], weight->shape[2]}, 4,
               transposed);
    add_tensor(writer, bias_name, &channels, 1, shifts);
    return CODE_OK;
}

/* The graph --------------------------------------------------------------------------------------------------------- */

static void add_convolution_node(struct writer *writer, const struct celldet_node *node, const char *const *inputs,
                                 const char *output)
{
    SCOPE_BUFFER message = {0};
    int pad = node->kernel / 2;
    begin_node(&message, "Conv", inputs, output);
    add_integers(&message, "kernel_shape", (const int[]){node->kernel, node->kernel}, 2);
    add_integers(&message, "strides", (const int[]){node->stride, node->stride}, 2);
    add_integers(&message, "pads", (const int[]){pad, pad, pad, pad}, 4);
    protobuf_append_message(&writer->message, GRAPH_NODE, &message);
}

static enum code add_convolution(struct writer *writer, const struct celldet_node *node, struct failure *why)
{
    char weight[VALUE_NAME_MAX], bias[VALUE_NAME_MAX], sums[VALUE_NAME_MAX], added[VALUE_NAME_MAX];
    snprintf(weight, sizeof weight, "%s.weight", node->name);
    snprintf(bias, sizeof bias, "%s.bias", node->name);
    snprintf(sums, sizeof sums, "%s.sums", node->name);
    snprintf(added, sizeof added, "%s.added", node->name);
    const char *value = node->name;
    enum code code = add_weights(writer, node, weight, bias, why);
    if (code != CODE_OK)
        return code;
    bool residual = node->residual != CELLDET_NONE;
    const char *made = residual || node->relu ? sums : value;
    add_convolution_node(writer, node, (const char *[]){writer->values[node->input], weight, bias, NULL}, made);
    if (residual) {
        const char *sum = node->relu ? added : value;
        add_plain_node(writer, "Add", (const char *[]){made, writer->values[node->residual], NULL}, sum);
        made = sum;
    }
    if (node->relu)
        add_plain_node(writer, "Relu", (const char *[]){made, NULL}, value);
    writer->values[node->output] = value;
    return CODE_OK;
}

/* Each pixel becomes four. */
static void add_upsampling(struct writer *writer, const struct celldet_node *node)
{
    char larger[VALUE_NAME_MAX];
    SCOPE_BUFFER message = {0};
    snprintf(larger, sizeof larger, "%s.larger", node->name);
    begin_node(&message, "Resize", (const char *[]){writer->values[node->input], "", "upsampling", NULL}, larger);
    add_text(&message, "mode", "nearest");
    add_text(&message, "nearest_mode", "floor");
    add_text(&message, "coordinate_transformation_mode", "asymmetric");
    protobuf_append_message(&writer->message, GRAPH_NODE, &message);
    add_plain_node(writer, "Add", (const char *[]){writer->values[node->output], larger, NULL}, node->name);
    writer->values[node->output] = node->name;
}

static enum code add_nodes(struct writer *writer, struct failure *why)
{
    static const char *const constants[] = {"middle", "spread"};
    const float values[] = {0.5f, 4.0f}, scales[] = {1, 1, 2, 2};
    for (size_t i = 0; i < 2; i++)
        add_tensor(writer, constants[i], (const int[]){1}, 1, &values[i]);
    add_tensor(writer, "upsampling", (const int[]){4}, 1, scales);
    add_plain_node(writer, "Sub", (const char *[]){"image", "middle", NULL}, "centred");
    add_plain_node(writer, "Mul", (const char *[]){"centred", "spread", NULL}, "input");
    writer->values[writer->graph.input] = "input";
    enum code code = CODE_OK;
    for (int i = 0; code == CODE_OK && i < writer->graph.node_count; i++) {
        const struct celldet_node *node = &writer->graph.nodes[i];
        if (node->kind == NODE_CONVOLUTION)
            code = add_convolution(writer, node, why);
        else
            add_upsampling(writer, node);
    }
    return code;
}

/* Inputs and outputs ------------------------------------------------------------------------------------------------ */

static void add_dimension(struct buffer *shape, int value, const char *name)
{
    SCOPE_BUFFER dimension = {0};
    if (value)
        protobuf_append_integer(&dimension, DIMENSION_VALUE, (uint64_t)value);
    else
        protobuf_append_text(&dimension, DIMENSION_NAME, name);
    protobuf_append_message(shape, SHAPE_DIMENSION, &dimension);
}

/* (N, channels, height, width), the last two by name. */
static void add_value(struct writer *writer, unsigned field, const char *name, int channels, const char *const sides[2])
{
    SCOPE_BUFFER value = {0}, type = {0}, tensor = {0}, shape = {0};
    add_dimension(&shape, 0, "N");
    add_dimension(&shape, channels, NULL);
    add_dimension(&shape, 0, sides[0]);
    add_dimension(&shape, 0, sides[1]);
    protobuf_append_integer(&tensor, TENSOR_TYPE_ELEMENT, TENSOR_IS_FLOAT);
    protobuf_append_message(&tensor, TENSOR_TYPE_SHAPE, &shape);
    protobuf_append_message(&type, TYPE_TENSOR, &tensor);
    protobuf_append_text(&value, VALUE_NAME, name);
    protobuf_append_message(&value, VALUE_TYPE, &type);
    protobuf_append_message(&writer->message, field, &value);
}

static void add_output(struct writer *writer, const char *name, int value)
{
    static const char *const sides[] = {"H/4", "W/4"};
    if (value == CELLDET_NONE)
        return;
    add_plain_node(writer, "Identity", (const char *[]){writer->values[value], NULL}, name);
    add_value(writer, GRAPH_OUTPUT, name, writer->graph.values[value].channels, sides);
}

static enum code write_graph(struct writer *writer, struct failure *why)
{
    static const char *const sides[] = {"H", "W"};
    enum code code = add_nodes(writer, why);
    if (code != CODE_OK)
        return code;
    protobuf_append_text(&writer->message, GRAPH_NAME, "celldet");
    add_value(writer, GRAPH_INPUT, "image", writer->graph.architecture.input_channels, sides);
    add_output(writer, "heat", writer->graph.heat);
    add_output(writer, "box", writer->graph.box);
    add_output(writer, "rays", writer->graph.rays);
    return CODE_OK;
}

static void add_metadata(struct buffer *model, const char *key, const char *value)
{
    SCOPE_BUFFER entry = {0};
    protobuf_append_text(&entry, ENTRY_KEY, key);
    protobuf_append_text(&entry, ENTRY_VALUE, value);
    protobuf_append_message(model, MODEL_METADATA, &entry);
}

enum code onnx_model_write(const char *path, const struct model_info *info, const float *slab, struct failure *why)
{
    SCOPE_FREE struct writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    writer->slab = slab;
    enum code code = celldet_build(&info->architecture, &writer->graph, why);
    if (code == CODE_OK)
        code = write_graph(writer, why);
    SCOPE_BUFFER model = {0}, opset = {0}, description = {0};
    model_info_format(info, &description);
    protobuf_append_integer(&opset, OPSET_VERSION, ONNX_OPSET);
    protobuf_append_integer(&model, MODEL_IR_VERSION, ONNX_IR_VERSION);
    protobuf_append_text(&model, MODEL_PRODUCER, "cytofs");
    protobuf_append_text(&model, MODEL_PRODUCER_VERSION, info->software);
    protobuf_append_text(&model, MODEL_DOC, "CellDet, a cell detector.  Research use only: not a diagnostic device.");
    protobuf_append_message(&model, MODEL_GRAPH, &writer->message);
    protobuf_append_message(&model, MODEL_OPSET, &opset);
    add_metadata(&model, "cytofs.model", buffer_text(&description));
    buffer_free(&writer->message);
    if (code == CODE_OK)
        code = buffer_check(&model, path, why);
    return code == CODE_OK ? file_replace(path, model.data, model.length, why) : code;
}
