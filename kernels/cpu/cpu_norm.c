/* Batch norm with residual and ReLU: see device.h for what, ref_norm.c for the formulas.
 *
 * These passes are bound by memory, so each reads and writes what it must, once.  A tensor is cut into at most
 * CPU_CHUNKS_MAX chunks of whole pixels, by its size alone.  Sums run in f32 over SPAN_PIXELS pixels, then in double per
 * chunk, then over the chunks in order: the result does not depend on the number of threads.  Variances come from sums of
 * distances to the first pixel, a value amid the data, so nothing cancels. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "cpu_internal.h"
#include "cpu_vector.h"

#define SPAN_PIXELS      128
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

static const void *at(const struct tensor *tensor, size_t pixel)
{
    return (const char *)tensor->data + pixel * (size_t)tensor->c * dtype_bytes(tensor->dtype);
}

/* ---- forward: moments, then the map ---- */

CPU_INLINE void moments(enum dtype dtype, const void *x, size_t pixels, size_t channels, const float *restrict shift,
                        double *restrict sums, double *restrict squares)
{
    float sum[DEVICE_CHANNELS_MAX], square[DEVICE_CHANNELS_MAX];
    for (size_t begin = 0; begin < pixels; begin += SPAN_PIXELS) {
        size_t end = begin + SPAN_PIXELS < pixels ? begin + SPAN_PIXELS : pixels;
        memset(sum, 0, channels * sizeof *sum);
        memset(square, 0, channels * sizeof *square);
        for (size_t p = begin; p < end; p++)
            for (size_t c = 0; c < channels; c += CPU_LANES)
                for (size_t k = c; k < c + CPU_LANES; k++) {
                    float distance = cpu_vector_get(dtype, x, p * channels + k) - shift[k];
                    sum[k] += distance;
                    square[k] += distance * distance;
                }
        for (size_t c = 0; c < channels; c++) {
            sums[c] += (double)sum[c];
            squares[c] += (double)square[c];
        }
    }
}

VECTORISED static void moments_f32(const void *x, size_t pixels, size_t channels, const float *shift, double *sums,
                                   double *squares)
{
    moments(DTYPE_F32, x, pixels, channels, shift, sums, squares);
}

VECTORISED static void moments_bf16(const void *x, size_t pixels, size_t channels, const float *shift, double *sums,
                                    double *squares)
{
    moments(DTYPE_BF16, x, pixels, channels, shift, sums, squares);
}

/* A pixel range of the map y = relu?((x - mean) * factor + beta + residual?). */
struct map {
    const void *x, *residual;
    void *y;
    size_t pixels, channels;
    const float *mean, *factor, *beta;
    bool relu;
};

CPU_INLINE void map_pixels(enum dtype dtype, const struct map *map, bool residual, bool relu)
{
    const float *restrict mean = map->mean, *restrict factor = map->factor, *restrict beta = map->beta;
    const void *restrict x = map->x, *restrict add = map->residual;
    void *restrict y = map->y;
    size_t channels = map->channels;
    for (size_t p = 0; p < map->pixels; p++)
        for (size_t c = 0; c < channels; c += CPU_LANES)
            for (size_t k = c; k < c + CPU_LANES; k++) {
                float value = (cpu_vector_get(dtype, x, p * channels + k) - mean[k]) * factor[k] + beta[k];
                if (residual)
                    value += cpu_vector_get(dtype, add, p * channels + k);
                cpu_vector_set(dtype, y, p * channels + k, relu && value < 0 ? 0 : value);
            }
}

CPU_INLINE void map_kind(enum dtype dtype, const struct map *map)
{
    if (map->residual && map->relu)
        map_pixels(dtype, map, true, true);
    else if (map->residual)
        map_pixels(dtype, map, true, false);
    else if (map->relu)
        map_pixels(dtype, map, false, true);
    else
        map_pixels(dtype, map, false, false);
}

VECTORISED static void map_f32(const struct map *map)
{
    map_kind(DTYPE_F32, map);
}

