/* The CPU's inner loops as built for each instruction set compute the same: f32 sums may differ in the last
 * bits (fused multiplication), bf16 results in one rounding. */
#include "testing.h"

#include <math.h>
#include <string.h>

#include "cpu_loops.h"
#include "cpu_loss_loops.h"
#include "random.h"

enum { PIXELS = 150, CHANNELS_MAX = 144, FLOATS = PIXELS * CHANNELS_MAX };

/* The tables that this processor runs, the plain one first. */
static size_t runnable(const struct cpu_loops *tables[4])
{
    size_t count = 0;
    tables[count++] = &cpu_loops_plain;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        tables[count++] = &cpu_loops_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        tables[count++] = &cpu_loops_avx512;
    if (count == 3 && __builtin_cpu_supports("avx512bf16"))
        tables[count++] = &cpu_loops_avx512_bf16;
#endif
    return count;
}

/* Values of one element type with their f32 reading. */
struct values {
    _Alignas(64) float f32[FLOATS];
    _Alignas(64) uint16_t bf16[FLOATS];
};

static void *bytes(struct values *values, enum dtype dtype)
{
    return dtype == DTYPE_F32 ? (void *)values->f32 : (void *)values->bf16;
}

static void fill(struct values *values, uint64_t seed)
{
    struct random random = random_stream(seed, 1);
    for (size_t i = 0; i < FLOATS; i++) {
        values->f32[i] = (float)random_between(&random, -1, 1);
        values->bf16[i] = bf16_from_f32(values->f32[i]);
    }
}

static double value(struct values *values, enum dtype dtype, size_t i)
{
    return dtype == DTYPE_F32 ? (double)values->f32[i] : (double)bf16_to_f32(values->bf16[i]);
}

static void assert_same(struct values *a, struct values *b, enum dtype dtype, size_t count, const char *what)
{
    double tolerance = dtype == DTYPE_F32 ? 1e-5 : 0x1p-7;
    for (size_t i = 0; i < count; i++)
        if (!(fabs(value(a, dtype, i) - value(b, dtype, i)) <= tolerance * fmax(1, fabs(value(b, dtype, i)))))
            fail_msg("%s[%zu] is %g, plain %g", what, i, value(a, dtype, i), value(b, dtype, i));
}

/* What a table makes of the same operands: filled in afresh for each. */
static struct outcome {
    struct values x, y, z, out, masked;
    float mean[CHANNELS_MAX], factor[CHANNELS_MAX], beta[CHANNELS_MAX], slope[CHANNELS_MAX];
    double sums[CHANNELS_MAX], squares[CHANNELS_MAX];
} plain, other;

static void prepare(struct outcome *o)
{
    memset(o, 0, sizeof *o);
    fill(&o->x, 1);
    fill(&o->y, 2);
    fill(&o->z, 3);
    fill(&o->masked, 4);
    for (size_t c = 0; c < CHANNELS_MAX; c++) {
        o->mean[c] = o->x.f32[c] / 4;
        o->factor[c] = o->y.f32[c];
        o->beta[c] = o->z.f32[c];
        o->slope[c] = o->x.f32[2 * c];
    }
}

static void run_norms(const struct cpu_loops *loops, struct outcome *o, enum dtype dtype, size_t channels, int kind)
{
    bool flag = kind & 1, gated = kind >= 6; /* the mask told from x */
    loops->moments[dtype](&(struct cpu_moments){.x = bytes(&o->x, dtype),
                                                .pixels = PIXELS,
                                                .channels = channels,
                                                .shift = o->mean,
                                                .sums = o->sums,
                                                .squares = o->squares});
    loops->map[dtype](&(struct cpu_map){.x = bytes(&o->x, dtype),
                                        .residual = kind & 2 ? bytes(&o->y, dtype) : NULL,
                                        .y = bytes(&o->out, dtype),
                                        .pixels = PIXELS,
                                        .channels = channels,
                                        .mean = o->mean,
                                        .factor = o->factor,
                                        .beta = o->beta,
                                        .relu = flag});
    loops->reduce[dtype](
        &(struct cpu_reduction){.x = bytes(&o->x, dtype),
                                .y = bytes(&o->y, dtype),
                                .gradients = {bytes(&o->masked, dtype), bytes(&o->z, dtype), bytes(&o->y, dtype)},
                                .gradient_count = gated ? 1 : 1 + kind % 3,
                                .masked = bytes(&o->masked, dtype),
                                .pixels = PIXELS,
                                .channels = channels,
                                .mean = o->mean,
                                .factor = o->factor,
                                .beta = gated ? o->beta : NULL,
                                .relu = flag,
                                .sums = o->sums,
                                .products = o->squares});
    loops->spread[dtype](&(struct cpu_spread){.x = bytes(&o->x, dtype),
                                              .masked = bytes(&o->masked, dtype),
                                              .dx = bytes(&o->z, dtype),
                                              .pixels = PIXELS,
                                              .channels = channels,
                                              .mean = o->mean,
                                              .factor = o->factor,
                                              .offset = o->beta,
                                              .slope = o->slope,
                                              .beta = gated ? o->beta : NULL});
}

