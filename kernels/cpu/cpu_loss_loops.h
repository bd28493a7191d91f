/* The inner loops of the detection loss, compiled once per instruction set like those of cpu_loops.h; formulas
 * stand in README.md of kernels/device.  Arrays of functions are indexed by the enum dtype of the gradient. */
#ifndef CYTOFS_CPU_LOSS_LOOPS_H
#define CYTOFS_CPU_LOSS_LOOPS_H

#include <stddef.h>

#include "device.h"

#define CPU_LOSS_PEAK         0.999f
#define CPU_LOSS_UNIT         4.0f /* px: a distance is 4 exp(z) */
#define CPU_LOSS_EXPONENT_MIN -4.0f
#define CPU_LOSS_EXPONENT_MAX 6.0f

/* Logits of the heat map, of any number of cells and classes. */
struct cpu_heat {
    const float *logits, *targets; /* (count) */
    void *gradients;               /* (count) */
    size_t count;
    float unit; /* what every term is multiplied by */
};

/* The rays of one cell. */
struct cpu_rays {
    const float *logits, *targets; /* (count) */
    void *gradients;               /* (count) */
    size_t count;
    float share; /* what the gradient is multiplied by; the result is not */
};

struct cpu_loss_loops {
    double (*heat[2])(const struct cpu_heat *heat); /* returns the sum of the terms, before `unit` */
    float (*rays[2])(const struct cpu_rays *rays);  /* returns the cell's loss, before `share` */
};

extern const struct cpu_loss_loops cpu_loss_loops_plain;
#ifdef __x86_64__
extern const struct cpu_loss_loops cpu_loss_loops_avx2;
extern const struct cpu_loss_loops cpu_loss_loops_avx512;
extern const struct cpu_loss_loops cpu_loss_loops_avx512_bf16;
#endif

#endif
