/* Convolutions: by Winograd's algorithm where that is faster (cpu_winograd.c), all others by oneDNN, but for one gradient
 * (cpu_pointwise.c).
 *
 * A plan of oneDNN's has up to three passes.  Activations are NHWC, used where they lie.  oneDNN chooses how
 * weights lie; where that is not the table's (Cout, Kh, Kw, Cin) f32, they are converted: once per
 * set_weights on the way in, once per backward pass for the gradient on the way out (in NHWC order f32 weight
 * gradients run at two thirds of the speed).
 *
 * A failed run leaves its code in the device for the next synchronize. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_internal.h"
#include "cpu_pointwise.h"
#include "cpu_winograd.h"

/* Weights on their way into a pass, or a gradient on its way out.  Where the layouts are equal there is no
 * reorder, and `memory` points at the table's bytes. */
struct crossing {
    dnnl_memory_t memory; /* in the pass's layout */
    dnnl_primitive_t reorder;
};

struct convolution {
    struct cpu_device *device;
    struct convolution_spec spec;
    struct cpu_winograd *winograd;   /* NULL: oneDNN computes this one, */
    struct cpu_pointwise *pointwise; /* but not the gradient of its weights where this is given */
    struct cpu_dnnl_plan passes[PASS_COUNT];
    dnnl_memory_t x[PASS_COUNT], y[PASS_COUNT]; /* bytes are set at each run */
    struct crossing weights[PASS_COUNT];
    dnnl_memory_t bias, dbias;
    dnnl_memory_t plain; /* the table's layout; bytes are set at each conversion */
    float *plain_copy;   /* (Cout, Kh, Kw, Cin), times the scale */
    float *bias_copy;    /* (Cout) */
};

static size_t weight_count(const struct convolution_spec *spec)
{
    return (size_t)spec->channels_out * (size_t)spec->kernel * (size_t)spec->kernel * (size_t)spec->channels_in;
}

static void destroy_memory(dnnl_memory_t memory)
{
    if (memory)
        dnnl_memory_destroy(memory);
}

void cpu_convolution_destroy(struct convolution *plan)
{
    if (!plan)
        return;
    cpu_winograd_destroy(plan->winograd);
    cpu_pointwise_destroy(plan->pointwise);
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        cpu_dnnl_plan_free(&plan->passes[pass]);
        destroy_memory(plan->x[pass]);
        destroy_memory(plan->y[pass]);
        destroy_memory(plan->weights[pass].memory);
        if (plan->weights[pass].reorder)
            dnnl_primitive_destroy(plan->weights[pass].reorder);
    }
    destroy_memory(plan->bias);
    destroy_memory(plan->dbias);
    destroy_memory(plan->plain);
    free(plan->plain_copy);
    free(plan->bias_copy);
    free(plan);
}

/* Makes the memories of one planned pass. */
static bool create_memories(struct convolution *plan, enum cpu_dnnl_pass pass)
{
    const struct cpu_dnnl *dnnl = plan->device->dnnl;
    const struct cpu_dnnl_plan *planned = &plan->passes[pass];
    struct crossing *weights = &plan->weights[pass];
    plan->x[pass] = cpu_dnnl_memory(dnnl, planned, pass, ROLE_X, false);
    plan->y[pass] = cpu_dnnl_memory(dnnl, planned, pass, ROLE_Y, false);
    weights->memory = cpu_dnnl_memory(dnnl, planned, pass, ROLE_WEIGHTS, false);
    if (!plan->x[pass] || !plan->y[pass] || !weights->memory)
        return false;
    if (cpu_dnnl_same_layout(weights->memory, plan->plain))
        return true;
    destroy_memory(weights->memory);
    weights->memory = cpu_dnnl_memory(dnnl, planned, pass, ROLE_WEIGHTS, true);
    if (!weights->memory)
        return false;
    weights->reorder = pass == PASS_BACKWARD_WEIGHTS ? cpu_dnnl_reorder(dnnl, weights->memory, plan->plain)
                                                     : cpu_dnnl_reorder(dnnl, plan->plain, weights->memory);
    return weights->reorder != NULL;
}

static enum code create_pass(struct convolution *plan, enum cpu_dnnl_pass pass, struct failure *why)
{
    const struct cpu_dnnl_plan *hint = pass == PASS_FORWARD ? NULL : &plan->passes[PASS_FORWARD];
    enum code code = cpu_dnnl_plan(plan->device->dnnl, &plan->spec, pass, hint, &plan->passes[pass], why);
    if (code != CODE_OK)
        return code;
    if (!create_memories(plan, pass))
        return failure_set(why, CODE_NO_MEMORY, "planning a convolution: out of memory for its weights");
    return CODE_OK;
}

