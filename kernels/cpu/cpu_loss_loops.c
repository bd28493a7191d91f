/* The detection loss, 16 logits at a time.
 *
 * The exponential and the logarithm are Cephes' expf and logf (Moshier, https://www.netlib.org/cephes), good
 * to one unit in the last place, written over lanes: libm's take one number at a time, and a step calls them
 * some hundred thousand times. */
#include "cpu_loss_loops.h"

#include "cpu_lanes.h"

#define HEAT_CLAMP       1e-4f
#define RAY_LOG_FACTOR   0.2f
#define RAY_TARGET_FLOOR 0.1f       /* px */
#define LOG_OF_UNIT      1.3862944f /* ln CPU_LOSS_UNIT */
#define LN2_HIGH         0.693359375f
#define LN2_LOW          -2.12194440e-4f
#define SPAN             128 /* terms that are added in f32 before they go into a double */

typedef int32_t integers __attribute__((vector_size(64)));

INLINE lanes choose(integers where, lanes yes, lanes no)
{
    return (lanes)(((words)where & (words)yes) | (~(words)where & (words)no));
}

INLINE lanes smaller(lanes a, lanes b)
{
    return choose(a < b, a, b);
}

INLINE lanes larger(lanes a, lanes b)
{
    return choose(a > b, a, b);
}

INLINE lanes all(float value)
{
    return value - (lanes){0};
}

/* e^x for x in -87 .. 88; what is outside is taken to its bound. */
INLINE lanes exponential(lanes x)
{
    const float to_integer = 0x1.8p23f; /* added and taken away, rounds to a whole number */
    x = larger(smaller(x, all(88)), all(-87));
    lanes n = x * 1.44269504f + to_integer - to_integer;
    lanes r = x - n * LN2_HIGH - n * LN2_LOW;
    lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    integers power = __builtin_convertvector(n, integers) + 127;
    return (p * r * r + r + 1) * (lanes)(power << 23);
}

/* ln x for normal x > 0. */
INLINE lanes logarithm(lanes x)
{
    integers exponent = ((integers)x - 0x3F3504F3) >> 23; /* so that the rest is in sqrt(1/2) .. sqrt(2) */
    lanes f = (lanes)((integers)x - (exponent << 23)) - 1, square = f * f;
    lanes p = f * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    lanes e = __builtin_convertvector(exponent, lanes);
    lanes low = p * f * square + LN2_LOW * e - 0.5f * square;
    return f + low + LN2_HIGH * e;
}

/* The first `count` lanes; the others are 0. */
INLINE lanes first_of(lanes values, size_t count)
{
    const integers number = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return count >= CPU_LANES ? values : choose(number < (int32_t)count, values, all(0));
}

/* Adds the lanes, halves upon halves: in order, each addition would wait for the one before. */
INLINE float sum_of(lanes values)
{
    float half[CPU_LANES];
    memcpy(half, &values, sizeof half);
    for (size_t width = CPU_LANES / 2; width > 0; width /= 2)
        for (size_t k = 0; k < width; k++)
            half[k] += half[k + width];
    return half[0];
}

/* The first `count` of 16 numbers; the others are 0. */
INLINE lanes load_some(const float *from, size_t count)
{
    if (count >= CPU_LANES)
        return load(DTYPE_F32, from, 0);
    lanes values = {0};
    memcpy(&values, from, count * sizeof(float));
    return values;
}

INLINE void store_some(enum dtype dtype, void *to, size_t index, lanes values, size_t count)
{
    if (count >= CPU_LANES) {
        store(dtype, to, index, values);
        return;
    }
    lanes kept;
    store(dtype, &kept, 0, values);
    memcpy((char *)to + index * dtype_bytes(dtype), &kept, count * dtype_bytes(dtype));
}

