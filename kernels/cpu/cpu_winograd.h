/* 3 x 3 convolutions of stride 1 by Winograd's algorithm, in a quarter of the multiplications.  Results
 * differ from those of the definition by rounding alone (some 1e-6 of the largest); sums are taken in f32,
 * whatever the tensors' type.  Contracts as in device.h. */
#ifndef CYTOFS_CPU_WINOGRAD_H
#define CYTOFS_CPU_WINOGRAD_H

#include <stdbool.h>

#include "cpu_internal.h"

struct cpu_winograd; /* one planned convolution */

/* Whether this convolution can be computed so, and is the faster for it on this device. */
bool cpu_winograd_suits(const struct cpu_device *device, const struct convolution_spec *spec);

/* Only for what suits. */
MUST_CHECK enum code cpu_winograd_create(struct cpu_device *device, const struct convolution_spec *spec,
                                         struct cpu_winograd **out, struct failure *why);
void cpu_winograd_destroy(struct cpu_winograd *plan); /* NULL is fine */

/* weights (Cout, 3, 3, Cin); bias (Cout), or NULL, is read by each forward pass, where it stands. */
void cpu_winograd_set_weights(struct cpu_winograd *plan, const float *weights, const float *bias);
void cpu_winograd_forward(const struct cpu_winograd *plan, const void *x, void *y);

/* What the last forward pass of a `normalized` plan summed, block by block; NULL for another plan. */
struct cpu_winograd_moments {
    size_t blocks;
    const size_t *pixels; /* (blocks) */
    const float *sums;    /* (blocks, 3, channels): as cpu_winograd_result.moments */
};
const struct cpu_winograd_moments *cpu_winograd_moments(const struct cpu_winograd *plan);

void cpu_winograd_backward_data(const struct cpu_winograd *plan, const void *dy, void *dx);
void cpu_winograd_backward_weights(const struct cpu_winograd *plan, const void *x, const void *dy, float *dweights);

#endif