static enum code create_biases(struct convolution *plan, struct failure *why)
{
    const struct cpu_dnnl *dnnl = plan->device->dnnl;
    plan->bias = cpu_dnnl_memory(dnnl, &plan->passes[PASS_FORWARD], PASS_FORWARD, ROLE_BIAS, false);
    if (plan->bias)
        dnnl_memory_set_data_handle(plan->bias, plan->bias_copy);
    bool gradient = plan->spec.training && !plan->pointwise;
    if (gradient)
        plan->dbias = cpu_dnnl_memory(dnnl, &plan->passes[PASS_BACKWARD_WEIGHTS], PASS_BACKWARD_WEIGHTS, ROLE_BIAS, false);
    if (!plan->bias || (gradient && !plan->dbias))
        return failure_set(why, CODE_NO_MEMORY, "planning a convolution: out of memory for its bias");
    return CODE_OK;
}

static enum code create_passes(struct convolution *plan, struct failure *why)
{
    const struct convolution_spec *spec = &plan->spec;
    plan->plain = cpu_dnnl_plain_weights(plan->device->dnnl, spec);
    if (!plan->plain)
        return failure_set(why, CODE_NO_MEMORY, "planning a convolution: out of memory for its weights");
    enum code code = create_pass(plan, PASS_FORWARD, why);
    if (code == CODE_OK && cpu_pointwise_suits(spec))
        code = cpu_pointwise_create(plan->device, spec, &plan->pointwise, why);
    else if (code == CODE_OK && spec->training)
        code = create_pass(plan, PASS_BACKWARD_WEIGHTS, why);
    if (code == CODE_OK && spec->training && spec->input_gradient)
        code = create_pass(plan, PASS_BACKWARD_DATA, why);
    if (code == CODE_OK && spec->bias)
        code = create_biases(plan, why);
    return code;
}

enum code cpu_convolution_create(const struct device *device, const struct convolution_spec *spec, struct convolution **out,
                                 struct failure *why)
{
    assert(spec->kernel == 1 || spec->kernel == 3);
    assert(!spec->training || (!spec->accumulate && !spec->relu));
    assert(!spec->normalized || spec->training);
    struct convolution *plan = calloc(1, sizeof *plan);
    if (!plan)
        return failure_set(why, CODE_NO_MEMORY, "planning a convolution: out of memory");
    plan->device = cpu_internal_of(device);
    plan->spec = *spec;
    cpu_internal_use_threads(device);
    plan->plain_copy = calloc(weight_count(spec), sizeof(float));
    plan->bias_copy = calloc((size_t)spec->channels_out, sizeof(float));
    enum code code = CODE_OK;
    if (!plan->plain_copy || !plan->bias_copy)
        code = failure_set(why, CODE_NO_MEMORY, "planning a convolution: out of memory for its weights");
    else if (cpu_winograd_suits(plan->device, spec))
        code = cpu_winograd_create(plan->device, spec, &plan->winograd, why);
    else
        code = create_passes(plan, why);
    if (code != CODE_OK) {
        cpu_convolution_destroy(plan);
        return code;
    }
    *out = plan;
    return CODE_OK;
}

static void run(struct convolution *plan, dnnl_primitive_t primitive, const dnnl_exec_arg_t *args, int count)
{
    struct cpu_device *device = plan->device;
    cpu_internal_use_threads(&device->base);
    int status = cpu_dnnl_run(device->dnnl, primitive, args, count);
    if (status != 0 && device->failed == CODE_OK)
        device->failed = failure_set(&device->why, CODE_IO, "computing on device cpu: oneDNN failed (status %d)", status);
}

/* oneDNN's memory takes any pointer and only reads through those of inputs. */
static void point(dnnl_memory_t memory, const void *bytes)
{
    dnnl_memory_set_data_handle(memory, (void *)bytes);
}

/* Whether a pass reads the weights where they were handed in, each time it runs. */
static bool reads_plain_weights(const struct convolution *plan)
{
    for (int pass = PASS_FORWARD; pass <= PASS_BACKWARD_DATA; pass++)
        if (plan->weights[pass].memory && !plan->weights[pass].reorder)
            return true;
    return false;
}

