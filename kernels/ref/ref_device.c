/* The table of "ref", and conversion. */
#include "ref_device.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "host_augment.h"
#include "host_memory.h"
#include "ref_internal.h"

static void close_device(struct device *device)
{
    free(device);
}

static enum code synchronize(const struct device *device, struct failure *why)
{
    (void)device;
    (void)why;
    return CODE_OK; /* plain loops cannot fail */
}

static void convert(const struct device *device, const struct tensor *from, const struct tensor *to)
{
    (void)device;
    assert(tensor_count(from) == tensor_count(to));
    for (size_t i = 0; i < tensor_count(from); i++)
        ref_set(to->dtype, to->data, i, ref_get(from->dtype, from->data, i));
}

static const struct device_operations operations = {
    .close = close_device,
    .allocate = host_memory_allocate,
    .release = host_memory_release,
    .upload = host_memory_copy,
    .download = host_memory_copy,
    .copy = host_memory_copy,
    .synchronize = synchronize,
    .convert = convert,
    .convolution_create = ref_convolution_create,
    .convolution_destroy = ref_convolution_destroy,
    .convolution_set_weights = ref_convolution_set_weights,
    .convolution_forward = ref_convolution_forward,
    .convolution_backward_data = ref_convolution_backward_data,
    .convolution_backward_weights = ref_convolution_backward_weights,
    .norm_forward = ref_norm_forward,
    .norm_backward = ref_norm_backward,
    .norm_fold = ref_norm_fold,
    .upsample_add = ref_upsample_add,
    .upsample_backward = ref_upsample_backward,
    .detection_loss = ref_loss_detection,
    .optimizer_step = ref_optimizer_step,
    .augment = host_augment,
};

enum code ref_device_open(const struct device_options *options, struct device **out, struct failure *why)
{
    (void)options;
    struct device *device = calloc(1, sizeof *device);
    if (!device)
        return failure_set(why, CODE_NO_MEMORY, "opening device ref: out of memory");
    device->operations = &operations;
    snprintf(device->name, sizeof device->name, "ref");
    snprintf(device->description, sizeof device->description, "plain loops, one thread, for tests; bf16 by rounding");
    device->bf16 = true;
    device->threads = 1;
    *out = device;
    return CODE_OK;
}
