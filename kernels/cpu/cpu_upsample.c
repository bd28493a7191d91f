/* Nearest-neighbour upsampling by 2 onto an existing tensor, and its gradient, a coarse row at a time. */
#include <assert.h>

#include "cpu_internal.h"

static void each_row(const struct device *device, const struct tensor *coarse, const struct tensor *fine,
                     void (*visit)(const struct cpu_rows *rows))
{
    assert(fine->h == 2 * coarse->h && fine->w == 2 * coarse->w && fine->n == coarse->n && fine->c == coarse->c);
    assert(fine->dtype == coarse->dtype && fine->c % CPU_LANES == 0);
    size_t row_bytes = (size_t)coarse->w * (size_t)coarse->c * dtype_bytes(coarse->dtype);
#pragma omp parallel for schedule(static) num_threads(device->threads)
    for (int row = 0; row < coarse->n * coarse->h; row++) {
        char *upper = (char *)fine->data + (size_t)row * 4 * row_bytes;
        visit(&(struct cpu_rows){.coarse = (char *)coarse->data + (size_t)row * row_bytes,
                                 .upper = upper,
                                 .lower = upper + 2 * row_bytes,
                                 .width = (size_t)coarse->w,
                                 .channels = (size_t)coarse->c});
    }
}

void cpu_upsample_add(const struct device *device, const struct tensor *coarse, const struct tensor *fine)
{
    each_row(device, coarse, fine, cpu_internal_of(device)->loops->upsample_add[coarse->dtype]);
}

void cpu_upsample_backward(const struct device *device, const struct tensor *dfine, const struct tensor *dcoarse)
{
    each_row(device, dcoarse, dfine, cpu_internal_of(device)->loops->upsample_backward[dcoarse->dtype]);
}
