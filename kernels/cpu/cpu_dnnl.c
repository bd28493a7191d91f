/* oneDNN behind the door of cpu_dnnl.h; written as for version 3, see cpu_dnnl_version.h. */
#include "cpu_dnnl.h"

#include <stdlib.h>

#include "cpu_dnnl_version.h"

struct cpu_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};

enum code cpu_dnnl_open(struct cpu_dnnl **out, struct failure *why)
{
    struct cpu_dnnl *dnnl = calloc(1, sizeof *dnnl);
    if (!dnnl)
        return failure_set(why, CODE_NO_MEMORY, "opening device cpu: out of memory");
    if (dnnl_engine_create(&dnnl->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&dnnl->stream, dnnl->engine, dnnl_stream_default_flags) != dnnl_success) {
        cpu_dnnl_close(dnnl);
        return failure_set(why, CODE_UNSUPPORTED, "opening device cpu: oneDNN does not start on this processor");
    }
    *out = dnnl;
    return CODE_OK;
}

void cpu_dnnl_close(struct cpu_dnnl *dnnl)
{
    if (!dnnl)
        return;
    if (dnnl->stream)
        dnnl_stream_destroy(dnnl->stream);
    if (dnnl->engine)
        dnnl_engine_destroy(dnnl->engine);
    free(dnnl);
}