VECTORISED static void map_bf16(const struct map *map)
{
    map_kind(DTYPE_BF16, map);
}

/* Fills in mean, inverse deviation and the running statistics from the chunks' sums. */
static void finish_moments(const struct cpu_device *device, const struct norm_forward *norm, const float *shift)
{
    double pixels = (double)tensor_pixels(&norm->x);
    for (int c = 0; c < norm->x.c; c++) {
        double sum = 0, square = 0;
        for (int chunk = 0; chunk < chunk_count(tensor_pixels(&norm->x)); chunk++) {
            sum += device->partial[chunk][0][c];
            square += device->partial[chunk][1][c];
        }
        double distance = sum / pixels;
        double variance = fmax(square / pixels - distance * distance, 0);
        double unbiased = pixels > 1 ? variance * pixels / (pixels - 1) : variance;
        float mean = (float)((double)shift[c] + distance);
        norm->mean[c] = mean;
        norm->inverse_deviation[c] = (float)(1 / sqrt(variance + (double)NORM_EPSILON));
        norm->running_mean[c] += NORM_MOMENTUM * (mean - norm->running_mean[c]);
        norm->running_variance[c] += NORM_MOMENTUM * ((float)unbiased - norm->running_variance[c]);
    }
}

void cpu_norm_forward(const struct device *base, const struct norm_forward *norm)
{
    struct cpu_device *device = cpu_internal_of(base);
    size_t pixels = tensor_pixels(&norm->x), channels = (size_t)norm->x.c;
    int chunks = chunk_count(pixels);
    enum dtype dtype = norm->x.dtype;
    assert(channels % CPU_LANES == 0 && channels <= DEVICE_CHANNELS_MAX && norm->y.dtype == dtype);
    assert(!norm->residual || norm->residual->dtype == dtype);
    float shift[DEVICE_CHANNELS_MAX], factor[DEVICE_CHANNELS_MAX];
    for (size_t c = 0; c < channels; c++)
        shift[c] = cpu_vector_get(dtype, norm->x.data, c);
#pragma omp parallel for schedule(static) num_threads(base->threads)
    for (int chunk = 0; chunk < chunks; chunk++) {
        size_t begin = chunk_begin(pixels, chunk), count = chunk_begin(pixels, chunk + 1) - begin;
        memset(device->partial[chunk], 0, sizeof device->partial[chunk]);
        (dtype == DTYPE_F32 ? moments_f32 : moments_bf16)(at(&norm->x, begin), count, channels, shift,
                                                          device->partial[chunk][0], device->partial[chunk][1]);
    }
    finish_moments(device, norm, shift);
    for (size_t c = 0; c < channels; c++)
        factor[c] = norm->gamma[c] * norm->inverse_deviation[c];
#pragma omp parallel for schedule(static) num_threads(base->threads)
    for (int chunk = 0; chunk < chunks; chunk++) {
        size_t begin = chunk_begin(pixels, chunk);
        struct map map = {.x = at(&norm->x, begin), .y = (void *)at(&norm->y, begin),
                          .residual = norm->residual ? at(norm->residual, begin) : NULL,
                          .pixels = chunk_begin(pixels, chunk + 1) - begin, .channels = channels,
                          .mean = norm->mean, .factor = factor, .beta = norm->beta, .relu = norm->relu};
        (dtype == DTYPE_F32 ? map_f32 : map_bf16)(&map);
    }
}

/* ---- backward: the masked gradient and its sums, then dx ---- */

/* A pixel range of g = (sum of gradients) * (y > 0), written to `masked`, summed as g and g * (x - mean). */
struct reduction {
    const void *x, *y, *gradients[GRADIENT_SUMMANDS_MAX];
    void *masked;
    size_t pixels, channels;
    const float *mean;
    double *sums, *products;
};

