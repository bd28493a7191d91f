/* The inner loops, over strips of 16 channels in one vector.  See cpu_loops.h; built once per instruction
 * set, with CPU_LOOPS as the name of the table that this build exports.
 *
 * Each loop body is INLINE with the element type, and where it sums the number of strips, as constants.  Sums
 * run in f32 registers over SPAN_PIXELS pixels, then in double. */
#include "cpu_loops.h"

#include <math.h>

#include "cpu_lanes.h"

#define SPAN_PIXELS      128
#define STRIPS_AT_A_TIME 4 /* sums of so many strips stay in registers */

/* Adds the strips' sums to doubles. */
INLINE void spill(const lanes *sums, int strips, double *to)
{
    for (int s = 0; s < strips; s++)
        for (int k = 0; k < CPU_LANES; k++)
            to[s * CPU_LANES + k] += (double)sums[s][k];
}

/* ---- batch norm ---- */

INLINE void moments_strips(enum dtype dtype, const struct cpu_moments *m, size_t channel, int strips,
                           size_t begin, size_t end)
{
    lanes sum[STRIPS_AT_A_TIME] = {0}, square[STRIPS_AT_A_TIME] = {0}, shift[STRIPS_AT_A_TIME];
    for (int s = 0; s < strips; s++)
        shift[s] = load(DTYPE_F32, m->shift, channel + (size_t)s * CPU_LANES);
    for (size_t p = begin; p < end; p++)
        for (int s = 0; s < strips; s++) {
            lanes distance = load(dtype, m->x, p * m->channels + channel + (size_t)s * CPU_LANES) - shift[s];
            sum[s] += distance;
            square[s] += distance * distance;
        }
    spill(sum, strips, m->sums + channel);
    spill(square, strips, m->squares + channel);
}

INLINE void moments(enum dtype dtype, const struct cpu_moments *m)
{
    for (size_t begin = 0; begin < m->pixels; begin += SPAN_PIXELS) {
        size_t end = begin + SPAN_PIXELS < m->pixels ? begin + SPAN_PIXELS : m->pixels;
        size_t channel = 0;
        for (; channel + STRIPS_AT_A_TIME * CPU_LANES <= m->channels; channel += STRIPS_AT_A_TIME * CPU_LANES)
            moments_strips(dtype, m, channel, STRIPS_AT_A_TIME, begin, end);
        switch ((m->channels - channel) / CPU_LANES) {
        case 3:
            moments_strips(dtype, m, channel, 3, begin, end);
            break;
        case 2:
            moments_strips(dtype, m, channel, 2, begin, end);
            break;
        case 1:
            moments_strips(dtype, m, channel, 1, begin, end);
            break;
        }
    }
}

INLINE void map(enum dtype dtype, const struct cpu_map *m, bool residual, bool relu)
{
    for (size_t p = 0; p < m->pixels; p++)
        for (size_t c = 0; c < m->channels; c += CPU_LANES) {
            size_t i = p * m->channels + c;
            lanes value =
                (load(dtype, m->x, i) - load(DTYPE_F32, m->mean, c)) * load(DTYPE_F32, m->factor, c) +
                load(DTYPE_F32, m->beta, c);
            if (residual)
                value += load(dtype, m->residual, i);
            store(dtype, m->y, i, relu ? pass_positive(value, value) : value);
        }
}

INLINE void map_kind(enum dtype dtype, const struct cpu_map *m)
{
    if (m->residual)
        map(dtype, m, true, m->relu);
    else
        map(dtype, m, false, m->relu);
}

INLINE void reduce_strips(enum dtype dtype, const struct cpu_reduction *r, size_t channel, int strips,
                          size_t begin, size_t end)
{
    lanes sum[STRIPS_AT_A_TIME] = {0}, product[STRIPS_AT_A_TIME] = {0}, mean[STRIPS_AT_A_TIME];
    const bool changes = r->relu || r->gradient_count > 1;
    for (int s = 0; s < strips; s++)
        mean[s] = load(DTYPE_F32, r->mean, channel + (size_t)s * CPU_LANES);
    for (size_t p = begin; p < end; p++)
        for (int s = 0; s < strips; s++) {
            size_t i = p * r->channels + channel + (size_t)s * CPU_LANES;
            lanes g = load(dtype, r->gradients[0], i);
            if (r->gradient_count > 1)
                g += load(dtype, r->gradients[1], i);
            if (r->gradient_count > 2)
                g += load(dtype, r->gradients[2], i);
            if (r->relu)
                g = pass_positive(g, load(dtype, r->y, i));
            if (changes)
                store(dtype, r->masked, i, g);
            sum[s] += g;
            product[s] += g * (load(dtype, r->x, i) - mean[s]);
        }
    spill(sum, strips, r->sums + channel);
    spill(product, strips, r->products + channel);
}

