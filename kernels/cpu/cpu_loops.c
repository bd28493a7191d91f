/* The inner loops, over strips of 16 channels in one vector.  See cpu_loops.h; built once per instruction
 * set, with CPU_LOOPS as the name of the table that this build exports.
 *
 * A norm's loops go over rows of a whole number of pixels, up to STRIPS_MAX strips of each at a time, so that what they
 * know of the channels (mean, factor, ...) and their sums stay in registers.  Where a pixel is shorter than that, a row
 * is several pixels.  Sums run in f32 registers over SPAN_ROWS rows, then in double.
 *
 * Each loop body is INLINE with the element type and the number of strips as constants, and works on a copy of its
 * argument: through the pointer, every number would be read again after each store. */
#include "cpu_loops.h"

#include <math.h>

#include "cpu_lanes.h"

#define SPAN_ROWS  128
#define STRIPS_MAX 4

/* What one call of a loop body takes: so many strips from `first` on, of rows [begin, end), each `width` elements. */
struct part {
    size_t width, first, begin, end;
};

INLINE size_t element(const struct part *part, size_t row, int strip)
{
    return row * part->width + part->first + (size_t)strip * CPU_LANES;
}

/* Of a row's strips, which channels these are. */
INLINE size_t channel(const struct part *part, size_t channels, int strip)
{
    return (part->first + (size_t)strip * CPU_LANES) % channels;
}

INLINE void load_channels(const float *values, const struct part *part, size_t channels, int strips, lanes *out)
{
    for (int s = 0; s < strips; s++)
        out[s] = load(DTYPE_F32, values, channel(part, channels, s));
}

/* Adds the strips' sums to doubles. */
INLINE void spill(const lanes *sums, const struct part *part, size_t channels, int strips, double *to)
{
    for (int s = 0; s < strips; s++)
        for (size_t k = 0, c = channel(part, channels, s); k < CPU_LANES; k++)
            to[c + k] += (double)sums[s][k];
}

/* How many pixels make a row: whole strips, and no more of them than fit. */
INLINE size_t pixels_in_row(size_t channels)
{
    size_t room = STRIPS_MAX * CPU_LANES;
    return channels < room ? room / channels : 1;
}

/* function_rows(dtype, range, width, from, to): calls function_strips over all of rows [from, to). */
#define OVER_STRIPS_OF_ROWS(function, argument)                                                                             \
    INLINE void function##_rows(enum dtype dtype, const struct argument *range, size_t width, size_t from, size_t to)       \
    {                                                                                                                       \
        for (size_t begin = from; begin < to; begin += SPAN_ROWS) {                                                         \
            struct part part = {width, 0, begin, begin + SPAN_ROWS < to ? begin + SPAN_ROWS : to};                          \
            for (; part.first + STRIPS_MAX * CPU_LANES <= width; part.first += STRIPS_MAX * CPU_LANES)                      \
                function##_strips(dtype, range, STRIPS_MAX, &part);                                                         \
            switch ((width - part.first) / CPU_LANES) {                                                                     \
            case 3:                                                                                                         \
                function##_strips(dtype, range, 3, &part);                                                                  \
                break;                                                                                                      \
            case 2:                                                                                                         \
                function##_strips(dtype, range, 2, &part);                                                                  \
                break;                                                                                                      \
            case 1:                                                                                                         \
                function##_strips(dtype, range, 1, &part);                                                                  \
                break;                                                                                                      \
            }                                                                                                               \
        }                                                                                                                   \
    }

/* function_all(dtype, range): over all of a range of pixels. */
#define OVER_STRIPS(function, argument)                                                                                     \
    OVER_STRIPS_OF_ROWS(function, argument)                                                                                 \
    INLINE void function##_all(enum dtype dtype, const struct argument *range)                                              \
    {                                                                                                                       \
        size_t together = pixels_in_row(range->channels), rows = range->pixels / together;                                  \
        function##_rows(dtype, range, together * range->channels, 0, rows);                                                 \
        if (rows * together < range->pixels)                                                                                \
            function##_rows(dtype, range, range->channels, rows *together, range->pixels);                                  \
    }

/* ---- batch norm ---- */