CPU_INLINE void reduce_span(enum dtype dtype, const struct reduction *reduction, int gradient_count, bool relu,
                            size_t begin, size_t end, float *restrict sum, float *restrict product)
{
    const void *x = reduction->x, *y = reduction->y;
    const void *first = reduction->gradients[0], *second = reduction->gradients[1], *third = reduction->gradients[2];
    const float *restrict mean = reduction->mean;
    size_t channels = reduction->channels;
    for (size_t p = begin; p < end; p++)
        for (size_t c = 0; c < channels; c += CPU_LANES) {
            float g[CPU_LANES];
            for (size_t k = 0; k < CPU_LANES; k++)
                g[k] = cpu_vector_get(dtype, first, p * channels + c + k);
            for (size_t k = 0; gradient_count > 1 && k < CPU_LANES; k++)
                g[k] += cpu_vector_get(dtype, second, p * channels + c + k);
            for (size_t k = 0; gradient_count > 2 && k < CPU_LANES; k++)
                g[k] += cpu_vector_get(dtype, third, p * channels + c + k);
            for (size_t k = 0; relu && k < CPU_LANES; k++)
                g[k] = cpu_vector_get(dtype, y, p * channels + c + k) > 0 ? g[k] : 0;
            for (size_t k = 0; (relu || gradient_count > 1) && k < CPU_LANES; k++)
                cpu_vector_set(dtype, reduction->masked, p * channels + c + k, g[k]);
            for (size_t k = 0; k < CPU_LANES; k++) {
                sum[c + k] += g[k];
                product[c + k] += g[k] * (cpu_vector_get(dtype, x, p * channels + c + k) - mean[c + k]);
            }
        }
}

CPU_INLINE void reduce(enum dtype dtype, const struct reduction *reduction, int gradient_count, bool relu)
{
    float sum[DEVICE_CHANNELS_MAX], product[DEVICE_CHANNELS_MAX];
    size_t channels = reduction->channels;
    for (size_t begin = 0; begin < reduction->pixels; begin += SPAN_PIXELS) {
        size_t end = begin + SPAN_PIXELS < reduction->pixels ? begin + SPAN_PIXELS : reduction->pixels;
        memset(sum, 0, channels * sizeof *sum);
        memset(product, 0, channels * sizeof *product);
        reduce_span(dtype, reduction, gradient_count, relu, begin, end, sum, product);
        for (size_t c = 0; c < channels; c++) {
            reduction->sums[c] += (double)sum[c];
            reduction->products[c] += (double)product[c];
        }
    }
}

CPU_INLINE void reduce_kind(enum dtype dtype, const struct reduction *reduction, int gradient_count, bool relu)
{
    if (gradient_count == 1 && relu)
        reduce(dtype, reduction, 1, true);
    else if (gradient_count == 1)
        reduce(dtype, reduction, 1, false);
    else
        reduce(dtype, reduction, gradient_count, relu);
}

VECTORISED static void reduce_f32(const struct reduction *reduction, int gradient_count, bool relu)
{
    reduce_kind(DTYPE_F32, reduction, gradient_count, relu);
}

VECTORISED static void reduce_bf16(const struct reduction *reduction, int gradient_count, bool relu)
{
    reduce_kind(DTYPE_BF16, reduction, gradient_count, relu);
}

/* A pixel range of dx = factor * g - offset - (x - mean) * slope; dx may be g. */
struct spread {
    const void *x, *masked;
    void *dx;
    size_t pixels, channels;
    const float *mean, *factor, *offset, *slope;
};

CPU_INLINE void spread_pixels(enum dtype dtype, const struct spread *spread)
{
    const float *restrict mean = spread->mean, *restrict factor = spread->factor;
    const float *restrict offset = spread->offset, *restrict slope = spread->slope;
    size_t channels = spread->channels;
    for (size_t p = 0; p < spread->pixels; p++)
        for (size_t c = 0; c < channels; c += CPU_LANES) {
            float value[CPU_LANES];
            for (size_t k = 0; k < CPU_LANES; k++)
                value[k] = factor[c + k] * cpu_vector_get(dtype, spread->masked, p * channels + c + k) - offset[c + k] -
                           (cpu_vector_get(dtype, spread->x, p * channels + c + k) - mean[c + k]) * slope[c + k];
            for (size_t k = 0; k < CPU_LANES; k++)
                cpu_vector_set(dtype, spread->dx, p * channels + c + k, value[k]);
        }
}

