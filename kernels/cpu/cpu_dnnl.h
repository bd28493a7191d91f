/* The door to oneDNN: the only header of ours that shows its types.  Versions 2 and 3 serve; cpu_dnnl_version.h
 * holds what differs between them. */
#ifndef CYTOFS_CPU_DNNL_H
#define CYTOFS_CPU_DNNL_H

#include <oneapi/dnnl/dnnl.h>

#include "device.h"

struct cpu_dnnl; /* an engine and its stream */

enum code cpu_dnnl_open(struct cpu_dnnl **out, struct failure *why);
void cpu_dnnl_close(struct cpu_dnnl *dnnl);

bool cpu_dnnl_has_bf16(void); /* this processor multiplies in bf16 */

enum cpu_dnnl_pass { PASS_FORWARD, PASS_BACKWARD_DATA, PASS_BACKWARD_WEIGHTS, PASS_COUNT };

/* Which tensor of a pass. */
enum cpu_dnnl_role { ROLE_X, ROLE_WEIGHTS, ROLE_BIAS, ROLE_Y };

/* One planned pass of a convolution.  Activations are plain NHWC; the weights' layout is oneDNN's choice. */
struct cpu_dnnl_plan {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
};

/* hint is the forward pass, NULL when planning that.  CODE_UNSUPPORTED where oneDNN has nothing. */
enum code cpu_dnnl_plan(const struct cpu_dnnl *dnnl, const struct convolution_spec *spec, enum cpu_dnnl_pass pass,
                        const struct cpu_dnnl_plan *hint, struct cpu_dnnl_plan *out, struct failure *why);
void cpu_dnnl_plan_free(struct cpu_dnnl_plan *plan);

/* A memory of the layout that the plan wants for `role` (a gradient in a backward pass).  own: with bytes of
 * its own; otherwise the caller sets them before each use.  NULL on failure. */
dnnl_memory_t cpu_dnnl_memory(const struct cpu_dnnl *dnnl, const struct cpu_dnnl_plan *plan, enum cpu_dnnl_pass pass,
                              enum cpu_dnnl_role role, bool own);

/* A memory for weights as the table has them: f32 (Cout, Kh, Kw, Cin), bytes to be set. */
dnnl_memory_t cpu_dnnl_plain_weights(const struct cpu_dnnl *dnnl, const struct convolution_spec *spec);

bool cpu_dnnl_same_layout(dnnl_memory_t a, dnnl_memory_t b);

/* A conversion between two layouts; NULL on failure. */
dnnl_primitive_t cpu_dnnl_reorder(const struct cpu_dnnl *dnnl, dnnl_memory_t from, dnnl_memory_t to);

/* Runs a primitive to its end; returns oneDNN's status as 0 or not. */
int cpu_dnnl_run(const struct cpu_dnnl *dnnl, dnnl_primitive_t primitive, const dnnl_exec_arg_t *args, int count);

#endif