INLINE void moments_strips(enum dtype dtype, const struct cpu_moments *range, int strips, const struct part *part)
{
    const struct cpu_moments m = *range;
    const struct part at = *part;
    lanes sum[STRIPS_MAX] = {0}, square[STRIPS_MAX] = {0}, shift[STRIPS_MAX];
    load_channels(m.shift, &at, m.channels, strips, shift);
    for (size_t row = at.begin; row < at.end; row++)
        for (int s = 0; s < strips; s++) {
            lanes distance = load(dtype, m.x, element(&at, row, s)) - shift[s];
            sum[s] += distance;
            square[s] += distance * distance;
        }
    spill(sum, &at, m.channels, strips, m.sums);
    spill(square, &at, m.channels, strips, m.squares);
}

OVER_STRIPS(moments, cpu_moments)

INLINE void map_known(enum dtype dtype, const struct cpu_map *range, int strips, const struct part *part, bool residual,
                      bool relu)
{
    const struct cpu_map m = *range;
    const struct part at = *part;
    lanes mean[STRIPS_MAX], factor[STRIPS_MAX], beta[STRIPS_MAX];
    load_channels(m.mean, &at, m.channels, strips, mean);
    load_channels(m.factor, &at, m.channels, strips, factor);
    load_channels(m.beta, &at, m.channels, strips, beta);
    for (size_t row = at.begin; row < at.end; row++)
        for (int s = 0; s < strips; s++) {
            size_t i = element(&at, row, s);
            lanes value = (load(dtype, m.x, i) - mean[s]) * factor[s] + beta[s];
            if (residual)
                value += load(dtype, m.residual, i);
            store(dtype, m.y, i, relu ? pass_positive(value, value) : value);
        }
}

INLINE void map_strips(enum dtype dtype, const struct cpu_map *m, int strips, const struct part *part)
{
    if (m->residual && m->relu)
        map_known(dtype, m, strips, part, true, true);
    else if (m->residual)
        map_known(dtype, m, strips, part, true, false);
    else if (m->relu)
        map_known(dtype, m, strips, part, false, true);
    else
        map_known(dtype, m, strips, part, false, false);
}

OVER_STRIPS(map, cpu_map)

INLINE void reduce_known(enum dtype dtype, const struct cpu_reduction *range, int strips, const struct part *part,
                         int gradient_count, bool relu)
{
    const struct cpu_reduction r = *range;
    const struct part at = *part;
    lanes sum[STRIPS_MAX] = {0}, product[STRIPS_MAX] = {0}, mean[STRIPS_MAX];
    load_channels(r.mean, &at, r.channels, strips, mean);
    for (size_t row = at.begin; row < at.end; row++)
        for (int s = 0; s < strips; s++) {
            size_t i = element(&at, row, s);
            lanes g = load(dtype, r.gradients[0], i);
            if (gradient_count > 1)
                g += load(dtype, r.gradients[1], i);
            if (gradient_count > 2)
                g += load(dtype, r.gradients[2], i);
            if (relu)
                g = pass_positive(g, load(dtype, r.y, i));
            if (relu || gradient_count > 1)
                store(dtype, r.masked, i, g);
            sum[s] += g;
            product[s] += g * (load(dtype, r.x, i) - mean[s]);
        }
    spill(sum, &at, r.channels, strips, r.sums);
    spill(product, &at, r.channels, strips, r.products);
}

/* One gradient, gated by what the norm's result was. */
INLINE void reduce_gated(enum dtype dtype, const struct cpu_reduction *range, int strips, const struct part *part)
{
    const struct cpu_reduction r = *range;
    const struct part at = *part;
    lanes sum[STRIPS_MAX] = {0}, product[STRIPS_MAX] = {0};
    lanes mean[STRIPS_MAX], factor[STRIPS_MAX], beta[STRIPS_MAX];
    load_channels(r.mean, &at, r.channels, strips, mean);
    load_channels(r.factor, &at, r.channels, strips, factor);
    load_channels(r.beta, &at, r.channels, strips, beta);
    for (size_t row = at.begin; row < at.end; row++)
        for (int s = 0; s < strips; s++) {
            size_t i = element(&at, row, s);
            lanes distance = load(dtype, r.x, i) - mean[s];
            lanes g = pass_positive(load(dtype, r.gradients[0], i), distance * factor[s] + beta[s]);
            sum[s] += g;
            product[s] += g * distance;
        }
    spill(sum, &at, r.channels, strips, r.sums);
    spill(product, &at, r.channels, strips, r.products);
}

