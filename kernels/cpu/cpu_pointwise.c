/* dweights (Cout, Cin) is dy (pixels, Cout), turned, times x (pixels, Cin): one pass over both tensors, with the sums of a
 * few channels in registers (cpu_loops.h, cpu_product).
 *
 * Pixels are cut into chunks by their number alone; each chunk has sums of its own, which are added in order: the
 * result does not depend on the number of threads. */
#include "cpu_pointwise.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct cpu_pointwise {
    struct cpu_device *device;
    struct convolution_spec spec;
    double *sums; /* (CPU_CHUNKS_MAX, Cout, Cin + 1): of a chunk's products with each input, and of its dy */
};

bool cpu_pointwise_suits(const struct convolution_spec *spec)
{
    return spec->training && spec->kernel == 1 && spec->stride == 1 && spec->channels_out < CPU_LANES &&
           spec->channels_in % CPU_LANES == 0;
}

static size_t sum_count(const struct convolution_spec *spec)
{
    return (size_t)spec->channels_out * ((size_t)spec->channels_in + 1);
}

enum code cpu_pointwise_create(struct cpu_device *device, const struct convolution_spec *spec, struct cpu_pointwise **out,
                               struct failure *why)
{
    assert(cpu_pointwise_suits(spec));
    struct cpu_pointwise *plan = calloc(1, sizeof *plan);
    double *sums = calloc(CPU_CHUNKS_MAX * sum_count(spec), sizeof *sums);
    if (!plan || !sums) {
        free(plan);
        free(sums);
        return failure_set(why, CODE_NO_MEMORY, "planning a convolution: out of memory for its sums");
    }
    *plan = (struct cpu_pointwise){device, *spec, sums};
    *out = plan;
    return CODE_OK;
}

void cpu_pointwise_destroy(struct cpu_pointwise *plan)
{
    if (!plan)
        return;
    free(plan->sums);
    free(plan);
}

static void multiply_chunk(const struct cpu_pointwise *plan, int chunk, const void *x, const void *dy)
{
    const struct convolution_spec *spec = &plan->spec;
    size_t pixels = (size_t)spec->batch * (size_t)spec->height * (size_t)spec->width;
    size_t begin = pixels * (size_t)chunk / CPU_CHUNKS_MAX, end = pixels * (size_t)(chunk + 1) / CPU_CHUNKS_MAX;
    size_t element = dtype_bytes(spec->dtype), in = (size_t)spec->channels_in, out = (size_t)spec->channels_out;
    double *sums = plan->sums + (size_t)chunk * sum_count(spec);
    memset(sums, 0, sum_count(spec) * sizeof *sums);
    plan->device->loops->product[spec->dtype](&(struct cpu_product){.x = (const char *)x + begin * in * element,
                                                                    .dy = (const char *)dy + begin * out * element,
                                                                    .pixels = end - begin,
                                                                    .channels = in,
                                                                    .outputs = out,
                                                                    .products = sums,
                                                                    .sums = sums + in * out});
}

void cpu_pointwise_backward_weights(const struct cpu_pointwise *plan, const void *x, const void *dy, float *dweights,
                                    float *dbias)
{
    size_t out = (size_t)plan->spec.channels_out, weights = out * (size_t)plan->spec.channels_in;
#pragma omp parallel for schedule(static) num_threads(plan->device->base.threads)
    for (int chunk = 0; chunk < CPU_CHUNKS_MAX; chunk++)
        multiply_chunk(plan, chunk, x, dy);
    double *total = plan->sums;
    for (size_t chunk = 1; chunk < CPU_CHUNKS_MAX; chunk++)
        for (size_t i = 0; i < sum_count(&plan->spec); i++)
            total[i] += plan->sums[chunk * sum_count(&plan->spec) + i];
    for (size_t i = 0; i < weights; i++)
        dweights[i] = (float)total[i];
    for (size_t i = 0; dbias && i < out; i++)
        dbias[i] = (float)total[weights + i];
}