/* The focal terms of 16 logits, and their gradients. */
INLINE lanes heat_terms(lanes logits, lanes targets, lanes *gradients)
{
    lanes e = exponential(-logits), p = 1 / (1 + e), q = e * p;
    p = smaller(larger(p, all(HEAT_CLAMP)), all(1 - HEAT_CLAMP));
    q = smaller(larger(q, all(HEAT_CLAMP)), all(1 - HEAT_CLAMP));
    integers peak = targets > CPU_LOSS_PEAK;
    /* What rounding q has lost matters to its logarithm where p is small. */
    lanes lost = choose(peak | (p > 0.5f), all(0), (1 - q) - p);
    lanes log = logarithm(choose(peak, p, q)) + lost / q;
    lanes near = 1 - targets, far = near * near * near * near;
    lanes squares = choose(peak, q * q, far * p * p);
    *gradients = squares * choose(peak, 2 * p * log - q, p - 2 * q * log);
    return -squares * log;
}

INLINE double heat(enum dtype dtype, const struct cpu_heat *h)
{
    double sum = 0;
    for (size_t begin = 0; begin < h->count; begin += SPAN) {
        size_t end = begin + SPAN < h->count ? begin + SPAN : h->count;
        lanes terms = {0};
        for (size_t i = begin; i < end; i += CPU_LANES) {
            lanes gradients, logits = load_some(h->logits + i, end - i);
            lanes found = heat_terms(logits, load_some(h->targets + i, end - i), &gradients);
            terms += first_of(found, end - i);
            store_some(dtype, h->gradients, i, gradients * h->unit, end - i);
        }
        sum += (double)sum_of(terms);
    }
    return sum;
}

INLINE float rays(enum dtype dtype, const struct cpu_rays *r)
{
    lanes distance[DEVICE_CHANNELS_MAX / CPU_LANES], target[DEVICE_CHANNELS_MAX / CPU_LANES];
    lanes larger_ones = {0}, smaller_ones = {0}, distances = {0};
    for (size_t i = 0; i < r->count; i += CPU_LANES) {
        lanes z =
            smaller(larger(load_some(r->logits + i, r->count - i), all(CPU_LOSS_EXPONENT_MIN)), all(CPU_LOSS_EXPONENT_MAX));
        lanes t = larger(load_some(r->targets + i, r->count - i), all(RAY_TARGET_FLOOR));
        lanes d = CPU_LOSS_UNIT * exponential(z), log = z + LOG_OF_UNIT - logarithm(t);
        larger_ones += first_of(larger(d, t), r->count - i);
        smaller_ones += first_of(smaller(d, t), r->count - i);
        distances += first_of(larger(log, -log), r->count - i);
        distance[i / CPU_LANES] = d;
        target[i / CPU_LANES] = t;
    }
    const float largest = sum_of(larger_ones), smallest = sum_of(smaller_ones);
    const float slope = RAY_LOG_FACTOR / (float)r->count;
    for (size_t i = 0; i < r->count; i += CPU_LANES) {
        lanes d = distance[i / CPU_LANES], t = target[i / CPU_LANES];
        lanes sign = choose(d > t, all(slope), choose(d < t, all(-slope), all(0)));
        lanes gradient = choose(d >= t, d / largest, -d / smallest) + sign;
        store_some(dtype, r->gradients, i, r->share * gradient, r->count - i);
    }
    lanes ratio = logarithm(all(largest / smallest));
    return ratio[0] + slope * sum_of(distances);
}

/* ---- the two element types of each ---- */

static double heat_f32(const struct cpu_heat *h)
{
    return heat(DTYPE_F32, h);
}

static double heat_bf16(const struct cpu_heat *h)
{
    return heat(DTYPE_BF16, h);
}

static float rays_f32(const struct cpu_rays *r)
{
    return rays(DTYPE_F32, r);
}

static float rays_bf16(const struct cpu_rays *r)
{
    return rays(DTYPE_BF16, r);
}

const struct cpu_loss_loops CPU_LOSS_LOOPS = {.heat = {heat_f32, heat_bf16}, .rays = {rays_f32, rays_bf16}};
