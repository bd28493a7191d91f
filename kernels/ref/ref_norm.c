/* Batch normalisation (Ioffe, Szegedy: "Batch Normalization", ICML 2015) with what surrounds it in a residual
 * block. With g the masked gradient of y and h = (x - mean) * inverse deviation: dbeta = sum g, dgamma = sum
 * g h, dx = gamma * inverse deviation * (g - dbeta / count - h * dgamma / count). */
#include <assert.h>
#include <math.h>

#include "ref_internal.h"

void ref_norm_forward(const struct device *device, const struct norm_forward *norm)
{
    (void)device;
    size_t channels = (size_t)norm->x.c, pixels = tensor_pixels(&norm->x);
    for (size_t c = 0; c < channels; c++) {
        double sum = 0, squares = 0;
        for (size_t p = 0; p < pixels; p++)
            sum += ref_get(norm->x.dtype, norm->x.data, p * channels + c);
        double mean = sum / (double)pixels;
        for (size_t p = 0; p < pixels; p++) {
            double distance = ref_get(norm->x.dtype, norm->x.data, p * channels + c) - mean;
            squares += distance * distance;
        }
        double variance = squares / (double)pixels;
        double unbiased = pixels > 1 ? squares / (double)(pixels - 1) : variance;
        norm->running_mean[c] += NORM_MOMENTUM * ((float)mean - norm->running_mean[c]);
        norm->running_variance[c] += NORM_MOMENTUM * ((float)unbiased - norm->running_variance[c]);
        norm->mean[c] = (float)mean;
        norm->inverse_deviation[c] = (float)(1 / sqrt(variance + (double)NORM_EPSILON));
        for (size_t i = c; i < pixels * channels; i += channels) {
            double value = (ref_get(norm->x.dtype, norm->x.data, i) - (double)norm->mean[c]) *
                               (double)norm->inverse_deviation[c] * (double)norm->gamma[c] +
                           (double)norm->beta[c];
            if (norm->residual)
                value += ref_get(norm->residual->dtype, norm->residual->data, i);
            ref_set(norm->y.dtype, norm->y.data, i, norm->relu && value < 0 ? 0 : value);
        }
    }
}

void ref_norm_backward(const struct device *device, const struct norm_backward *norm)
{
    (void)device;
    assert(norm->gradient_count >= 1 && norm->gradient_count <= GRADIENT_SUMMANDS_MAX);
    size_t channels = (size_t)norm->x.c, pixels = tensor_pixels(&norm->x);
    enum dtype dtype = norm->gradients[0].dtype;
    void *masked = norm->gradients[0].data;
    for (size_t c = 0; c < channels; c++) {
        double mean = (double)norm->mean[c], inverse = (double)norm->inverse_deviation[c];
        double dbeta = 0, dgamma = 0;
        for (size_t i = c; i < pixels * channels; i += channels) {
            double g = 0;
            for (int k = 0; k < norm->gradient_count; k++)
                g += ref_get(norm->gradients[k].dtype, norm->gradients[k].data, i);
            if (norm->relu && !(ref_get(norm->y.dtype, norm->y.data, i) > 0))
                g = 0;
            ref_set(dtype, masked, i, g);
            g = ref_get(dtype, masked, i);
            dbeta += g;
            dgamma += g * (ref_get(norm->x.dtype, norm->x.data, i) - mean) * inverse;
        }
        norm->dbeta[c] = (float)dbeta;
        norm->dgamma[c] = (float)dgamma;
        for (size_t i = c; i < pixels * channels; i += channels) {
            double h = (ref_get(norm->x.dtype, norm->x.data, i) - mean) * inverse;
            double g = ref_get(dtype, masked, i);
            ref_set(norm->dx.dtype, norm->dx.data, i,
                    (double)norm->gamma[c] * inverse * (g - dbeta / (double)pixels - h * dgamma / (double)pixels));
        }
    }
}

void ref_norm_fold(const struct device *device, int channels, const float *gamma, const float *beta,
                   const float *running_mean, const float *running_variance, float *scale, float *shift)
{
    (void)device;
    for (int c = 0; c < channels; c++) {
        double factor = (double)gamma[c] / sqrt((double)running_variance[c] + (double)NORM_EPSILON);
        scale[c] = (float)factor;
        shift[c] = (float)((double)beta[c] - (double)running_mean[c] * factor);
    }
}
