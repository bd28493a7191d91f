/* The detection loss and its gradient, formula by formula as in the README of kernels/device. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "ref_internal.h"

#define HEAT_CLAMP       1e-4
#define DISTANCE_UNIT    4.0 /* px: d = 4 exp(z) */
#define EXPONENT_MIN     -4.0
#define EXPONENT_MAX     6.0
#define PEAK_THRESHOLD   0.999f
#define BOX_FACTOR       2.0 /* total = heat + 2 box + rays */
#define RAY_LOG_FACTOR   0.2
#define RAY_TARGET_FLOOR 0.1 /* px */

static double heat_loss(const struct detection_loss *loss)
{
    size_t count = tensor_count(&loss->heat);
    size_t peaks = 0;
    for (size_t i = 0; i < count; i++)
        peaks += loss->heat_target[i] > PEAK_THRESHOLD;
    double unit = 1.0 / (double)(peaks ? peaks : 1), sum = 0;
    for (size_t i = 0; i < count; i++) {
        double x = ref_get(DTYPE_F32, loss->heat.data, i), t = (double)loss->heat_target[i];
        double p = fmin(fmax(1 / (1 + exp(-x)), HEAT_CLAMP), 1 - HEAT_CLAMP);
        double gradient;
        if (loss->heat_target[i] > PEAK_THRESHOLD) {
            sum -= (1 - p) * (1 - p) * log(p);
            gradient = (1 - p) * (1 - p) * (2 * p * log(p) - (1 - p));
        } else {
            double far = pow(1 - t, 4);
            sum -= far * p * p * log(1 - p);
            gradient = far * p * p * (p - 2 * (1 - p) * log(1 - p));
        }
        ref_set(loss->dheat.dtype, loss->dheat.data, i, gradient * unit);
    }
    return sum * unit;
}

static double distance(const struct tensor *logits, size_t index)
{
    double z = ref_get(DTYPE_F32, logits->data, index);
    return DISTANCE_UNIT * exp(fmin(fmax(z, EXPONENT_MIN), EXPONENT_MAX));
}

static double total_weight(const float *weight, size_t cells)
{
    double total = 0;
    for (size_t i = 0; i < cells; i++)
        total += (double)weight[i];
    return total;
}

/* -ln((I + 1) / (U + 1)) of one cell; d and target are l, t, r, b.  gradient is with regard to d. */
static double box_cell(const double d[4], const float target[4], double gradient[4])
{
    double inner[4];
    for (int k = 0; k < 4; k++)
        inner[k] = fmin(d[k], (double)target[k]);
    double intersection = (inner[0] + inner[2]) * (inner[1] + inner[3]);
    double area = (d[0] + d[2]) * (d[1] + d[3]);
    double area_target = ((double)target[0] + (double)target[2]) * ((double)target[1] + (double)target[3]);
    double together = area + area_target - intersection;
    for (int k = 0; k < 4; k++) {
        int side = (k + 1) % 4, opposite = (k + 3) % 4; /* the two distances of the other axis */
        double dI = d[k] < (double)target[k] ? inner[side] + inner[opposite] : 0;
        double dU = d[side] + d[opposite] - dI;
        gradient[k] = -dI / (intersection + 1) + dU / (together + 1);
    }
    return -log((intersection + 1) / (together + 1));
}

static double box_loss(const struct detection_loss *loss)
{
    size_t cells = tensor_pixels(&loss->box);
    double weights = total_weight(loss->box_weight, cells), sum = 0;
    for (size_t cell = 0; cell < cells; cell++) {
        double d[4], gradient[4] = {0}, share = 0;
        if (loss->box_weight[cell] > 0) {
            share = (double)loss->box_weight[cell] / weights;
            for (size_t k = 0; k < 4; k++)
                d[k] = distance(&loss->box, cell * 4 + k);
            sum += share * box_cell(d, loss->box_target + cell * 4, gradient);
            for (size_t k = 0; k < 4; k++)
                gradient[k] *= d[k];
        }
        for (size_t k = 0; k < 4; k++)
            ref_set(loss->dbox.dtype, loss->dbox.data, cell * 4 + k, BOX_FACTOR * share * gradient[k]);
    }
    return sum;
}

static double ray_cell(const struct detection_loss *loss, size_t cell, double share)
{
    size_t rays = (size_t)loss->rays.c;
    double largest = 0, smallest = 0, logs = 0;
    for (size_t k = cell * rays; k < (cell + 1) * rays; k++) {
        double d = distance(&loss->rays, k), target = fmax((double)loss->ray_target[k], RAY_TARGET_FLOOR);
        largest += fmax(d, target);
        smallest += fmin(d, target);
        logs += fabs(log(d) - log(target));
    }
    for (size_t k = cell * rays; k < (cell + 1) * rays; k++) {
        double d = distance(&loss->rays, k), target = fmax((double)loss->ray_target[k], RAY_TARGET_FLOOR);
        double gradient = d >= target ? d / largest : -d / smallest;
        double sign = d > target ? 1 : d < target ? -1 : 0;
        gradient += RAY_LOG_FACTOR * sign / (double)rays;
        ref_set(loss->drays.dtype, loss->drays.data, k, share * gradient);
    }
    return log(largest / smallest) + RAY_LOG_FACTOR * logs / (double)rays;
}

static double ray_loss(const struct detection_loss *loss)
{
    size_t cells = tensor_pixels(&loss->rays);
    double weights = total_weight(loss->ray_weight, cells), sum = 0;
    memset(loss->drays.data, 0, tensor_bytes(&loss->drays));
    for (size_t cell = 0; cell < cells; cell++) {
        double share = loss->ray_weight[cell] > 0 ? (double)loss->ray_weight[cell] / weights : 0;
        if (share > 0)
            sum += share * ray_cell(loss, cell, share);
    }
    return sum;
}

void ref_loss_detection(const struct device *device, const struct detection_loss *loss)
{
    (void)device;
    assert(loss->heat.dtype == DTYPE_F32 && loss->box.dtype == DTYPE_F32 && loss->box.c == 4);
    loss->terms[0] = heat_loss(loss);
    loss->terms[1] = box_loss(loss);
    loss->terms[2] = loss->rays.data ? ray_loss(loss) : 0;
}
