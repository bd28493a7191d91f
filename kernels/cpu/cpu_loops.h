/* The inner loops of this device, compiled once per instruction set.
 *
 * cpu_loops.c is built several times with different flags; each build exports one table of these functions,
 * and the device takes the best that the processor runs.  They use one thread and touch only what they are
 * given: the parallel loops are in their callers.  Channels are a multiple of CPU_LANES.  Arrays of functions
 * are indexed by enum dtype. */
#ifndef CYTOFS_CPU_LOOPS_H
#define CYTOFS_CPU_LOOPS_H

#include <stdbool.h>

#include "device.h"

#define CPU_LANES 16 /* channels in one vector */

/* Adds to sums (C) and squares (C) those of x - shift over a range of pixels. */
struct cpu_moments {
    const void *x; /* (pixels, C) */
    size_t pixels, channels;
    const float *shift;
    double *sums, *squares;
};

/* y = relu?((x - mean) * factor + beta + residual?) */
struct cpu_map {
    const void *x, *residual; /* (pixels, C); residual may be NULL */
    void *y;
    size_t pixels, channels;
    const float *mean, *factor, *beta;
    bool relu;
};

/* g = (sum of gradients) * (y > 0 under relu) into `masked`, which may be gradients[0]; adds to sums those of
 * g, to products those of g * (x - mean).  With beta: g = gradients[0] where (x - mean) * factor + beta > 0,
 * else 0, and is not kept. */
struct cpu_reduction {
    const void *x, *y, *gradients[GRADIENT_SUMMANDS_MAX];
    int gradient_count;
    void *masked;
    size_t pixels, channels;
    const float *mean, *factor, *beta; /* (C); beta may be NULL, then factor is not read */
    bool relu;
    double *sums, *products;
};

/* dx = factor * masked - offset - (x - mean) * slope; dx may be masked.  With beta, `masked` is not masked
 * yet: where (x - mean) * factor + beta is not above 0 it counts as 0. */
struct cpu_spread {
    const void *x, *masked;
    void *dx;
    size_t pixels, channels;
    const float *mean, *factor, *offset, *slope, *beta; /* beta may be NULL */
};

/* Adds to products (outputs, C) the products of each dy with each x of its pixel, to sums (outputs) the dy. */
struct cpu_product {
    const void *x;  /* (pixels, C) */
    const void *dy; /* (pixels, outputs), of the same type */
    size_t pixels, channels, outputs;
    double *products, *sums;
};

/* Two fine rows (2 * width pixels each) and the coarse row (width pixels) between them. */
struct cpu_rows {
    void *coarse, *upper, *lower;
    size_t width, channels;
};

/* AdamW on `count` floats: see cpu_optimizer.c for the factors. */
struct cpu_training {
    float *weights, *average, *moment1, *moment2;
    const float *gradient;
    size_t count;
    float clip, decay, lr, correction2, keep;
};

struct cpu_loops {
    const char *name; /* "avx512" */
    void (*moments[2])(const struct cpu_moments *moments);
    void (*map[2])(const struct cpu_map *map);
    void (*reduce[2])(const struct cpu_reduction *reduction);
    void (*spread[2])(const struct cpu_spread *spread);
    void (*product[2])(const struct cpu_product *product);
    void (*upsample_add[2])(const struct cpu_rows *rows);
    void (*upsample_backward[2])(const struct cpu_rows *rows);
    void (*train)(const struct cpu_training *training);
    double (*sum_squares)(const float *values, size_t count);
    void (*widen)(const uint16_t *from, float *to, size_t count);
    void (*narrow)(const float *from, uint16_t *to, size_t count);
};

extern const struct cpu_loops cpu_loops_plain;
#ifdef __x86_64__
extern const struct cpu_loops cpu_loops_avx2;
extern const struct cpu_loops cpu_loops_avx512;
extern const struct cpu_loops cpu_loops_avx512_bf16;
#endif

#endif