static void norms_are_the_same_for_every_instruction_set(void **state)
{
    (void)state;
    const struct cpu_loops *tables[4];
    size_t count = runnable(tables);
    for (size_t t = 1; t < count; t++)
        for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++)
            for (size_t channels = 16; channels <= CHANNELS_MAX; channels += 16)
                for (int kind = 0; kind < 7; kind++) {
                    prepare(&plain);
                    prepare(&other);
                    run_norms(tables[0], &plain, (enum dtype)dtype, channels, kind);
                    run_norms(tables[t], &other, (enum dtype)dtype, channels, kind);
                    assert_same(&other.out, &plain.out, (enum dtype)dtype, PIXELS * channels, "map");
                    assert_same(&other.masked, &plain.masked, (enum dtype)dtype, PIXELS * channels, "masked");
                    assert_same(&other.z, &plain.z, (enum dtype)dtype, PIXELS * channels, "spread");
                    for (size_t c = 0; c < channels; c++) {
                        assert_true(fabs(other.sums[c] - plain.sums[c]) < 1e-3);
                        assert_true(fabs(other.squares[c] - plain.squares[c]) < 1e-3);
                    }
                }
}

/* The product of one dy and one x, summed over the pixels. */
static double product_of(struct outcome *o, enum dtype dtype, size_t channels, size_t outputs, size_t i)
{
    double sum = 0;
    for (size_t pixel = 0; pixel < PIXELS; pixel++)
        sum += value(&o->y, dtype, pixel * outputs + i / channels) * value(&o->x, dtype, pixel * channels + i % channels);
    return sum;
}

static void products_are_those_of_double_precision_for_every_instruction_set(void **state)
{
    (void)state;
    enum { OUTPUTS_MAX = 7 };
    const struct cpu_loops *tables[4];
    size_t count = runnable(tables);
    prepare(&plain);
    for (size_t t = 0; t < count; t++)
        for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++)
            for (size_t channels = 16; channels <= CHANNELS_MAX; channels += 32)
                for (size_t outputs = 1; outputs <= OUTPUTS_MAX; outputs++) {
                    double products[OUTPUTS_MAX * CHANNELS_MAX] = {0}, sums[OUTPUTS_MAX] = {0};
                    tables[t]->product[dtype](&(struct cpu_product){.x = bytes(&plain.x, (enum dtype)dtype),
                                                                    .dy = bytes(&plain.y, (enum dtype)dtype),
                                                                    .pixels = PIXELS,
                                                                    .channels = channels,
                                                                    .outputs = outputs,
                                                                    .products = products,
                                                                    .sums = sums});
                    for (size_t i = 0; i < outputs * channels; i++)
                        assert_true(fabs(products[i] - product_of(&plain, (enum dtype)dtype, channels, outputs, i)) < 1e-4);
                    for (size_t k = 0; k < outputs; k++) {
                        double sum = 0;
                        for (size_t pixel = 0; pixel < PIXELS; pixel++)
                            sum += value(&plain.y, (enum dtype)dtype, pixel * outputs + k);
                        assert_true(fabs(sums[k] - sum) < 1e-4);
                    }
                }
}

static void conversions_are_the_same_bits_for_every_instruction_set(void **state)
{
    (void)state;
    const struct cpu_loops *tables[4];
    size_t count = runnable(tables);
    for (size_t t = 0; t < count; t++)
        for (size_t length = 0; length < 70; length++) {
            prepare(&plain);
            tables[t]->narrow(plain.x.f32, plain.out.bf16, length);
            assert_memory_equal(plain.out.bf16, plain.x.bf16, length * sizeof(uint16_t));
            assert_int_equal(plain.out.bf16[length], 0);
            tables[t]->widen(plain.x.bf16, plain.out.f32, length);
            for (size_t i = 0; i < length; i++)
                assert_true(plain.out.f32[i] == bf16_to_f32(plain.x.bf16[i]));
            assert_true(plain.out.f32[length] == 0);
        }
}

