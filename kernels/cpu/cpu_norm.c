/* Batch norm with residual and ReLU: see device.h for what, ref_norm.c for the formulas.
 *
 * These passes are bound by memory, so each reads and writes what it must, once.  A tensor is cut into at
 * most CPU_CHUNKS_MAX chunks of whole pixels, by its size alone.  Sums are kept in double per chunk, then
 * added over the chunks in order: the result does not depend on the number of threads.  Variances come from
 * sums of distances to the first pixel, a value amid the data, so nothing cancels. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "cpu_internal.h"
#include "cpu_winograd.h"

#define CHUNK_PIXELS_MIN 64

/* How a tensor is cut: chunk k is pixels [begin(k), begin(k + 1)). */
static int chunk_count(size_t pixels)
{
    size_t count = (pixels + CHUNK_PIXELS_MIN - 1) / CHUNK_PIXELS_MIN;
    return count < CPU_CHUNKS_MAX ? (int)count : CPU_CHUNKS_MAX;
}

static size_t chunk_begin(size_t pixels, int chunk)
{
    return pixels * (size_t)chunk / (size_t)chunk_count(pixels);
}

static size_t chunk_pixels(size_t pixels, int chunk)
{
    return chunk_begin(pixels, chunk + 1) - chunk_begin(pixels, chunk);
}

static void *at(const struct tensor *tensor, size_t pixel)
{
    return (char *)tensor->data + pixel * (size_t)tensor->c * dtype_bytes(tensor->dtype);
}

static void clear_sums(struct cpu_device *device, int chunk, size_t channels)
{
    for (int kind = 0; kind < 2; kind++)
        memset(device->partial[chunk][kind], 0, channels * sizeof(double));
}

/* Fills in one channel's mean, inverse deviation and running statistics. */
static void set_statistics(const struct norm_forward *norm, int c, double mean, double variance)
{
    double pixels = (double)tensor_pixels(&norm->x);
    double unbiased = pixels > 1 ? variance * pixels / (pixels - 1) : variance;
    norm->mean[c] = (float)mean;
    norm->inverse_deviation[c] = (float)(1 / sqrt(variance + (double)NORM_EPSILON));
    norm->running_mean[c] += NORM_MOMENTUM * ((float)mean - norm->running_mean[c]);
    norm->running_variance[c] += NORM_MOMENTUM * ((float)unbiased - norm->running_variance[c]);
}

/* Adds up the chunks' sums of one kind, in order.  A chunk's numbers stand side by side, those of different chunks
 * 4 KB apart, where caches have few places for them: so channels are the inner loop. */
static void add_chunks(const struct cpu_device *device, size_t pixels, int kind, size_t channels, double *sums)
{
    memset(sums, 0, channels * sizeof *sums);
    for (int chunk = 0; chunk < chunk_count(pixels); chunk++)
        for (size_t c = 0; c < channels; c++)
            sums[c] += device->partial[chunk][kind][c];
}

static void finish_moments(const struct cpu_device *device, const struct norm_forward *norm, const float *shift)
{
    size_t count = tensor_pixels(&norm->x), channels = (size_t)norm->x.c;
    double sums[DEVICE_CHANNELS_MAX], squares[DEVICE_CHANNELS_MAX], pixels = (double)count;
    add_chunks(device, count, 0, channels, sums);
    add_chunks(device, count, 1, channels, squares);
    for (size_t c = 0; c < channels; c++) {
        double distance = sums[c] / pixels;
        set_statistics(norm, (int)c, (double)shift[c] + distance, fmax(squares[c] / pixels - distance * distance, 0));
    }
}

/* From what the convolution summed, each block about a value of its own.  Two sets of numbers become one as in Chan, Golub,
 * LeVeque: "Updating formulae and a pairwise algorithm for computing sample variances", 1979. */