bool cpu_dnnl_has_bf16(void)
{
    int isa = dnnl_get_effective_cpu_isa();
    return (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

static dnnl_data_type_t data_type(enum dtype dtype)
{
    return dtype == DTYPE_F32 ? dnnl_f32 : dnnl_bf16;
}

/* The descriptors of a convolution's four tensors, for one pass. */
struct tensors {
    owned_layout x, weights, bias, y;
};

static void free_tensors(struct tensors *tensors)
{
    owned_layout const owned[] = {tensors->x, tensors->weights, tensors->bias, tensors->y};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        if (owned[i])
            dnnl_memory_desc_destroy(owned[i]);
}

static dnnl_status_t describe(const struct convolution_spec *spec, enum cpu_dnnl_pass pass, struct tensors *out)
{
    const dnnl_dims_t x = {spec->batch, spec->channels_in, spec->height, spec->width};
    const dnnl_dims_t weights = {spec->channels_out, spec->channels_in, spec->kernel, spec->kernel};
    const dnnl_dims_t bias = {spec->channels_out};
    const dnnl_dims_t y = {spec->batch, spec->channels_out, (spec->height + spec->stride - 1) / spec->stride,
                           (spec->width + spec->stride - 1) / spec->stride};
    dnnl_data_type_t activations = data_type(spec->dtype);
    dnnl_data_type_t result = data_type(pass == PASS_FORWARD ? spec->dtype_out : spec->dtype);
    dnnl_data_type_t kernel = pass == PASS_BACKWARD_WEIGHTS ? dnnl_f32 : activations;
    *out = (struct tensors){0};
    dnnl_status_t status = dnnl_memory_desc_create_with_tag(&out->x, 4, x, activations, dnnl_nhwc);
    if (status == dnnl_success)
        status = dnnl_memory_desc_create_with_tag(&out->weights, 4, weights, kernel, dnnl_format_tag_any);
    if (status == dnnl_success && spec->bias)
        status = dnnl_memory_desc_create_with_tag(&out->bias, 1, bias, dnnl_f32, dnnl_x);
    if (status == dnnl_success)
        status = dnnl_memory_desc_create_with_tag(&out->y, 4, y, result, dnnl_nhwc);
    return status;
}

/* What a pass is planned with. */
struct passing {
    const struct convolution_spec *spec;
    dnnl_engine_t engine;
    const_dnnl_primitive_desc_t hint; /* the forward pass */
    const_dnnl_primitive_attr_t attr;
};

static dnnl_status_t plan_pass(const struct passing *p, enum cpu_dnnl_pass pass, const struct tensors *t,
                               dnnl_primitive_desc_t *out)
{
    const struct convolution_spec *spec = p->spec;
    int rows = (spec->height + spec->stride - 1) / spec->stride, pad = spec->kernel / 2;
    int columns = (spec->width + spec->stride - 1) / spec->stride;
    const dnnl_dims_t strides = {spec->stride, spec->stride}, dilates = {0, 0};
    const dnnl_dims_t before = {pad, pad};
    const dnnl_dims_t after = {(rows - 1) * spec->stride + spec->kernel - spec->height - pad,
                               (columns - 1) * spec->stride + spec->kernel - spec->width - pad};
    switch (pass) {
    case PASS_BACKWARD_DATA:
        return dnnl_convolution_backward_data_primitive_desc_create(out, p->engine, dnnl_convolution_direct, t->x,
                                                                    t->weights, t->y, strides, dilates, before, after,
                                                                    p->hint, p->attr);
    case PASS_BACKWARD_WEIGHTS:
        return dnnl_convolution_backward_weights_primitive_desc_create(out, p->engine, dnnl_convolution_direct, t->x,
                                                                       t->weights, t->bias, t->y, strides, dilates, before,
                                                                       after, p->hint, p->attr);
    default:
        return dnnl_convolution_forward_primitive_desc_create(
            out, p->engine, spec->training ? dnnl_forward_training : dnnl_forward_inference, dnnl_convolution_direct, t->x,
            t->weights, t->bias, t->y, strides, dilates, before, after, p->attr);
    }
}

/* The epilogue of the forward pass: first the residual is added, then ReLU. */
static dnnl_status_t describe_epilogue(const struct convolution_spec *spec, dnnl_primitive_attr_t attr)
{
    dnnl_post_ops_t operations = NULL;
    dnnl_status_t status = dnnl_post_ops_create(&operations);
    if (status == dnnl_success && spec->accumulate)
        status = append_sum(operations);
    if (status == dnnl_success && spec->relu)
        status = append_relu(operations);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(attr, operations);
    if (operations)
        dnnl_post_ops_destroy(operations);
    return status;
}

enum code cpu_dnnl_plan(const struct cpu_dnnl *dnnl, const struct convolution_spec *spec, enum cpu_dnnl_pass pass,
                        const struct cpu_dnnl_plan *hint, struct cpu_dnnl_plan *out, struct failure *why)
{
    struct tensors tensors;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status = describe(spec, pass, &tensors);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_create(&attr);
    if (status == dnnl_success && pass == PASS_FORWARD)
        status = describe_epilogue(spec, attr);
    if (status == dnnl_success)
        status =
            plan_pass(&(struct passing){spec, dnnl->engine, hint ? hint->desc : NULL, attr}, pass, &tensors, &out->desc);
    free_tensors(&tensors);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&out->primitive, out->desc);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    if (status == dnnl_success)
        return CODE_OK;
    return failure_set(why, status == dnnl_out_of_memory ? CODE_NO_MEMORY : CODE_UNSUPPORTED,
                       "planning a %dx%d convolution of %d to %d channels at %dx%d: oneDNN refused it (status %d)",
                       spec->kernel, spec->kernel, spec->channels_in, spec->channels_out, spec->height, spec->width,
                       (int)status);
}

void cpu_dnnl_plan_free(struct cpu_dnnl_plan *plan)
{
    if (plan->primitive)
        dnnl_primitive_destroy(plan->primitive);
    if (plan->desc)
        dnnl_primitive_desc_destroy(plan->desc);
    *plan = (struct cpu_dnnl_plan){0};
}

dnnl_memory_t cpu_dnnl_memory(const struct cpu_dnnl *dnnl, const struct cpu_dnnl_plan *plan, enum cpu_dnnl_pass pass,
                              enum cpu_dnnl_role role, bool own)
{
    static const dnnl_query_t what[PASS_COUNT][4] = {
        [PASS_FORWARD] = {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_weights_md, dnnl_query_dst_md},
        [PASS_BACKWARD_DATA] = {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_weights_md,
                                dnnl_query_diff_dst_md},
        [PASS_BACKWARD_WEIGHTS] = {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_weights_md,
                                   dnnl_query_diff_dst_md},
    };
    layout desc = dnnl_primitive_desc_query_md(plan->desc, what[pass][role], role == ROLE_BIAS);
    dnnl_memory_t memory = NULL;
    if (!desc ||
        dnnl_memory_create(&memory, desc, dnnl->engine, own ? DNNL_MEMORY_ALLOCATE : DNNL_MEMORY_NONE) != dnnl_success)
        return NULL;
    return memory;
}

dnnl_memory_t cpu_dnnl_plain_weights(const struct cpu_dnnl *dnnl, const struct convolution_spec *spec)
{
    const dnnl_dims_t dims = {spec->channels_out, spec->channels_in, spec->kernel, spec->kernel};
    owned_layout desc = NULL;
    dnnl_memory_t memory = NULL;
    if (dnnl_memory_desc_create_with_tag(&desc, 4, dims, dnnl_f32, dnnl_ohwi) != dnnl_success ||
        dnnl_memory_create(&memory, desc, dnnl->engine, DNNL_MEMORY_NONE) != dnnl_success)
        memory = NULL;
    if (desc)
        dnnl_memory_desc_destroy(desc);
    return memory;
}

static layout memory_layout(dnnl_memory_t memory)
{
    layout desc = NULL;
    return dnnl_memory_get_memory_desc(memory, &desc) == dnnl_success ? desc : NULL;
}

bool cpu_dnnl_same_layout(dnnl_memory_t a, dnnl_memory_t b)
{
    layout first = memory_layout(a), second = memory_layout(b);
    return first && second && dnnl_memory_desc_equal(first, second);
}

dnnl_primitive_t cpu_dnnl_reorder(const struct cpu_dnnl *dnnl, dnnl_memory_t from, dnnl_memory_t to)
{
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t primitive = NULL;
    if (dnnl_reorder_primitive_desc_create(&desc, memory_layout(from), dnnl->engine, memory_layout(to), dnnl->engine,
                                           NULL) != dnnl_success)
        return NULL;
    if (dnnl_primitive_create(&primitive, desc) != dnnl_success)
        primitive = NULL;
    dnnl_primitive_desc_destroy(desc);
    return primitive;
}

int cpu_dnnl_run(const struct cpu_dnnl *dnnl, dnnl_primitive_t primitive, const dnnl_exec_arg_t *args, int count)
{
    dnnl_status_t status = dnnl_primitive_execute(primitive, dnnl->stream, count, args);
    if (status == dnnl_success)
        status = dnnl_stream_wait(dnnl->stream);
    return (int)status;
}
