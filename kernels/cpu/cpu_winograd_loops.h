/* The inner loops of Winograd's convolution, built for AVX-512 alone: with fewer or shorter registers oneDNN
 * is faster.  What they compute and the order of their data is told in cpu_winograd.c. */
#ifndef CYTOFS_CPU_WINOGRAD_LOOPS_H
#define CYTOFS_CPU_WINOGRAD_LOOPS_H

#include <stdbool.h>
#include <stddef.h>

#include "tensor.h"

#define WINOGRAD_TILE   4  /* an output tile is 4 x 4 pixels */
#define WINOGRAD_SIDE   6  /* and hangs on 6 x 6 pixels of the input */
#define WINOGRAD_POINTS 36 /* what a tile becomes: one number a channel at each of 6 x 6 points */

/* One tile of one image, and its points. */
struct cpu_winograd_tile {
    const void *image; /* (height, width, channels) */
    int height, width;
    size_t channels; /* a multiple of CPU_LANES */
    int row, column; /* of the tile's first pixel, which may lie one outside */
    float *points;   /* (WINOGRAD_POINTS, .., channels) */
    size_t distance; /* floats from a point to the next */
};

/* A tile's result on its way out: y = relu?(result + bias? + y?). */
struct cpu_winograd_result {
    void *image; /* (height, width, channels) */
    int height, width;
    size_t channels;
    int row, column;
    const float *points;
    size_t distance;
    const float *bias; /* (channels), or NULL */
    bool accumulate, relu;
    /* (3, channels), or NULL: a value amid the data, then the sums of what is put out less that value, and of
     * its squares, to which this tile's are added.  The first tile of a run sets the value. */
    float *moments;
    bool first;
};

/* A kernel's 9 numbers stand `tap` floats apart, one input of the product after the other `depth` apart, and
 * one output after the other `output` apart, of which one is 1; reversed turns the kernel by half a turn. */
struct cpu_winograd_weights {
    const float *weights;
    float *points; /* (WINOGRAD_POINTS, depths, outputs), `distance` floats from a point to the next */
    size_t depths, outputs, distance;
    size_t tap, depth, output;
    bool reversed;
};

struct cpu_winograd_weights_gradient {
    const float *points; /* (WINOGRAD_POINTS, depths, outputs), `distance` floats from a point to the next */
    float *weights;      /* (outputs, 3, 3, depths) */
    size_t depths, outputs, distance;
};

struct cpu_winograd_loops {
    void (*gather[2])(const struct cpu_winograd_tile *tile);          /* 6 x 6 pixels, zero outside the image */
    void (*gather_gradient[2])(const struct cpu_winograd_tile *tile); /* 4 x 4 pixels, zero outside the image */
    void (*scatter[2])(const struct cpu_winograd_result *result);
    /* Of 16 depths and 16 outputs, from these on. */
    void (*transform_weights)(const struct cpu_winograd_weights *weights, size_t depth, size_t output);
    /* out (rows, outputs) = a (rows, depths) * b (depths, outputs); `rows` is rounded up to
     * CPU_WINOGRAD_ROWS, and that many are read and written. */
    void (*multiply)(const float *a, const float *b, float *out, size_t rows, size_t depths, size_t outputs);
    /* out (as, bs) += transposed a (rows, as) * b (rows, bs) */
    void (*accumulate)(const float *a, const float *b, float *out, size_t rows, size_t as, size_t bs);
    /* The gradient of kernels from that of their points; of 16 depths and 16 outputs, from these on. */
    void (*weights_gradient)(const struct cpu_winograd_weights_gradient *gradient, size_t depth, size_t output);
};

#define CPU_WINOGRAD_ROWS 24 /* a multiple of the rows that are taken at a time */

#ifdef __x86_64__
extern const struct cpu_winograd_loops cpu_winograd_loops_avx512;
extern const struct cpu_winograd_loops cpu_winograd_loops_avx512_bf16;
#endif

#endif