static const struct cpu_loss_loops *loss_table(size_t table)
{
#ifdef __x86_64__
    const struct cpu_loss_loops *const tables[] = {&cpu_loss_loops_plain, &cpu_loss_loops_avx2, &cpu_loss_loops_avx512,
                                                   &cpu_loss_loops_avx512_bf16};
    return tables[table];
#else
    (void)table;
    return &cpu_loss_loops_plain;
#endif
}

/* The focal term of one logit in double precision. */
static double heat_term(double logit, double target, double *gradient)
{
    double p = fmin(fmax(1 / (1 + exp(-logit)), 1e-4), 1 - 1e-4), q = 1 - p;
    if (target > (double)CPU_LOSS_PEAK) {
        *gradient = q * q * (2 * p * log(p) - q);
        return -q * q * log(p);
    }
    double far = pow(1 - target, 4);
    *gradient = far * p * p * (p - 2 * q * log1p(-p));
    return -far * p * p * log1p(-p);
}

static void heat_is_that_of_double_precision_for_every_instruction_set(void **state)
{
    (void)state;
    const struct cpu_loops *tables[4];
    size_t count = runnable(tables);
    float logits[300], targets[300], gradients[301];
    for (size_t i = 0; i < 300; i++) {
        logits[i] = (float)i / 10 - 15;
        targets[i] = i % 7 == 0 ? 1.0f : (float)(i % 50) / 51;
    }
    for (size_t t = 0; t < count; t++)
        for (size_t length = 0; length <= 300; length += length < 40 ? 1 : 65) {
            gradients[length] = 42;
            double sum = 0,
                   found = loss_table(t)->heat[DTYPE_F32](&(struct cpu_heat){
                       .logits = logits, .targets = targets, .gradients = gradients, .count = length, .unit = 0.5f});
            for (size_t i = 0; i < length; i++) {
                double gradient, term = heat_term((double)logits[i], (double)targets[i], &gradient);
                sum += term;
                if (!(fabs(gradient / 2 - (double)gradients[i]) <= 2e-6 * fmax(fabs(gradient), 0.01)))
                    fail_msg("%s, logit %g: gradient %g, not %g", tables[t]->name, (double)logits[i], (double)gradients[i],
                             gradient / 2);
            }
            assert_true(fabs(found - sum) <= 2e-6 * fmax(sum, 1));
            assert_true(gradients[length] == 42); /* nothing is written behind the end */
        }
}

static void rays_are_those_of_double_precision_for_every_instruction_set(void **state)
{
    (void)state;
    const struct cpu_loops *tables[4];
    size_t count = runnable(tables);
    float logits[65], targets[65], gradients[66];
    for (size_t i = 0; i < 65; i++) {
        logits[i] = (float)i / 5 - 5.5f;
        targets[i] = (float)((i * 37) % 60);
    }
    for (size_t t = 0; t < count; t++)
        for (size_t length = 1; length <= 65; length++) {
            double d[65], want[65], largest = 0, smallest = 0, logs = 0;
            for (size_t i = 0; i < length; i++) {
                d[i] = 4 * exp(fmin(fmax((double)logits[i], -4), 6));
                want[i] = fmax((double)targets[i], 0.1);
                largest += fmax(d[i], want[i]);
                smallest += fmin(d[i], want[i]);
                logs += fabs(log(d[i] / want[i]));
            }
            gradients[length] = 42;
            double loss = log(largest / smallest) + 0.2 * logs / (double)length;
            double found = (double)loss_table(t)->rays[DTYPE_F32](&(struct cpu_rays){
                .logits = logits, .targets = targets, .gradients = gradients, .count = length, .share = 2});
            assert_true(fabs(found - loss) <= 3e-6 * loss);
            for (size_t i = 0; i < length; i++) {
                double slope = 0.2 / (double)length * (d[i] > want[i] ? 1 : -1);
                double gradient = 2 * ((d[i] >= want[i] ? d[i] / largest : -d[i] / smallest) + slope);
                if (!(fabs(gradient - (double)gradients[i]) <= 3e-6))
                    fail_msg("%s, ray %zu of %zu: gradient %g, not %g", tables[t]->name, i, length, (double)gradients[i],
                             gradient);
            }
            assert_true(gradients[length] == 42);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_are_the_same_for_every_instruction_set),
        cmocka_unit_test(products_are_those_of_double_precision_for_every_instruction_set),
        cmocka_unit_test(conversions_are_the_same_bits_for_every_instruction_set),
        cmocka_unit_test(heat_is_that_of_double_precision_for_every_instruction_set),
        cmocka_unit_test(rays_are_those_of_double_precision_for_every_instruction_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