INLINE void reduce_strips(enum dtype dtype, const struct cpu_reduction *r, int strips, const struct part *part)
{
    if (r->beta)
        reduce_gated(dtype, r, strips, part);
    else if (!r->relu && r->gradient_count == 1)
        reduce_known(dtype, r, strips, part, 1, false);
    else if (!r->relu)
        reduce_known(dtype, r, strips, part, r->gradient_count, false);
    else if (r->gradient_count == 1)
        reduce_known(dtype, r, strips, part, 1, true);
    else if (r->gradient_count == 2)
        reduce_known(dtype, r, strips, part, 2, true);
    else
        reduce_known(dtype, r, strips, part, 3, true);
}

OVER_STRIPS(reduce, cpu_reduction)

INLINE void spread_known(enum dtype dtype, const struct cpu_spread *range, int strips, const struct part *part, bool gated)
{
    const struct cpu_spread d = *range;
    const struct part at = *part;
    lanes mean[STRIPS_MAX], factor[STRIPS_MAX], offset[STRIPS_MAX], slope[STRIPS_MAX], beta[STRIPS_MAX];
    load_channels(d.mean, &at, d.channels, strips, mean);
    load_channels(d.factor, &at, d.channels, strips, factor);
    load_channels(d.offset, &at, d.channels, strips, offset);
    load_channels(d.slope, &at, d.channels, strips, slope);
    if (gated)
        load_channels(d.beta, &at, d.channels, strips, beta);
    for (size_t row = at.begin; row < at.end; row++)
        for (int s = 0; s < strips; s++) {
            size_t i = element(&at, row, s);
            lanes distance = load(dtype, d.x, i) - mean[s], g = load(dtype, d.masked, i);
            if (gated)
                g = pass_positive(g, distance * factor[s] + beta[s]);
            store(dtype, d.dx, i, factor[s] * g - offset[s] - distance * slope[s]);
        }
}

INLINE void spread_strips(enum dtype dtype, const struct cpu_spread *s, int strips, const struct part *part)
{
    if (s->beta)
        spread_known(dtype, s, strips, part, true);
    else
        spread_known(dtype, s, strips, part, false);
}

OVER_STRIPS(spread, cpu_spread)

/* ---- products of a few channels ---- */

#define OUTPUTS_MAX 4 /* so many rows of STRIPS_MAX sums stay in registers */

/* `count` of the outputs, from `output` on, and `strips` of the channels, from `first` on; of pixels [begin, end). */
INLINE void product_known(enum dtype dtype, const struct cpu_product *range, const struct part *part, int strips,
                          size_t output, int count)
{
    const struct cpu_product p = *range;
    const struct part at = *part;
    lanes products[OUTPUTS_MAX][STRIPS_MAX] = {{{0}}};
    float sums[OUTPUTS_MAX] = {0};
    for (size_t pixel = at.begin; pixel < at.end; pixel++) {
        lanes x[STRIPS_MAX];
        for (int s = 0; s < strips; s++)
            x[s] = load(dtype, p.x, element(&at, pixel, s));
        for (int k = 0; k < count; k++) {
            size_t i = pixel * p.outputs + output + (size_t)k;
            float dy = dtype == DTYPE_F32 ? ((const float *)p.dy)[i] : bf16_to_f32(((const uint16_t *)p.dy)[i]);
            sums[k] += dy;
            for (int s = 0; s < strips; s++)
                products[k][s] += dy * x[s];
        }
    }
    for (int k = 0; k < count; k++) {
        size_t row = output + (size_t)k;
        spill(products[k], &at, p.channels, strips, p.products + row * p.channels);
        if (at.first == 0)
            p.sums[row] += (double)sums[k];
    }
}