static void copy_weights(struct convolution *plan, const float *weights, const float *scale)
{
    size_t outputs = (size_t)plan->spec.channels_out, per_output = weight_count(&plan->spec) / outputs;
#pragma omp parallel for schedule(static) num_threads(plan->device->base.threads)
    for (size_t o = 0; o < outputs; o++)
        for (size_t k = 0; k < per_output; k++)
            plan->plain_copy[o * per_output + k] = weights[o * per_output + k] * (scale ? scale[o] : 1.0f);
}

void cpu_convolution_set_weights(struct convolution *plan, const float *weights, const float *scale, const float *bias)
{
    if (scale || reads_plain_weights(plan)) {
        copy_weights(plan, weights, scale);
        weights = plan->plain_copy;
    }
    if (plan->spec.bias)
        memcpy(plan->bias_copy, bias, (size_t)plan->spec.channels_out * sizeof *bias);
    if (plan->winograd) {
        cpu_winograd_set_weights(plan->winograd, weights, plan->spec.bias ? plan->bias_copy : NULL);
        return;
    }
    point(plan->plain, weights);
    for (int pass = PASS_FORWARD; pass <= PASS_BACKWARD_DATA; pass++) {
        struct crossing *crossing = &plan->weights[pass];
        if (!crossing->memory)
            continue;
        if (!crossing->reorder) {
            point(crossing->memory, weights);
            continue;
        }
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, plan->plain}, {DNNL_ARG_TO, crossing->memory}};
        run(plan, crossing->reorder, args, 2);
    }
}

void cpu_convolution_forward(struct convolution *plan, const void *x, void *y)
{
    if (plan->winograd) {
        cpu_winograd_forward(plan->winograd, x, y);
        return;
    }
    point(plan->x[PASS_FORWARD], x);
    point(plan->y[PASS_FORWARD], y);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, plan->x[PASS_FORWARD]},
                                    {DNNL_ARG_DST, plan->y[PASS_FORWARD]},
                                    {DNNL_ARG_WEIGHTS, plan->weights[PASS_FORWARD].memory},
                                    {DNNL_ARG_BIAS, plan->bias}};
    run(plan, plan->passes[PASS_FORWARD].primitive, args, plan->spec.bias ? 4 : 3);
}

const struct cpu_winograd_moments *cpu_convolution_moments(const struct convolution *plan)
{
    return plan->winograd ? cpu_winograd_moments(plan->winograd) : NULL;
}

void cpu_convolution_backward_data(struct convolution *plan, const void *dy, void *dx)
{
    if (plan->winograd) {
        cpu_winograd_backward_data(plan->winograd, dy, dx);
        return;
    }
    point(plan->y[PASS_BACKWARD_DATA], dy);
    point(plan->x[PASS_BACKWARD_DATA], dx);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_DIFF_DST, plan->y[PASS_BACKWARD_DATA]},
                                    {DNNL_ARG_DIFF_SRC, plan->x[PASS_BACKWARD_DATA]},
                                    {DNNL_ARG_WEIGHTS, plan->weights[PASS_BACKWARD_DATA].memory}};
    run(plan, plan->passes[PASS_BACKWARD_DATA].primitive, args, 3);
}

void cpu_convolution_backward_weights(struct convolution *plan, const void *x, const void *dy, float *dweights, float *dbias)
{
    if (plan->winograd) {
        cpu_winograd_backward_weights(plan->winograd, x, dy, dweights);
        return;
    }
    if (plan->pointwise) {
        cpu_pointwise_backward_weights(plan->pointwise, x, dy, dweights, plan->spec.bias ? dbias : NULL);
        return;
    }
    struct crossing *crossing = &plan->weights[PASS_BACKWARD_WEIGHTS];
    point(plan->x[PASS_BACKWARD_WEIGHTS], x);
    point(plan->y[PASS_BACKWARD_WEIGHTS], dy);
    if (!crossing->reorder)
        point(crossing->memory, dweights);
    if (plan->spec.bias)
        point(plan->dbias, dbias);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, plan->x[PASS_BACKWARD_WEIGHTS]},
                                    {DNNL_ARG_DIFF_DST, plan->y[PASS_BACKWARD_WEIGHTS]},
                                    {DNNL_ARG_DIFF_WEIGHTS, crossing->memory},
                                    {DNNL_ARG_DIFF_BIAS, plan->dbias}};
    run(plan, plan->passes[PASS_BACKWARD_WEIGHTS].primitive, args, plan->spec.bias ? 4 : 3);
    if (!crossing->reorder)
        return;
    point(plan->plain, dweights);
    const dnnl_exec_arg_t out[] = {{DNNL_ARG_FROM, crossing->memory}, {DNNL_ARG_TO, plan->plain}};
    run(plan, crossing->reorder, out, 2);
}
