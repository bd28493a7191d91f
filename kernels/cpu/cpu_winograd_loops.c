/* Winograd's convolution F(4 x 4, 3 x 3): the transforms and the products.  See cpu_winograd.c for how they
 * fit together; built for AVX-512, whose 32 registers of 16 numbers the products are cut for.
 *
 * The points are 0, A, -A, B, -B and infinity, with A = 5/8 and B = 3/2: rounding errors are about a third of
 * those with the usual 1 and 2.  With them, of a row of 6 pixels d, 3 weights g and 4 results y,
 *
 *     y = R [ (K g) * (I d) ]
 *
 * I: the coefficients of the polynomials that vanish at all points but one (`to_points`); K: a kernel's
 * values at the points over the differences between points (`weights_to_points`); R: the points' powers 0 ..
 * 3
 * (`from_points`).  In two dimensions each is applied to columns, then rows.  Gradients take the transposed
 * matrices: of K for the weights' own gradient, of R for the gradient that comes in.
 *
 * Lavin, Gray: "Fast algorithms for convolutional neural networks", CVPR 2016. */
#include "cpu_winograd_loops.h"

#include "cpu_lanes.h"

#define A  0.625f
#define B  1.5f
#define A2 (A * A)
#define B2 (B * B)

#define STRIPS_MAX 4 /* strips of outputs in registers at a time, and with them rows */

/* Loops over a tile's rows and columns, whose arrays then live in registers. */
#ifdef __clang__
#define UNROLL   _Pragma("unroll")
#define UNROLL16 _Pragma("unroll")
#else
#define UNROLL   _Pragma("GCC unroll 6")
#define UNROLL16 _Pragma("GCC unroll 16")
#endif

/* I: 6 pixels to 6 points */
INLINE void to_points(const lanes d[6], lanes out[6])
{
    lanes even_a = d[4] - B2 * d[2], odd_a = A * (d[3] - B2 * d[1]);
    lanes even_b = d[4] - A2 * d[2], odd_b = B * (d[3] - A2 * d[1]);
    out[0] = d[4] - (A2 + B2) * d[2] + A2 * B2 * d[0];
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = d[5] - (A2 + B2) * d[3] + A2 * B2 * d[1];
}

/* R: 6 points to 4 results */
INLINE void from_points(const lanes m[6], lanes out[4])
{
    lanes even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
    out[0] = m[0] + even_a + even_b;
    out[1] = A * odd_a + B * odd_b;
    out[2] = A2 * even_a + B2 * even_b;
    out[3] = A * A2 * odd_a + B * B2 * odd_b + m[5];
}

/* R transposed: the gradient of 4 results to that of 6 points */
INLINE void gradient_to_points(const lanes dy[4], lanes out[6])
{
    lanes even_a = dy[0] + A2 * dy[2], odd_a = A * dy[1] + A * A2 * dy[3];
    lanes even_b = dy[0] + B2 * dy[2], odd_b = B * dy[1] + B * B2 * dy[3];
    out[0] = dy[0];
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = dy[3];
}

#define AT_ZERO (1 / (A2 * B2))
#define AT_A    (1 / (2 * A2 * (A2 - B2)))
#define AT_B    (1 / (2 * B2 * (B2 - A2)))

/* K: 3 weights to 6 points */
INLINE void weights_to_points(const lanes g[3], lanes out[6])
{
    lanes even_a = AT_A * g[0] + AT_A * A2 * g[2], odd_a = AT_A * A * g[1];
    lanes even_b = AT_B * g[0] + AT_B * B2 * g[2], odd_b = AT_B * B * g[1];
    out[0] = AT_ZERO * g[0];
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = g[2];
}

/* K transposed: the gradient of 6 points to that of 3 weights */
INLINE void weights_from_points(const lanes m[6], lanes out[3])
{
    lanes even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
    out[0] = AT_ZERO * m[0] + AT_A * even_a + AT_B * even_b;
    out[1] = AT_A * A * odd_a + AT_B * B * odd_b;
    out[2] = AT_A * A2 * even_a + AT_B * B2 * even_b + m[5];
}

/* ---- tiles to points and back ---- */

