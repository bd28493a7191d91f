/* The gradient of weights of 1 x 1 convolutions to a few channels, such as CellDet's heat and box: oneDNN's kernels are made
 * for many, and in f32 take ten times as long as reading the tensors does.  Contracts as in device.h. */
#ifndef CYTOFS_CPU_POINTWISE_H
#define CYTOFS_CPU_POINTWISE_H

#include <stdbool.h>

#include "cpu_internal.h"

struct cpu_pointwise; /* one planned convolution */

/* Whether this convolution's gradient of weights is better computed here. */
bool cpu_pointwise_suits(const struct convolution_spec *spec);

/* Only for what suits. */
MUST_CHECK enum code cpu_pointwise_create(struct cpu_device *device, const struct convolution_spec *spec,
                                          struct cpu_pointwise **out, struct failure *why);
void cpu_pointwise_destroy(struct cpu_pointwise *plan); /* NULL is fine */

/* dbias is NULL where the convolution has no bias. */
void cpu_pointwise_backward_weights(const struct cpu_pointwise *plan, const void *x, const void *dy, float *dweights,
                                    float *dbias);

#endif