static void merge_moments(const struct norm_forward *norm, const struct cpu_winograd_moments *moments)
{
    size_t channels = (size_t)norm->x.c;
    double mean[DEVICE_CHANNELS_MAX], squares[DEVICE_CHANNELS_MAX]; /* squares: of distances to the mean */
    double count = 0;
    memset(mean, 0, channels * sizeof *mean);
    memset(squares, 0, channels * sizeof *squares);
    for (size_t block = 0; block < moments->blocks; block++) {
        const float *shifts = moments->sums + block * 3 * channels;
        const float *sums = shifts + channels, *sums_of_squares = sums + channels;
        double pixels = (double)moments->pixels[block], each = 1 / pixels, share = pixels / (count + pixels);
        for (size_t c = 0; c < channels; c++) {
            double sum = (double)sums[c], distance = sum * each;
            double apart = (double)shifts[c] + distance - mean[c];
            double within = (double)sums_of_squares[c] - distance * sum;
            squares[c] += (within > 0 ? within : 0) + apart * apart * count * share;
            mean[c] += apart * share;
        }
        count += pixels;
    }
    for (size_t c = 0; c < channels; c++)
        set_statistics(norm, (int)c, mean[c], squares[c] / count);
}

static void compute_moments(struct cpu_device *device, const struct norm_forward *norm)
{
    size_t pixels = tensor_pixels(&norm->x), channels = (size_t)norm->x.c;
    float shift[DEVICE_CHANNELS_MAX];
    for (size_t c = 0; c < channels; c++)
        shift[c] =
            norm->x.dtype == DTYPE_F32 ? ((const float *)norm->x.data)[c] : bf16_to_f32(((const uint16_t *)norm->x.data)[c]);
#pragma omp parallel for schedule(static) num_threads(device->base.threads)
    for (int chunk = 0; chunk < chunk_count(pixels); chunk++) {
        clear_sums(device, chunk, channels);
        device->loops->moments[norm->x.dtype](&(struct cpu_moments){.x = at(&norm->x, chunk_begin(pixels, chunk)),
                                                                    .pixels = chunk_pixels(pixels, chunk),
                                                                    .channels = channels,
                                                                    .shift = shift,
                                                                    .sums = device->partial[chunk][0],
                                                                    .squares = device->partial[chunk][1]});
    }
    finish_moments(device, norm, shift);
}

void cpu_norm_forward(const struct device *base, const struct norm_forward *norm)
{
    struct cpu_device *device = cpu_internal_of(base);
    size_t pixels = tensor_pixels(&norm->x), channels = (size_t)norm->x.c;
    assert(channels % CPU_LANES == 0 && channels <= DEVICE_CHANNELS_MAX && norm->y.dtype == norm->x.dtype);
    assert(!norm->residual || norm->residual->dtype == norm->x.dtype);
    const struct cpu_winograd_moments *moments = norm->source ? cpu_convolution_moments(norm->source) : NULL;
    if (moments)
        merge_moments(norm, moments);
    else
        compute_moments(device, norm);
    float factor[DEVICE_CHANNELS_MAX];
    for (size_t c = 0; c < channels; c++)
        factor[c] = norm->gamma[c] * norm->inverse_deviation[c];
#pragma omp parallel for schedule(static) num_threads(base->threads)
    for (int chunk = 0; chunk < chunk_count(pixels); chunk++) {
        size_t begin = chunk_begin(pixels, chunk);
        device->loops->map[norm->x.dtype](&(struct cpu_map){.x = at(&norm->x, begin),
                                                            .y = at(&norm->y, begin),
                                                            .residual = norm->residual ? at(norm->residual, begin) : NULL,
                                                            .pixels = chunk_pixels(pixels, chunk),
                                                            .channels = channels,
                                                            .mean = norm->mean,
                                                            .factor = factor,
                                                            .beta = norm->beta,
                                                            .relu = norm->relu});
    }
}

