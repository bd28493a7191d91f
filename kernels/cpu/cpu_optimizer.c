/* AdamW with clipping and the moving average, in one pass over the slab after one for the norm.  See ref_optimizer.c. */
#include <math.h>

#include "cpu_internal.h"
#include "cpu_vector.h"

#define NORM_SPAN 4096 /* floats summed at a time */

/* What one step does to a range of the slab. */
struct range {
    float *restrict weights, *restrict average, *restrict moment1, *restrict moment2;
    const float *restrict gradient;
    size_t begin, end;
    float clip, decay, lr, correction2, keep;
};

VECTORISED static double sum_squares(const float *values, size_t count)
{
    double lanes[CPU_LANES] = {0}, sum = 0;
    size_t whole = count / CPU_LANES * CPU_LANES;
    for (size_t i = 0; i < whole; i += CPU_LANES)
        for (size_t k = 0; k < CPU_LANES; k++)
            lanes[k] += (double)values[i + k] * (double)values[i + k];
    for (size_t i = whole; i < count; i++)
        lanes[0] += (double)values[i] * (double)values[i];
    for (size_t k = 0; k < CPU_LANES; k++)
        sum += lanes[k];
    return sum;
}

VECTORISED static void train_range(const struct range *range)
{
    const float beta1 = (float)ADAM_BETA1, beta2 = (float)ADAM_BETA2;
    const float rest1 = (float)(1 - ADAM_BETA1), rest2 = (float)(1 - ADAM_BETA2), epsilon = (float)ADAM_EPSILON;
    float *restrict weights = range->weights, *restrict average = range->average;
    float *restrict moment1 = range->moment1, *restrict moment2 = range->moment2;
    const float *restrict gradient = range->gradient;
    const float clip = range->clip, decay = range->decay, lr = range->lr, keep = range->keep;
    const float correction2 = range->correction2;
    for (size_t i = range->begin; i < range->end; i++) {
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

static double gradient_norm(const struct cpu_device *device, const float *gradient, size_t count)
{
    double *partial = (double *)device->partial; /* room for CPU_CHUNKS_MAX * 2 * DEVICE_CHANNELS_MAX sums */
    size_t spans = (count + NORM_SPAN - 1) / NORM_SPAN, room = sizeof device->partial / sizeof *partial;
    size_t span = NORM_SPAN;
    for (; spans > room; spans = (count + span - 1) / span)
        span *= 2;
#pragma omp parallel for schedule(static) num_threads(device->base.threads)
    for (size_t k = 0; k < spans; k++)
        partial[k] = sum_squares(gradient + k * span, k + 1 < spans ? span : count - k * span);
    double sum = 0;
    for (size_t k = 0; k < spans; k++)
        sum += partial[k];
    return sqrt(sum);
}

static void train(const struct device *device, const struct optimizer_step *step, size_t begin, size_t end,
                  float clip, float weight_decay)
{
    long spans = (long)((end - begin + NORM_SPAN - 1) / NORM_SPAN);
#pragma omp parallel for schedule(static) num_threads(device->threads)
    for (long k = 0; k < spans; k++) {
        size_t first = begin + (size_t)k * NORM_SPAN;
        struct range range = {.weights = step->weights, .average = step->average, .moment1 = step->moment1,
                              .moment2 = step->moment2, .gradient = step->gradient, .begin = first,
                              .end = first + NORM_SPAN < end ? first + NORM_SPAN : end, .clip = clip,
                              .decay = step->lr * weight_decay, .lr = (float)((double)step->lr / step->bias_correction1),
                              .correction2 = (float)(1 / sqrt(step->bias_correction2)), .keep = step->average_decay};
        train_range(&range);
    }
}

void cpu_optimizer_step(const struct device *device, const struct optimizer_step *step)
{
    double norm = gradient_norm(cpu_internal_of(device), step->gradient, step->trained);
    *step->gradient_norm = norm;
    if (!isfinite(norm))
        return;
    float clip =
        step->clip_norm > 0 && norm > (double)step->clip_norm ? (float)((double)step->clip_norm / norm) : 1.0f;
    train(device, step, 0, step->decaying, clip, step->weight_decay);
    train(device, step, step->decaying, step->trained, clip, 0.0f);
    for (size_t i = step->trained; i < step->count; i++)
        step->average[i] = step->average_decay * step->average[i] + (1 - step->average_decay) * step->weights[i];
}