/* One gradient, gated by what the norm's result was. */
INLINE void reduce_gated_strips(enum dtype dtype, const struct cpu_reduction *r, size_t channel, int strips,
                                size_t begin, size_t end)
{
    lanes sum[STRIPS_AT_A_TIME] = {0}, product[STRIPS_AT_A_TIME] = {0};
    for (size_t p = begin; p < end; p++)
        for (int s = 0; s < strips; s++) {
            size_t c = channel + (size_t)s * CPU_LANES, i = p * r->channels + c;
            lanes distance = load(dtype, r->x, i) - load(DTYPE_F32, r->mean, c);
            lanes value = distance * load(DTYPE_F32, r->factor, c) + load(DTYPE_F32, r->beta, c);
            lanes g = pass_positive(load(dtype, r->gradients[0], i), value);
            sum[s] += g;
            product[s] += g * distance;
        }
    spill(sum, strips, r->sums + channel);
    spill(product, strips, r->products + channel);
}

INLINE void reduce_any_strips(enum dtype dtype, const struct cpu_reduction *r, size_t channel, int strips,
                              size_t begin, size_t end)
{
    if (r->beta)
        reduce_gated_strips(dtype, r, channel, strips, begin, end);
    else
        reduce_strips(dtype, r, channel, strips, begin, end);
}

INLINE void reduce(enum dtype dtype, const struct cpu_reduction *r)
{
    for (size_t begin = 0; begin < r->pixels; begin += SPAN_PIXELS) {
        size_t end = begin + SPAN_PIXELS < r->pixels ? begin + SPAN_PIXELS : r->pixels;
        size_t channel = 0;
        for (; channel + STRIPS_AT_A_TIME * CPU_LANES <= r->channels; channel += STRIPS_AT_A_TIME * CPU_LANES)
            reduce_any_strips(dtype, r, channel, STRIPS_AT_A_TIME, begin, end);
        switch ((r->channels - channel) / CPU_LANES) {
        case 3:
            reduce_any_strips(dtype, r, channel, 3, begin, end);
            break;
        case 2:
            reduce_any_strips(dtype, r, channel, 2, begin, end);
            break;
        case 1:
            reduce_any_strips(dtype, r, channel, 1, begin, end);
            break;
        }
    }
}

INLINE void spread(enum dtype dtype, const struct cpu_spread *s, bool gated)
{
    for (size_t p = 0; p < s->pixels; p++)
        for (size_t c = 0; c < s->channels; c += CPU_LANES) {
            size_t i = p * s->channels + c;
            lanes distance = load(dtype, s->x, i) - load(DTYPE_F32, s->mean, c);
            lanes factor = load(DTYPE_F32, s->factor, c), g = load(dtype, s->masked, i);
            if (gated)
                g = pass_positive(g, distance * factor + load(DTYPE_F32, s->beta, c));
            store(dtype, s->dx, i,
                  factor * g - load(DTYPE_F32, s->offset, c) - distance * load(DTYPE_F32, s->slope, c));
        }
}

INLINE void spread_kind(enum dtype dtype, const struct cpu_spread *s)
{
    if (s->beta)
        spread(dtype, s, true);
    else
        spread(dtype, s, false);
}

/* ---- upsampling ---- */

INLINE void upsample_add(enum dtype dtype, const struct cpu_rows *r)
{
    size_t channels = r->channels;
    for (size_t j = 0; j < 2 * r->width; j++)
        for (size_t c = 0; c < channels; c += CPU_LANES) {
            size_t i = j * channels + c;
            lanes coarse = load(dtype, r->coarse, j / 2 * channels + c);
            store(dtype, r->upper, i, load(dtype, r->upper, i) + coarse);
            store(dtype, r->lower, i, load(dtype, r->lower, i) + coarse);
        }
}