/* One strip of 6 x 6 pixels, `row` and `column` elements apart, to points. */
INLINE void gather_strip(enum dtype dtype, const void *pixels, size_t row, size_t column, float *to, size_t distance)
{
    lanes half[WINOGRAD_SIDE][WINOGRAD_SIDE]; /* [column][point of the column] */
    UNROLL for (size_t j = 0; j < WINOGRAD_SIDE; j++)
    {
        lanes d[WINOGRAD_SIDE];
        UNROLL for (size_t i = 0; i < WINOGRAD_SIDE; i++) d[i] = load(dtype, pixels, i * row + j * column);
        to_points(d, half[j]);
    }
    UNROLL for (size_t i = 0; i < WINOGRAD_SIDE; i++)
    {
        lanes d[WINOGRAD_SIDE], points[WINOGRAD_SIDE];
        UNROLL for (size_t j = 0; j < WINOGRAD_SIDE; j++) d[j] = half[j][i];
        to_points(d, points);
        UNROLL for (size_t j = 0; j < WINOGRAD_SIDE; j++)
            store(DTYPE_F32, to, (i * WINOGRAD_SIDE + j) * distance, points[j]);
    }
}

INLINE void gather_gradient_strip(enum dtype dtype, const void *pixels, size_t row, size_t column, float *to,
                                  size_t distance)
{
    lanes half[WINOGRAD_TILE][WINOGRAD_SIDE];
    UNROLL for (size_t j = 0; j < WINOGRAD_TILE; j++)
    {
        lanes d[WINOGRAD_TILE];
        UNROLL for (size_t i = 0; i < WINOGRAD_TILE; i++) d[i] = load(dtype, pixels, i * row + j * column);
        gradient_to_points(d, half[j]);
    }
    UNROLL for (size_t i = 0; i < WINOGRAD_SIDE; i++)
    {
        lanes d[WINOGRAD_TILE], points[WINOGRAD_SIDE];
        UNROLL for (size_t j = 0; j < WINOGRAD_TILE; j++) d[j] = half[j][i];
        gradient_to_points(d, points);
        UNROLL for (size_t j = 0; j < WINOGRAD_SIDE; j++)
            store(DTYPE_F32, to, (i * WINOGRAD_SIDE + j) * distance, points[j]);
    }
}

/* One strip of a tile that reaches over the image's edge, `side` pixels wide and high: zero outside. */
INLINE void copy_strip(enum dtype dtype, const struct cpu_winograd_tile *t, size_t channel, int side, lanes *to)
{
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            int row = t->row + i, column = t->column + j;
            bool inside = row >= 0 && row < t->height && column >= 0 && column < t->width;
            to[i * side + j] =
                inside ? load(dtype, t->image, ((size_t)row * (size_t)t->width + (size_t)column) * t->channels + channel)
                       : (lanes){0};
        }
}

INLINE void gather_tile(enum dtype dtype, const struct cpu_winograd_tile *t, int side, bool gradient)
{
    bool inside = t->row >= 0 && t->column >= 0 && t->row + side <= t->height && t->column + side <= t->width;
    size_t row = (size_t)t->width * t->channels, width = (size_t)side * CPU_LANES;
    for (size_t channel = 0; channel < t->channels; channel += CPU_LANES) {
        lanes copy[WINOGRAD_POINTS];
        if (!inside)
            copy_strip(dtype, t, channel, side, copy);
        const char *first = inside
                                ? (const char *)t->image +
                                      ((size_t)t->row * row + (size_t)t->column * t->channels + channel) * dtype_bytes(dtype)
                                : NULL;
        if (inside && gradient)
            gather_gradient_strip(dtype, first, row, t->channels, t->points + channel, t->distance);
        else if (inside)
            gather_strip(dtype, first, row, t->channels, t->points + channel, t->distance);
        else if (gradient)
            gather_gradient_strip(DTYPE_F32, copy, width, CPU_LANES, t->points + channel, t->distance);
        else
            gather_strip(DTYPE_F32, copy, width, CPU_LANES, t->points + channel, t->distance);
    }
}

INLINE void gather(enum dtype dtype, const struct cpu_winograd_tile *t)
{
    gather_tile(dtype, t, WINOGRAD_SIDE, false);
}

INLINE void gather_gradient(enum dtype dtype, const struct cpu_winograd_tile *t)
{
    gather_tile(dtype, t, WINOGRAD_TILE, true);
}

