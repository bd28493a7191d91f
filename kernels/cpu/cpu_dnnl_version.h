/* The two C APIs of oneDNN as one, for cpu_dnnl.c alone: version 3's names, which version 2 is given here.
 *
 * Version 3 makes descriptors of tensors on the heap, and plans a convolution in one call with its
 * attributes; version 2 keeps descriptors in the caller's memory, and plans in two calls. */
#ifndef CYTOFS_CPU_DNNL_VERSION_H
#define CYTOFS_CPU_DNNL_VERSION_H

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t owned_layout; /* NULL, or to be destroyed */
typedef const_dnnl_memory_desc_t layout;

static inline dnnl_status_t append_sum(dnnl_post_ops_t operations)
{
    return dnnl_post_ops_append_sum(operations, 1.0f, 0, dnnl_data_type_undef);
}

static inline dnnl_status_t append_relu(dnnl_post_ops_t operations)
{
    return dnnl_post_ops_append_eltwise(operations, dnnl_eltwise_relu, 0.0f, 0.0f);
}

#elif DNNL_VERSION_MAJOR == 2

typedef dnnl_memory_desc_t *owned_layout;
typedef const dnnl_memory_desc_t *layout;

static inline dnnl_status_t dnnl_memory_desc_create_with_tag(owned_layout *out, int rank, const dnnl_dims_t dims,
                                                             dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    *out = malloc(sizeof **out);
    return *out ? dnnl_memory_desc_init_by_tag(*out, rank, dims, type, tag) : dnnl_out_of_memory;
}

static inline void dnnl_memory_desc_destroy(owned_layout desc)
{
    free(desc);
}

static inline dnnl_status_t dnnl_convolution_forward_primitive_desc_create(
    dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_prop_kind_t kind, dnnl_alg_kind_t algorithm, layout x,
    layout weights, layout bias, layout y, const dnnl_dims_t strides, const dnnl_dims_t dilates, const dnnl_dims_t before,
    const dnnl_dims_t after, const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t desc;
    (void)dilates;
    dnnl_status_t status =
        dnnl_convolution_forward_desc_init(&desc, kind, algorithm, x, weights, bias, y, strides, before, after);
    return status == dnnl_success ? dnnl_primitive_desc_create(out, &desc, attr, engine, NULL) : status;
}

static inline dnnl_status_t dnnl_convolution_backward_data_primitive_desc_create(
    dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t algorithm, layout dx, layout weights, layout dy,
    const dnnl_dims_t strides, const dnnl_dims_t dilates, const dnnl_dims_t before, const dnnl_dims_t after,
    const_dnnl_primitive_desc_t hint, const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t desc;
    (void)dilates;
    dnnl_status_t status =
        dnnl_convolution_backward_data_desc_init(&desc, algorithm, dx, weights, dy, strides, before, after);
    return status == dnnl_success ? dnnl_primitive_desc_create(out, &desc, attr, engine, hint) : status;
}

static inline dnnl_status_t dnnl_convolution_backward_weights_primitive_desc_create(
    dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t algorithm, layout x, layout dweights, layout dbias,
    layout dy, const dnnl_dims_t strides, const dnnl_dims_t dilates, const dnnl_dims_t before, const dnnl_dims_t after,
    const_dnnl_primitive_desc_t hint, const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t desc;
    (void)dilates;
    dnnl_status_t status =
        dnnl_convolution_backward_weights_desc_init(&desc, algorithm, x, dweights, dbias, dy, strides, before, after);
    return status == dnnl_success ? dnnl_primitive_desc_create(out, &desc, attr, engine, hint) : status;
}

static inline dnnl_status_t append_sum(dnnl_post_ops_t operations)
{
    return dnnl_post_ops_append_sum(operations, 1.0f);
}

static inline dnnl_status_t append_relu(dnnl_post_ops_t operations)
{
    return dnnl_post_ops_append_eltwise(operations, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f);
}

#else
#error "kernels/cpu is written for the C APIs of oneDNN 2 and 3"
#endif

#endif
