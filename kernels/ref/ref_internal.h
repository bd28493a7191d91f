/* The operations of "ref", for its table in ref_device.c alone; contracts in device.h. */
#ifndef CYTOFS_REF_INTERNAL_H
#define CYTOFS_REF_INTERNAL_H

#include "device.h"

static inline double ref_get(enum dtype dtype, const void *data, size_t index)
{
    return dtype == DTYPE_F32 ? (double)((const float *)data)[index] : (double)bf16_to_f32(((const uint16_t *)data)[index]);
}

static inline void ref_set(enum dtype dtype, void *data, size_t index, double value)
{
    if (dtype == DTYPE_F32)
        ((float *)data)[index] = (float)value;
    else
        ((uint16_t *)data)[index] = bf16_from_f32((float)value);
}

enum code ref_convolution_create(const struct device *device, const struct convolution_spec *spec, struct convolution **out,
                                 struct failure *why);
void ref_convolution_destroy(struct convolution *plan);
void ref_convolution_set_weights(struct convolution *plan, const float *weights, const float *scale, const float *bias);
void ref_convolution_forward(struct convolution *plan, const void *x, void *y);
void ref_convolution_backward_data(struct convolution *plan, const void *dy, void *dx);
void ref_convolution_backward_weights(struct convolution *plan, const void *x, const void *dy, float *dweights,
                                      float *dbias);

void ref_norm_forward(const struct device *device, const struct norm_forward *norm);
void ref_norm_backward(const struct device *device, const struct norm_backward *norm);
void ref_norm_fold(const struct device *device, int channels, const float *gamma, const float *beta,
                   const float *running_mean, const float *running_variance, float *scale, float *shift);

void ref_upsample_add(const struct device *device, const struct tensor *coarse, const struct tensor *fine);
void ref_upsample_backward(const struct device *device, const struct tensor *dfine, const struct tensor *dcoarse);

void ref_loss_detection(const struct device *device, const struct detection_loss *loss);
void ref_optimizer_step(const struct device *device, const struct optimizer_step *step);

#endif
