/* AdamW (Loshchilov, Hutter: "Decoupled weight decay regularization", ICLR 2019), the gradient's global norm
 * clipped, then the exponential moving average. */
#include <math.h>

#include "ref_internal.h"

void ref_optimizer_step(const struct device *device, const struct optimizer_step *step)
{
    (void)device;
    const struct optimizer_rates *rates = step->rates;
    double squares = 0;
    for (size_t i = 0; i < step->trained; i++)
        squares += (double)step->gradient[i] * (double)step->gradient[i];
    double norm = sqrt(squares);
    *step->gradient_norm = norm;
    if (!isfinite(norm))
        return;
    double clip = rates->clip_norm > 0 && norm > (double)rates->clip_norm ? (double)rates->clip_norm / norm : 1;
    for (size_t i = 0; i < step->trained; i++) {
        double g = (double)step->gradient[i] * clip, weight = (double)step->weights[i];
        double m = ADAM_BETA1 * (double)step->moment1[i] + (1 - ADAM_BETA1) * g;
        double v = ADAM_BETA2 * (double)step->moment2[i] + (1 - ADAM_BETA2) * g * g;
        if (i < step->decaying)
            weight -= (double)rates->lr * (double)rates->weight_decay * weight;
        weight -= (double)rates->lr * (m / rates->bias_correction1) / (sqrt(v / rates->bias_correction2) + ADAM_EPSILON);
        step->moment1[i] = (float)m;
        step->moment2[i] = (float)v;
        step->weights[i] = (float)weight;
    }
    double keep = (double)rates->average_decay;
    for (size_t i = 0; i < step->count; i++)
        step->average[i] = (float)(keep * (double)step->average[i] + (1 - keep) * (double)step->weights[i]);
}
