/* Nearest-neighbour upsampling by 2 onto an existing tensor, and its gradient. */
#include <assert.h>

#include "ref_internal.h"

/* The index in the coarse tensor of the value above the fine tensor's element `index`. */
static size_t coarse_index(const struct tensor *fine, size_t index)
{
    size_t c = index % (size_t)fine->c, pixel = index / (size_t)fine->c;
    size_t j = pixel % (size_t)fine->w, row = pixel / (size_t)fine->w; /* row = n * H + i, and H is even */
    return (row / 2 * ((size_t)fine->w / 2) + j / 2) * (size_t)fine->c + c;
}

void ref_upsample_add(const struct device *device, const struct tensor *coarse, const struct tensor *fine)
{
    (void)device;
    assert(fine->h == 2 * coarse->h && fine->w == 2 * coarse->w && fine->c == coarse->c);
    for (size_t i = 0; i < tensor_count(fine); i++)
        ref_set(fine->dtype, fine->data, i,
                ref_get(fine->dtype, fine->data, i) + ref_get(coarse->dtype, coarse->data, coarse_index(fine, i)));
}

void ref_upsample_backward(const struct device *device, const struct tensor *dfine, const struct tensor *dcoarse)
{
    (void)device;
    assert(dfine->h == 2 * dcoarse->h && dfine->w == 2 * dcoarse->w && dfine->c == dcoarse->c);
    size_t channels = (size_t)dfine->c, width = (size_t)dfine->w;
    for (size_t i = 0; i < tensor_count(dfine); i++) {
        size_t pixel = i / channels;
        if (pixel % width % 2 || pixel / width % 2)
            continue;
        double sum = ref_get(dfine->dtype, dfine->data, i) + ref_get(dfine->dtype, dfine->data, i + channels) +
                     ref_get(dfine->dtype, dfine->data, i + width * channels) +
                     ref_get(dfine->dtype, dfine->data, i + (width + 1) * channels);
        ref_set(dcoarse->dtype, dcoarse->data, coarse_index(dfine, i), sum);
    }
}