INLINE void product_strips(enum dtype dtype, const struct cpu_product *p, int strips, const struct part *part)
{
    size_t output = 0;
    for (; output + OUTPUTS_MAX <= p->outputs; output += OUTPUTS_MAX)
        product_known(dtype, p, part, strips, output, OUTPUTS_MAX);
    switch (p->outputs - output) {
    case 3:
        product_known(dtype, p, part, strips, output, 3);
        break;
    case 2:
        product_known(dtype, p, part, strips, output, 2);
        break;
    case 1:
        product_known(dtype, p, part, strips, output, 1);
        break;
    }
}

OVER_STRIPS_OF_ROWS(product, cpu_product)

/* A row is one pixel, however short: dy belong to it. */
INLINE void product(enum dtype dtype, const struct cpu_product *p)
{
    product_rows(dtype, p, p->channels, 0, p->pixels);
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

#define BOTH_TYPES(function, body, argument)                                                                                \
    static void function##_f32(const struct argument *range)                                                                \
    {                                                                                                                       \
        body(DTYPE_F32, range);                                                                                             \
    }                                                                                                                       \
    static void function##_bf16(const struct argument *range)                                                               \
    {                                                                                                                       \
        body(DTYPE_BF16, range);                                                                                            \
    }

BOTH_TYPES(moments, moments_all, cpu_moments)
BOTH_TYPES(map, map_all, cpu_map)
BOTH_TYPES(reduce, reduce_all, cpu_reduction)
BOTH_TYPES(spread, spread_all, cpu_spread)
BOTH_TYPES(product, product, cpu_product)
BOTH_TYPES(upsample_add, upsample_add, cpu_rows)
BOTH_TYPES(upsample_backward, upsample_backward, cpu_rows)

/* ---- the slab, and conversion ---- */

INLINE lanes square_root(lanes values)
{
#ifdef __AVX512F__
    return (lanes)_mm512_sqrt_ps((__m512)values);
#else
    for (size_t k = 0; k < CPU_LANES; k++)
        values[k] = sqrtf(values[k]);
    return values;
#endif
}

/* 16 floats of each slab. */
INLINE void train_lanes(const struct cpu_training *t, const float *gradient, float *weights, float *average, float *moment1,
                        float *moment2)
{
    lanes g = load(DTYPE_F32, gradient, 0) * t->clip, weight = load(DTYPE_F32, weights, 0);
    lanes m = (float)ADAM_BETA1 * load(DTYPE_F32, moment1, 0) + (float)(1 - ADAM_BETA1) * g;
    lanes v = (float)ADAM_BETA2 * load(DTYPE_F32, moment2, 0) + (float)(1 - ADAM_BETA2) * g * g;
    weight = weight - t->decay * weight - t->lr * m / (square_root(v) * t->correction2 + (float)ADAM_EPSILON);
    store(DTYPE_F32, moment1, 0, m);
    store(DTYPE_F32, moment2, 0, v);
    store(DTYPE_F32, weights, 0, weight);
    store(DTYPE_F32, average, 0, t->keep * load(DTYPE_F32, average, 0) + (1 - t->keep) * weight);
}

static void train(const struct cpu_training *training)
{
    const struct cpu_training t = *training; /* as in the norms' loops */
    size_t whole = t.count / CPU_LANES * CPU_LANES, bytes = (t.count - whole) * sizeof(float);
    for (size_t i = 0; i < whole; i += CPU_LANES)
        train_lanes(&t, t.gradient + i, t.weights + i, t.average + i, t.moment1 + i, t.moment2 + i);
    if (!bytes)
        return;
    float *const ends[] = {t.weights + whole, t.average + whole, t.moment1 + whole, t.moment2 + whole};
    float gradient[CPU_LANES] = {0}, copies[4][CPU_LANES] = {{0}};
    memcpy(gradient, t.gradient + whole, bytes);
    for (int k = 0; k < 4; k++)
        memcpy(copies[k], ends[k], bytes);
    train_lanes(&t, gradient, copies[0], copies[1], copies[2], copies[3]);
    for (int k = 0; k < 4; k++)
        memcpy(ends[k], copies[k], bytes);
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
    .product = {product_f32, product_bf16},
    .upsample_add = {upsample_add_f32, upsample_add_bf16},
    .upsample_backward = {upsample_backward_f32, upsample_backward_bf16},
    .train = train,
    .sum_squares = sum_squares,
    .widen = widen,
    .narrow = narrow,
};
