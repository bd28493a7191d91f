/* AdamW with clipping and the moving average, in one pass over the slab after one for the norm.  See
 * ref_optimizer.c. */
#include <math.h>

#include "cpu_internal.h"

#define SPAN 4096 /* floats a thread takes at a time */

static double gradient_norm(struct cpu_device *device, const float *gradient, size_t count)
{
    double *partial = &device->partial[0][0][0];
    size_t room = sizeof device->partial / sizeof *partial, span = SPAN;
    while ((count + span - 1) / span > room)
        span *= 2;
    size_t spans = (count + span - 1) / span;
#pragma omp parallel for schedule(static) num_threads(device->base.threads)
    for (size_t k = 0; k < spans; k++)
        partial[k] = device->loops->sum_squares(gradient + k * span, k + 1 < spans ? span : count - k * span);
    double sum = 0;
    for (size_t k = 0; k < spans; k++)
        sum += partial[k];
    return sqrt(sum);
}

static void train(const struct cpu_device *device, const struct optimizer_step *step, size_t begin, size_t end, float clip,
                  float weight_decay)
{
    size_t spans = (end - begin + SPAN - 1) / SPAN;
#pragma omp parallel for schedule(static) num_threads(device->base.threads)
    for (size_t k = 0; k < spans; k++) {
        size_t first = begin + k * SPAN;
        device->loops->train(&(struct cpu_training){.weights = step->weights + first,
                                                    .average = step->average + first,
                                                    .moment1 = step->moment1 + first,
                                                    .moment2 = step->moment2 + first,
                                                    .gradient = step->gradient + first,
                                                    .count = end - first < SPAN ? end - first : SPAN,
                                                    .clip = clip,
                                                    .decay = step->rates->lr * weight_decay,
                                                    .lr = (float)((double)step->rates->lr / step->rates->bias_correction1),
                                                    .correction2 = (float)(1 / sqrt(step->rates->bias_correction2)),
                                                    .keep = step->rates->average_decay});
    }
}

void cpu_optimizer_step(const struct device *base, const struct optimizer_step *step)
{
    struct cpu_device *device = cpu_internal_of(base);
    double norm = gradient_norm(device, step->gradient, step->trained);
    *step->gradient_norm = norm;
    if (!isfinite(norm))
        return;
    float clip = step->rates->clip_norm > 0 && norm > (double)step->rates->clip_norm
                     ? (float)((double)step->rates->clip_norm / norm)
                     : 1.0f;
    train(device, step, 0, step->decaying, clip, step->rates->weight_decay);
    train(device, step, step->decaying, step->trained, clip, 0.0f);
    for (size_t i = step->trained; i < step->count; i++)
        step->average[i] =
            step->rates->average_decay * step->average[i] + (1 - step->rates->average_decay) * step->weights[i];
}
