/* Planned convolutions.  cuDNN's tensor-core engines want channels in multiples of 8 (facts of cuDNN 9: else none, or hidden
 * conversions), so an input of 3 channels, and heads of few, go through padded copies that the plan owns; everything else is
 * read and written in place.  What comes after the sums (bias, residual, ReLU, another type) is one kernel of ours.
 *
 *     x --pad?--> cuDNN --> sums --finish?--> y          sums are y itself where nothing is left to do
 */
#include "cuda_internal.h"

#include <assert.h>
#include <stdlib.h>

#define CHANNELS_UNIT 8

struct convolution {
    struct cuda_device *device;
    struct convolution_spec spec;
    struct cuda_weights_shape shape;
    size_t pixels_in, pixels_out;
    struct cuda_graph *forward, *data, *weights_gradient;
    void *packed;              /* weights as cuDNN reads them */
    void *packed_gradient;     /* their gradient, of spec.dtype */
    void *padded_x, *padded_y; /* NULL where the tensor itself serves */
    float *bias;
};

static int round_up(int channels)
{
    return (channels + CHANNELS_UNIT - 1) / CHANNELS_UNIT * CHANNELS_UNIT;
}

static bool is_plain(const struct convolution *plan)
{
    const struct convolution_spec *spec = &plan->spec;
    return plan->shape.padded_out == spec->channels_out && spec->dtype == spec->dtype_out && !spec->bias &&
           !spec->accumulate && !spec->relu;
}

static enum code plan_graph(struct convolution *plan, enum cuda_graph_kind kind, struct cuda_graph **out,
                            struct failure *why)
{
    const struct convolution_spec *spec = &plan->spec;
    const struct cuda_graph_spec wanted = {.kind = kind,
                                           .batch = spec->batch,
                                           .height = spec->height,
                                           .width = spec->width,
                                           .channels_in = plan->shape.padded_in,
                                           .channels_out = plan->shape.padded_out,
                                           .kernel = spec->kernel,
                                           .stride = spec->stride,
                                           .dtype = spec->dtype};
    enum code code = cuda_graph_create(plan->device->library, &wanted, out, why);
    if (code == CODE_OK && !cuda_internal_reserve(plan->device, cuda_graph_workspace(*out)))
        return failure_set(why, CODE_NO_MEMORY, "planning a convolution: the GPU has no memory left");
    return code;
}

static enum code plan_graphs(struct convolution *plan, struct failure *why)
{
    enum code code = plan_graph(plan, CUDA_GRAPH_FORWARD, &plan->forward, why);
    if (code == CODE_OK && plan->spec.training)
        code = plan_graph(plan, CUDA_GRAPH_WEIGHTS, &plan->weights_gradient, why);
    if (code == CODE_OK && plan->spec.training && plan->spec.input_gradient)
        code = plan_graph(plan, CUDA_GRAPH_DATA, &plan->data, why);
    return code;
}

static bool take(struct convolution *plan, void **memory, size_t bytes)
{
    *memory = plan->device->base.operations->allocate(&plan->device->base, bytes);
    return *memory != NULL;
}

static bool take_memory(struct convolution *plan)
{
    const struct convolution_spec *spec = &plan->spec;
    size_t element = dtype_bytes(spec->dtype);
    size_t weights = (size_t)plan->shape.padded_out * (size_t)plan->shape.taps * (size_t)plan->shape.padded_in;
    bool good = take(plan, &plan->packed, weights * element);
    if (good && spec->training)
        good = take(plan, &plan->packed_gradient, weights * element);
    if (good && plan->shape.padded_in != spec->channels_in)
        good = take(plan, &plan->padded_x, plan->pixels_in * (size_t)plan->shape.padded_in * element);
    if (good && (!is_plain(plan) || spec->training))
        good = is_plain(plan) || take(plan, &plan->padded_y, plan->pixels_out * (size_t)plan->shape.padded_out * element);
    return good && (!spec->bias || take(plan, (void **)&plan->bias, (size_t)spec->channels_out * sizeof(float)));
}