/* Sums of one strip while it is put out. */
struct strip_moments {
    lanes shift, sum, square;
};

/* Pixels (row, column ..) of a tile's strip on their way out. */
INLINE void put_row(enum dtype dtype, const struct cpu_winograd_result *r, size_t channel, int row,
                    const lanes results[WINOGRAD_TILE], bool inside, struct strip_moments *moments)
{
    size_t first = ((size_t)row * (size_t)r->width + (size_t)r->column) * r->channels + channel;
    UNROLL for (size_t j = 0; j < WINOGRAD_TILE; j++)
    {
        if (!inside && (row >= r->height || r->column + (int)j >= r->width))
            continue;
        size_t at = first + j * r->channels;
        lanes value = results[j];
        if (r->bias)
            value += load(DTYPE_F32, r->bias, channel);
        if (r->accumulate)
            value += load(dtype, r->image, at);
        store(dtype, r->image, at, r->relu ? pass_positive(value, value) : value);
        if (moments) {
            lanes distance = value - moments->shift;
            moments->sum += distance;
            moments->square += distance * distance;
        }
    }
}

INLINE struct strip_moments load_moments(const struct cpu_winograd_result *r, size_t channel, lanes first)
{
    if (r->first)
        return (struct strip_moments){.shift = first};
    return (struct strip_moments){load(DTYPE_F32, r->moments, channel), load(DTYPE_F32, r->moments, r->channels + channel),
                                  load(DTYPE_F32, r->moments, 2 * r->channels + channel)};
}

INLINE void store_moments(const struct cpu_winograd_result *r, size_t channel, const struct strip_moments *m)
{
    store(DTYPE_F32, r->moments, channel, m->shift);
    store(DTYPE_F32, r->moments, r->channels + channel, m->sum);
    store(DTYPE_F32, r->moments, 2 * r->channels + channel, m->square);
}

INLINE void scatter_strips(enum dtype dtype, const struct cpu_winograd_result *r, bool inside, bool sums)
{
    for (size_t channel = 0; channel < r->channels; channel += CPU_LANES) {
        lanes half[WINOGRAD_SIDE][WINOGRAD_TILE];
        struct strip_moments moments;
        const float *points = r->points + channel;
        UNROLL for (size_t j = 0; j < WINOGRAD_SIDE; j++)
        {
            lanes m[WINOGRAD_SIDE];
            UNROLL for (size_t i = 0; i < WINOGRAD_SIDE; i++) m[i] =
                load(DTYPE_F32, points, (i * WINOGRAD_SIDE + j) * r->distance);
            from_points(m, half[j]);
        }
        UNROLL for (size_t i = 0; i < WINOGRAD_TILE; i++)
        {
            lanes m[WINOGRAD_SIDE], results[WINOGRAD_TILE];
            UNROLL for (size_t j = 0; j < WINOGRAD_SIDE; j++) m[j] = half[j][i];
            from_points(m, results);
            if (sums && i == 0)
                moments = load_moments(r, channel, results[0]);
            put_row(dtype, r, channel, r->row + (int)i, results, inside, sums ? &moments : NULL);
        }
        if (sums)
            store_moments(r, channel, &moments);
    }
}

INLINE void scatter(enum dtype dtype, const struct cpu_winograd_result *r)
{
    bool inside = r->row + WINOGRAD_TILE <= r->height && r->column + WINOGRAD_TILE <= r->width;
    if (inside && r->moments)
        scatter_strips(dtype, r, true, true);
    else if (inside)
        scatter_strips(dtype, r, true, false);
    else if (r->moments)
        scatter_strips(dtype, r, false, true);
    else
        scatter_strips(dtype, r, false, false);
}

#define BOTH_TYPES(function, argument)                                                                                      \
    static void function##_f32(const struct argument *range)                                                                \
    {                                                                                                                       \
        function(DTYPE_F32, range);                                                                                         \
    }                                                                                                                       \
    static void function##_bf16(const struct argument *range)                                                               \
    {                                                                                                                       \
        function(DTYPE_BF16, range);                                                                                        \
    }

BOTH_TYPES(gather, cpu_winograd_tile)
BOTH_TYPES(gather_gradient, cpu_winograd_tile)
BOTH_TYPES(scatter, cpu_winograd_result)