/* factor (C) is read where norm->beta is given. */
static void reduce_chunk(struct cpu_device *device, const struct norm_backward *norm, const float *factor, int chunk)
{
    size_t pixels = tensor_pixels(&norm->x), begin = chunk_begin(pixels, chunk);
    struct cpu_reduction reduction = {.x = at(&norm->x, begin),
                                      .y = at(&norm->y, begin),
                                      .masked = at(&norm->gradients[0], begin),
                                      .gradient_count = norm->gradient_count,
                                      .pixels = chunk_pixels(pixels, chunk),
                                      .channels = (size_t)norm->x.c,
                                      .mean = norm->mean,
                                      .factor = factor,
                                      .beta = norm->beta,
                                      .relu = norm->relu,
                                      .sums = device->partial[chunk][0],
                                      .products = device->partial[chunk][1]};
    for (int k = 0; k < norm->gradient_count; k++)
        reduction.gradients[k] = at(&norm->gradients[k], begin);
    clear_sums(device, chunk, (size_t)norm->x.c);
    device->loops->reduce[norm->x.dtype](&reduction);
}

/* dgamma and dbeta from the chunks' sums, and two of the three numbers per channel that dx needs. */
static void finish_reduction(const struct cpu_device *device, const struct norm_backward *norm, float *offset, float *slope)
{
    size_t pixels = tensor_pixels(&norm->x), channels = (size_t)norm->x.c;
    double sums[DEVICE_CHANNELS_MAX], products[DEVICE_CHANNELS_MAX];
    add_chunks(device, pixels, 0, channels, sums);
    add_chunks(device, pixels, 1, channels, products);
    for (size_t c = 0; c < channels; c++) {
        double inverse = (double)norm->inverse_deviation[c], scale = (double)norm->gamma[c] * inverse;
        norm->dbeta[c] = (float)sums[c];
        norm->dgamma[c] = (float)(products[c] * inverse);
        offset[c] = (float)(scale * sums[c] / (double)pixels);
        slope[c] = (float)(scale * products[c] * inverse * inverse / (double)pixels);
    }
}

void cpu_norm_backward(const struct device *base, const struct norm_backward *norm)
{
    struct cpu_device *device = cpu_internal_of(base);
    size_t pixels = tensor_pixels(&norm->x), channels = (size_t)norm->x.c;
    assert(channels % CPU_LANES == 0 && channels <= DEVICE_CHANNELS_MAX && norm->dx.dtype == norm->x.dtype);
    assert(norm->gradient_count >= 1 && norm->gradient_count <= GRADIENT_SUMMANDS_MAX);
    assert(!norm->beta || (norm->relu && norm->gradient_count == 1));
    float factor[DEVICE_CHANNELS_MAX], offset[DEVICE_CHANNELS_MAX], slope[DEVICE_CHANNELS_MAX];
    for (size_t c = 0; c < channels; c++)
        factor[c] = norm->gamma[c] * norm->inverse_deviation[c];
#pragma omp parallel for schedule(static) num_threads(base->threads)
    for (int chunk = 0; chunk < chunk_count(pixels); chunk++)
        reduce_chunk(device, norm, factor, chunk);
    finish_reduction(device, norm, offset, slope);
#pragma omp parallel for schedule(static) num_threads(base->threads)
    for (int chunk = 0; chunk < chunk_count(pixels); chunk++) {
        size_t begin = chunk_begin(pixels, chunk);
        device->loops->spread[norm->x.dtype](&(struct cpu_spread){.x = at(&norm->x, begin),
                                                                  .masked = at(&norm->gradients[0], begin),
                                                                  .dx = at(&norm->dx, begin),
                                                                  .pixels = chunk_pixels(pixels, chunk),
                                                                  .channels = channels,
                                                                  .mean = norm->mean,
                                                                  .factor = factor,
                                                                  .offset = offset,
                                                                  .slope = slope,
                                                                  .beta = norm->beta});
    }
}

void cpu_norm_fold(const struct device *device, int channels, const float *gamma, const float *beta,
                   const float *running_mean, const float *running_variance, float *scale, float *shift)
{
    (void)device;
    for (int c = 0; c < channels; c++) {
        double factor = (double)gamma[c] / sqrt((double)running_variance[c] + (double)NORM_EPSILON);
        scale[c] = (float)factor;
        shift[c] = (float)((double)beta[c] - (double)running_mean[c] * factor);
    }
}