enum code cuda_convolution_create(const struct device *device, const struct convolution_spec *spec, struct convolution **out,
                                  struct failure *why)
{
    struct convolution *plan = calloc(1, sizeof *plan);
    if (!plan)
        return failure_set(why, CODE_NO_MEMORY, "planning a convolution: out of memory");
    plan->device = cuda_internal_of(device);
    plan->spec = *spec;
    plan->shape = (struct cuda_weights_shape){spec->channels_out, spec->kernel * spec->kernel, spec->channels_in,
                                              round_up(spec->channels_out), round_up(spec->channels_in)};
    size_t batch = (size_t)spec->batch, stride = (size_t)spec->stride;
    plan->pixels_in = batch * (size_t)spec->height * (size_t)spec->width;
    plan->pixels_out =
        batch * (((size_t)spec->height + stride - 1) / stride) * (((size_t)spec->width + stride - 1) / stride);
    enum code code = plan_graphs(plan, why);
    if (code == CODE_OK && !take_memory(plan))
        code = failure_set(why, CODE_NO_MEMORY, "planning a convolution: the GPU has no memory left");
    if (code != CODE_OK) {
        cuda_convolution_destroy(plan);
        return code;
    }
    *out = plan;
    return CODE_OK;
}

void cuda_convolution_destroy(struct convolution *plan)
{
    if (!plan)
        return;
    cuda_graph_destroy(plan->forward);
    cuda_graph_destroy(plan->data);
    cuda_graph_destroy(plan->weights_gradient);
    void *const owned[] = {plan->packed, plan->packed_gradient, plan->padded_x, plan->padded_y, plan->bias};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        plan->device->base.operations->release(&plan->device->base, owned[i]);
    free(plan);
}

void cuda_convolution_set_weights(struct convolution *plan, const float *weights, const float *scale, const float *bias)
{
    cudaStream_t stream = plan->device->stream;
    cuda_layout_pack_weights(stream, plan->spec.dtype, &plan->shape, weights, scale, plan->packed);
    if (plan->spec.bias)
        plan->device->base.operations->copy(&plan->device->base, plan->bias, bias,
                                            (size_t)plan->spec.channels_out * sizeof(float));
}

static void run(struct convolution *plan, struct cuda_graph *graph, void *x, void *weights, void *y)
{
    struct failure why;
    enum code code = cuda_graph_run(graph, &(struct cuda_graph_operands){x, weights, y, plan->device->workspace}, &why);
    if (code != CODE_OK)
        cuda_internal_note(plan->device, code, &why);
}

/* The input as cuDNN reads it. */
static void *widened_x(struct convolution *plan, const void *x)
{
    if (!plan->padded_x)
        return (void *)x;
    cuda_layout_pad(plan->device->stream, plan->spec.dtype, plan->pixels_in, plan->spec.channels_in, plan->shape.padded_in,
                    x, plan->padded_x);
    return plan->padded_x;
}

/* The output's gradient, likewise. */
static void *widened_dy(struct convolution *plan, const void *dy)
{
    if (plan->shape.padded_out == plan->spec.channels_out)
        return (void *)dy;
    cuda_layout_pad(plan->device->stream, plan->spec.dtype, plan->pixels_out, plan->spec.channels_out,
                    plan->shape.padded_out, dy, plan->padded_y);
    return plan->padded_y;
}

void cuda_convolution_forward(struct convolution *plan, const void *x, void *y)
{
    void *sums = is_plain(plan) ? y : plan->padded_y;
    run(plan, plan->forward, widened_x(plan, x), plan->packed, sums);
    if (sums == y)
        return;
    cuda_layout_finish(plan->device->stream,
                       &(struct cuda_epilogue){.pixels = plan->pixels_out,
                                               .channels = plan->spec.channels_out,
                                               .padded = plan->shape.padded_out,
                                               .sums = sums,
                                               .dtype = plan->spec.dtype,
                                               .dtype_out = plan->spec.dtype_out,
                                               .bias = plan->bias,
                                               .accumulate = plan->spec.accumulate,
                                               .relu = plan->spec.relu},
                       y);
}

void cuda_convolution_backward_data(struct convolution *plan, const void *dy, void *dx)
{
    assert(plan->data);
    void *sums = plan->padded_x ? plan->padded_x : dx;
    run(plan, plan->data, sums, plan->packed, widened_dy(plan, dy));
    if (sums != dx)
        cuda_layout_unpad(plan->device->stream, plan->spec.dtype, plan->pixels_in, plan->spec.channels_in,
                          plan->shape.padded_in, sums, dx);
}

void cuda_convolution_backward_weights(struct convolution *plan, const void *x, const void *dy, float *dweights,
                                       float *dbias)
{
    cudaStream_t stream = plan->device->stream;
    run(plan, plan->weights_gradient, widened_x(plan, x), plan->packed_gradient, widened_dy(plan, dy));
    cuda_layout_unpack_gradient(stream, plan->spec.dtype, &plan->shape, plan->packed_gradient, dweights);
    if (plan->spec.bias)
        cuda_layout_sum_pixels(stream, plan->spec.dtype, plan->pixels_out, plan->spec.channels_out, dy,
                               plan->device->scratch, dbias);
}