/* ---- weights ---- */

typedef int32_t lane_numbers __attribute__((vector_size(64)));

/* Turns 16 x 16 numbers: in four rounds, each of which puts every number's place in the upper half of the rows into the
 * lowest bit of its place in a row. */
INLINE void transpose(lanes rows[CPU_LANES])
{
    const lane_numbers low = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
    const lane_numbers high = {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    for (int round = 0; round < 4; round++) {
        lanes next[CPU_LANES];
        UNROLL16 for (int k = 0; k < CPU_LANES / 2; k++)
        {
            lanes a = rows[k], b = rows[k + CPU_LANES / 2];
            next[2 * k] = (lanes)_mm512_permutex2var_ps((__m512)a, (__m512i)low, (__m512)b);
            next[2 * k + 1] = (lanes)_mm512_permutex2var_ps((__m512)a, (__m512i)high, (__m512)b);
        }
        memcpy(rows, next, sizeof next);
    }
}

/* One tap's weights, a vector of 16 outputs for each of 16 depths. */
INLINE void load_tap(const struct cpu_winograd_weights *w, const float *from, lanes taps[CPU_LANES])
{
    size_t step = w->output == 1 ? w->depth : w->output;
    for (size_t k = 0; k < CPU_LANES; k++)
        taps[k] = load(DTYPE_F32, from, k * step);
    if (w->output != 1)
        transpose(taps);
}

static void transform_weights(const struct cpu_winograd_weights *weights, size_t depth, size_t output)
{
    const struct cpu_winograd_weights w = *weights;
    const float *from = w.weights + depth * w.depth + output * w.output;
    lanes taps[9][CPU_LANES];
    for (size_t tap = 0; tap < 9; tap++)
        load_tap(&w, from + (w.reversed ? 8 - tap : tap) * w.tap, taps[tap]);
    for (size_t k = 0; k < CPU_LANES; k++) {
        float *to = w.points + (depth + k) * w.outputs + output;
        lanes half[3][WINOGRAD_SIDE];
        UNROLL for (int j = 0; j < 3; j++)
        {
            lanes column[3] = {taps[j][k], taps[3 + j][k], taps[6 + j][k]};
            weights_to_points(column, half[j]);
        }
        UNROLL for (size_t i = 0; i < WINOGRAD_SIDE; i++)
        {
            lanes row[3] = {half[0][i], half[1][i], half[2][i]}, points[WINOGRAD_SIDE];
            weights_to_points(row, points);
            UNROLL for (size_t j = 0; j < WINOGRAD_SIDE; j++)
                store(DTYPE_F32, to, (i * WINOGRAD_SIDE + j) * w.distance, points[j]);
        }
    }
}

static void weights_gradient(const struct cpu_winograd_weights_gradient *gradient, size_t depth, size_t output)
{
    const struct cpu_winograd_weights_gradient g = *gradient;
    lanes taps[9][CPU_LANES];
    for (size_t k = 0; k < CPU_LANES; k++) {
        const float *from = g.points + (depth + k) * g.outputs + output;
        lanes half[WINOGRAD_SIDE][3];
        UNROLL for (size_t j = 0; j < WINOGRAD_SIDE; j++)
        {
            lanes column[WINOGRAD_SIDE];
            UNROLL for (size_t i = 0; i < WINOGRAD_SIDE; i++) column[i] =
                load(DTYPE_F32, from, (i * WINOGRAD_SIDE + j) * g.distance);
            weights_from_points(column, half[j]);
        }
        UNROLL for (int i = 0; i < 3; i++)
        {
            lanes row[WINOGRAD_SIDE], three[3];
            UNROLL for (size_t j = 0; j < WINOGRAD_SIDE; j++) row[j] = half[j][i];
            weights_from_points(row, three);
            UNROLL for (int j = 0; j < 3; j++) taps[3 * i + j][k] = three[j];
        }
    }
    for (size_t tap = 0; tap < 9; tap++) {
        transpose(taps[tap]);
        for (size_t k = 0; k < CPU_LANES; k++)
            store(DTYPE_F32, g.weights, ((output + k) * 9 + tap) * g.depths + depth, taps[tap][k]);
    }
}

/* ---- products ---- */

/* So many rows of so many strips stay in registers. */
#define ROWS_OF(strips) ((strips) == 4 ? 6 : (strips) == 3 ? 8 : 12)

INLINE void multiply_strips(int strips, const float *a, const float *b, float *out, size_t rows, size_t depths,
                            size_t outputs)
{
    const int height = ROWS_OF(strips);
    for (size_t row = 0; row < rows; row += (size_t)height) {
        lanes sum[12][4];
        for (int r = 0; r < height; r++)
            for (int s = 0; s < strips; s++)
                sum[r][s] = (lanes){0};
        const float *from = a + row * depths;
        for (size_t depth = 0; depth < depths; depth++) {
            lanes right[4];
            for (int s = 0; s < strips; s++)
                right[s] = load(DTYPE_F32, b, depth * outputs + (size_t)s * CPU_LANES);
            for (int r = 0; r < height; r++)
                for (int s = 0; s < strips; s++)
                    sum[r][s] += from[(size_t)r * depths + depth] * right[s];
        }
        for (int r = 0; r < height; r++)
            for (int s = 0; s < strips; s++)
                store(DTYPE_F32, out, (row + (size_t)r) * outputs + (size_t)s * CPU_LANES, sum[r][s]);
    }
}

INLINE int strips_for(size_t channels)
{
    int strips = STRIPS_MAX;
    while (channels % ((size_t)strips * CPU_LANES) != 0)
        strips--;
    return strips;
}

static void multiply(const float *a, const float *b, float *out, size_t rows, size_t depths, size_t outputs)
{
    const int strips = strips_for(outputs);
    for (size_t output = 0; output < outputs; output += (size_t)strips * CPU_LANES)
        switch (strips) {
        case 4:
            multiply_strips(4, a, b + output, out + output, rows, depths, outputs);
            break;
        case 3:
            multiply_strips(3, a, b + output, out + output, rows, depths, outputs);
            break;
        case 2:
            multiply_strips(2, a, b + output, out + output, rows, depths, outputs);
            break;
        default:
            multiply_strips(1, a, b + output, out + output, rows, depths, outputs);
        }
}

/* `height` rows of the result, columns [.., strips). */
INLINE void accumulate_strips(int strips, int height, const float *a, const float *b, float *out, size_t rows, size_t as,
                              size_t bs)
{
    lanes sum[16][4];
    for (int r = 0; r < height; r++)
        for (int s = 0; s < strips; s++)
            sum[r][s] = load(DTYPE_F32, out, (size_t)r * bs + (size_t)s * CPU_LANES);
    for (size_t row = 0; row < rows; row++) {
        lanes right[4];
        for (int s = 0; s < strips; s++)
            right[s] = load(DTYPE_F32, b, row * bs + (size_t)s * CPU_LANES);
        for (int r = 0; r < height; r++)
            for (int s = 0; s < strips; s++)
                sum[r][s] += a[row * as + (size_t)r] * right[s];
    }
    for (int r = 0; r < height; r++)
        for (int s = 0; s < strips; s++)
            store(DTYPE_F32, out, (size_t)r * bs + (size_t)s * CPU_LANES, sum[r][s]);
}

#define ACCUMULATE(strips, height)                                                                                          \
    for (size_t i = 0; i < as; i += (height))                                                                               \
    accumulate_strips(strips, height, a + i, b + k, out + i * bs + k, rows, as, bs)

static void accumulate(const float *a, const float *b, float *out, size_t rows, size_t as, size_t bs)
{
    const int strips = strips_for(bs);
    for (size_t k = 0; k < bs; k += (size_t)strips * CPU_LANES)
        switch (strips) {
        case 4:
            ACCUMULATE(4, 4);
            break;
        case 3:
            ACCUMULATE(3, 8);
            break;
        case 2:
            ACCUMULATE(2, 8);
            break;
        default:
            ACCUMULATE(1, 16);
        }
}

const struct cpu_winograd_loops CPU_WINOGRAD_LOOPS = {
    .gather = {gather_f32, gather_bf16},
    .gather_gradient = {gather_gradient_f32, gather_gradient_bf16},
    .scatter = {scatter_f32, scatter_bf16},
    .transform_weights = transform_weights,
    .multiply = multiply,
    .accumulate = accumulate,
    .weights_gradient = weights_gradient,
};