VECTORISED static void spread_f32(const struct spread *spread)
{
    spread_pixels(DTYPE_F32, spread);
}

VECTORISED static void spread_bf16(const struct spread *spread)
{
    spread_pixels(DTYPE_BF16, spread);
}

static void reduce_chunk(struct cpu_device *device, const struct norm_backward *norm, int chunk)
{
    size_t pixels = tensor_pixels(&norm->x), begin = chunk_begin(pixels, chunk);
    struct reduction reduction = {.x = at(&norm->x, begin), .y = at(&norm->y, begin),
                                  .masked = (void *)at(&norm->gradients[0], begin),
                                  .pixels = chunk_begin(pixels, chunk + 1) - begin, .channels = (size_t)norm->x.c,
                                  .mean = norm->mean, .sums = device->partial[chunk][0],
                                  .products = device->partial[chunk][1]};
    for (int k = 0; k < norm->gradient_count; k++)
        reduction.gradients[k] = at(&norm->gradients[k], begin);
    memset(device->partial[chunk], 0, sizeof device->partial[chunk]);
    (norm->x.dtype == DTYPE_F32 ? reduce_f32 : reduce_bf16)(&reduction, norm->gradient_count, norm->relu);
}

/* dgamma and dbeta from the chunks' sums, and the three numbers per channel that dx needs. */
static void finish_reduction(const struct cpu_device *device, const struct norm_backward *norm, float *factor,
                             float *offset, float *slope)
{
    size_t pixels = tensor_pixels(&norm->x);
    for (int c = 0; c < norm->x.c; c++) {
        double sum = 0, product = 0, inverse = (double)norm->inverse_deviation[c];
        for (int chunk = 0; chunk < chunk_count(pixels); chunk++) {
            sum += device->partial[chunk][0][c];
            product += device->partial[chunk][1][c];
        }
        double scale = (double)norm->gamma[c] * inverse;
        norm->dbeta[c] = (float)sum;
        norm->dgamma[c] = (float)(product * inverse);
        factor[c] = (float)scale;
        offset[c] = (float)(scale * sum / (double)pixels);
        slope[c] = (float)(scale * product * inverse * inverse / (double)pixels);
    }
}

void cpu_norm_backward(const struct device *base, const struct norm_backward *norm)
{
    struct cpu_device *device = cpu_internal_of(base);
    size_t pixels = tensor_pixels(&norm->x), channels = (size_t)norm->x.c;
    int chunks = chunk_count(pixels);
    enum dtype dtype = norm->x.dtype;
    assert(channels % CPU_LANES == 0 && channels <= DEVICE_CHANNELS_MAX);
    assert(norm->gradient_count >= 1 && norm->gradient_count <= GRADIENT_SUMMANDS_MAX && norm->dx.dtype == dtype);
    float factor[DEVICE_CHANNELS_MAX], offset[DEVICE_CHANNELS_MAX], slope[DEVICE_CHANNELS_MAX];
#pragma omp parallel for schedule(static) num_threads(base->threads)
    for (int chunk = 0; chunk < chunks; chunk++)
        reduce_chunk(device, norm, chunk);
    finish_reduction(device, norm, factor, offset, slope);
#pragma omp parallel for schedule(static) num_threads(base->threads)
    for (int chunk = 0; chunk < chunks; chunk++) {
        size_t begin = chunk_begin(pixels, chunk);
        struct spread spread = {.x = at(&norm->x, begin), .masked = at(&norm->gradients[0], begin),
                                .dx = (void *)at(&norm->dx, begin),
                                .pixels = chunk_begin(pixels, chunk + 1) - begin, .channels = channels,
                                .mean = norm->mean, .factor = factor, .offset = offset, .slope = slope};
        (dtype == DTYPE_F32 ? spread_f32 : spread_bf16)(&spread);
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