INLINE void upsample_backward(enum dtype dtype, const struct cpu_rows *r)
{
    size_t channels = r->channels;
    for (size_t j = 0; j < r->width; j++)
        for (size_t c = 0; c < channels; c += CPU_LANES) {
            size_t left = 2 * j * channels + c, right = left + channels;
            store(dtype, r->coarse, j * channels + c,
                  load(dtype, r->upper, left) + load(dtype, r->upper, right) + load(dtype, r->lower, left) +
                      load(dtype, r->lower, right));
        }
}

/* ---- the two element types of each ---- */

#define BOTH_TYPES(function, body, argument)                                                                 \
    static void function##_f32(const struct argument *range)                                                 \
    {                                                                                                        \
        body(DTYPE_F32, range);                                                                              \
    }                                                                                                        \
    static void function##_bf16(const struct argument *range)                                                \
    {                                                                                                        \
        body(DTYPE_BF16, range);                                                                             \
    }

BOTH_TYPES(moments, moments, cpu_moments)
BOTH_TYPES(map, map_kind, cpu_map)
BOTH_TYPES(reduce, reduce, cpu_reduction)
BOTH_TYPES(spread, spread_kind, cpu_spread)
BOTH_TYPES(upsample_add, upsample_add, cpu_rows)
BOTH_TYPES(upsample_backward, upsample_backward, cpu_rows)

/* ---- the slab, and conversion: plain loops that the compiler turns into vectors ---- */

static void train(const struct cpu_training *t)
{
    const float beta1 = (float)ADAM_BETA1, beta2 = (float)ADAM_BETA2, epsilon = (float)ADAM_EPSILON;
    const float rest1 = (float)(1 - ADAM_BETA1), rest2 = (float)(1 - ADAM_BETA2);
    const float clip = t->clip, decay = t->decay, lr = t->lr, keep = t->keep, correction2 = t->correction2;
    float *restrict weights = t->weights, *restrict average = t->average;
    float *restrict moment1 = t->moment1, *restrict moment2 = t->moment2;
    const float *restrict gradient = t->gradient;
    for (size_t i = 0; i < t->count; i++) {
        float g = gradient[i] * clip;
        float m = beta1 * moment1[i] + rest1 * g;
        float v = beta2 * moment2[i] + rest2 * g * g;
        float weight = weights[i] - decay * weights[i] - lr * m / (sqrtf(v) * correction2 + epsilon);
        moment1[i] = m;
        moment2[i] = v;
        weights[i] = weight;
        average[i] = keep * average[i] + (1 - keep) * weight;
    }
}

static double sum_squares(const float *values, size_t count)
{
    double partial[CPU_LANES] = {0}, sum = 0;
    size_t whole = count / CPU_LANES * CPU_LANES;
    for (size_t i = 0; i < whole; i += CPU_LANES)
        for (size_t k = 0; k < CPU_LANES; k++)
            partial[k] += (double)values[i + k] * (double)values[i + k];
    for (size_t i = whole; i < count; i++)
        partial[0] += (double)values[i] * (double)values[i];
    for (size_t k = 0; k < CPU_LANES; k++)
        sum += partial[k];
    return sum;
}

static void widen(const uint16_t *restrict from, float *restrict to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = bf16_to_f32(from[i]);
}

static void narrow(const float *restrict from, uint16_t *restrict to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = bf16_from_f32(from[i]);
}

#define TEXT_OF(word) #word
#define TEXT(word)    TEXT_OF(word)

const struct cpu_loops CPU_LOOPS = {
    .name = TEXT(CPU_LOOPS),
    .moments = {moments_f32, moments_bf16},
    .map = {map_f32, map_bf16},
    .reduce = {reduce_f32, reduce_bf16},
    .spread = {spread_f32, spread_bf16},
    .upsample_add = {upsample_add_f32, upsample_add_bf16},
    .upsample_backward = {upsample_backward_f32, upsample_backward_bf16},
    .train = train,
    .sum_squares = sum_squares,
    .widen = widen,
    .narrow = narrow,
};
