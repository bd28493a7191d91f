/* The table of "ref", its memory (the host's), and conversion. */
#include "ref_device.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref_internal.h"

static void close_device(struct device *device)
{
    free(device);
}

static void *allocate(const struct device *device, size_t bytes)
{
    (void)device;
    if (bytes > SIZE_MAX - 64)
        return NULL;
    size_t padded = (bytes + 63) / 64 * 64;
    void *memory = aligned_alloc(64, padded ? padded : 64);
    if (memory)
        memset(memory, 0, padded);
    return memory;
}

static void release(const struct device *device, void *memory)
{
    (void)device;
    free(memory);
}

static void copy(const struct device *device, void *to, const void *from, size_t bytes)
{
    (void)device;
    memcpy(to, from, bytes);
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
    .allocate = allocate,
    .release = release,
    .upload = copy,
    .download = copy,
    .copy = copy,
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
};

enum code ref_device_open(const struct device_options *options, struct device **out, struct failure *why)
{
    (void)options;
    struct device *device = calloc(1, sizeof *device);
    if (!device)
        return failure_set(why, CODE_NO_MEMORY, "opening device ref: out of memory");
    device->operations = &operations;
    snprintf(device->name, sizeof device->name, "ref");
    snprintf(device->description, sizeof device->description,
             "plain loops, one thread, for tests; bf16 by rounding");
    device->bf16 = true;
    device->threads = 1;
    *out = device;
    return CODE_OK;
}
