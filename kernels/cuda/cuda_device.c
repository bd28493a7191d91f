/* Opening a GPU, its memory, and the table of operations.  Everything is queued on one stream, so calls keep their order; a
 * kernel's failure shows at the next synchronize, as CUDA has it. */
#include "cuda_device.h"

#include <stdio.h>
#include <stdlib.h>

#include "cuda_internal.h"
#include "cuda_queue.h"

#define ARCHITECTURE_LEAST 80 /* bf16 tensor cores: Ampere and later */

enum code cuda_internal_fail(struct failure *why, const char *doing, cudaError_t error)
{
    return failure_set(why, error == cudaErrorMemoryAllocation ? CODE_NO_MEMORY : CODE_IO, "the GPU, %s: %s", doing,
                       cudaGetErrorString(error));
}

void cuda_internal_note(struct cuda_device *device, enum code code, const struct failure *why)
{
    if (device->failed != CODE_OK)
        return;
    device->failed = code;
    device->why = *why;
}

void cuda_internal_check(struct cuda_device *device, const char *doing, cudaError_t error)
{
    struct failure why;
    if (error != cudaSuccess)
        cuda_internal_note(device, cuda_internal_fail(&why, doing, error), &why);
}

enum code cuda_internal_take_failure(struct cuda_device *device, struct failure *why)
{
    cuda_internal_check(device, "computing", cudaGetLastError());
    enum code code = device->failed;
    if (code != CODE_OK && why)
        *why = device->why;
    device->failed = CODE_OK;
    return code;
}

static void *allocate(const struct device *device, size_t bytes)
{
    void *memory = NULL;
    struct cuda_device *gpu = cuda_internal_of(device);
    if (cudaMalloc(&memory, bytes ? bytes : 1) != cudaSuccess) {
        cudaGetLastError(); /* answered here: the next synchronize must not find it */
        return NULL;
    }
    cuda_internal_check(gpu, "clearing memory", cudaMemsetAsync(memory, 0, bytes, gpu->stream));
    return memory;
}

static void release(const struct device *device, void *memory)
{
    (void)device;
    if (memory)
        cudaFree(memory); /* waits for the work that uses it */
}

bool cuda_internal_reserve(struct cuda_device *device, size_t bytes)
{
    if (bytes <= device->workspace_bytes)
        return true;
    void *larger = allocate(&device->base, bytes);
    if (!larger)
        return false;
    release(&device->base, device->workspace);
    device->workspace = larger;
    device->workspace_bytes = bytes;
    return true;
}

static void upload(const struct device *device, void *to, const void *from_host, size_t bytes)
{
    struct cuda_device *gpu = cuda_internal_of(device);
    cuda_internal_check(gpu, "sending data", cudaMemcpyAsync(to, from_host, bytes, cudaMemcpyHostToDevice, gpu->stream));
    cuda_internal_check(gpu, "sending data",
                        cudaStreamSynchronize(gpu->stream)); /* the caller may change its memory at once */
}

static void download(const struct device *device, void *to_host, const void *from, size_t bytes)
{
    struct cuda_device *gpu = cuda_internal_of(device);
    cuda_internal_check(gpu, "fetching data", cudaMemcpyAsync(to_host, from, bytes, cudaMemcpyDeviceToHost, gpu->stream));
    cuda_internal_check(gpu, "fetching data", cudaStreamSynchronize(gpu->stream));
}

static void copy(const struct device *device, void *to, const void *from, size_t bytes)
{
    struct cuda_device *gpu = cuda_internal_of(device);
    cuda_internal_check(gpu, "copying", cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, gpu->stream));
}

static enum code synchronize(const struct device *device, struct failure *why)
{
    struct cuda_device *gpu = cuda_internal_of(device);
    cuda_internal_check(gpu, "computing", cudaStreamSynchronize(gpu->stream));
    return cuda_internal_take_failure(gpu, why);
}

static void convert(const struct device *device, const struct tensor *from, const struct tensor *to)
{
    cuda_layout_convert(cuda_internal_of(device)->stream, from, to);
}

static void norm_forward(const struct device *device, const struct norm_forward *norm)
{
    cuda_norm_forward(cuda_internal_of(device)->stream, norm, cuda_internal_of(device)->scratch);
}

static void norm_backward(const struct device *device, const struct norm_backward *norm)
{
    cuda_norm_backward(cuda_internal_of(device)->stream, norm, cuda_internal_of(device)->scratch);
}

static void norm_fold(const struct device *device, int channels, const float *gamma, const float *beta,
                      const float *running_mean, const float *running_variance, float *scale, float *shift)
{
    cuda_norm_fold(cuda_internal_of(device)->stream, channels, gamma, beta, running_mean, running_variance, scale, shift);
}

static void upsample_add(const struct device *device, const struct tensor *coarse, const struct tensor *fine)
{
    cuda_layout_upsample_add(cuda_internal_of(device)->stream, coarse, fine);
}

static void upsample_backward(const struct device *device, const struct tensor *dfine, const struct tensor *dcoarse)
{
    cuda_layout_upsample_backward(cuda_internal_of(device)->stream, dfine, dcoarse);
}

static void detection_loss(const struct device *device, const struct detection_loss *loss)
{
    cuda_loss_detection(cuda_internal_of(device)->stream, loss, cuda_internal_of(device)->scratch);
}

static void optimizer_step(const struct device *device, const struct optimizer_step *step)
{
    cuda_optimizer_step(cuda_internal_of(device)->stream, step, cuda_internal_of(device)->scratch);
}

static void augment(const struct device *device, const struct augmentation_crop *crops, const struct tensor *x)
{
    cuda_augment(cuda_internal_of(device)->stream, crops, x);
}

static void close_device(struct device *device)
{
    struct cuda_device *gpu = cuda_internal_of(device);
    cuda_queue_close(gpu);
    cuda_library_close(gpu->library);
    release(device, gpu->scratch);
    release(device, gpu->workspace);
    if (gpu->stream)
        cudaStreamDestroy(gpu->stream);
    free(gpu);
}

static const struct device_operations operations = {
    .close = close_device,
    .allocate = allocate,
    .release = release,
    .upload = upload,
    .download = download,
    .copy = copy,
    .synchronize = synchronize,
    .convert = convert,
    .convolution_create = cuda_convolution_create,
    .convolution_destroy = cuda_convolution_destroy,
    .convolution_set_weights = cuda_convolution_set_weights,
    .convolution_forward = cuda_convolution_forward,
    .convolution_backward_data = cuda_convolution_backward_data,
    .convolution_backward_weights = cuda_convolution_backward_weights,
    .norm_forward = norm_forward,
    .norm_backward = norm_backward,
    .norm_fold = norm_fold,
    .upsample_add = upsample_add,
    .upsample_backward = upsample_backward,
    .detection_loss = detection_loss,
    .optimizer_step = optimizer_step,
    .augment = augment,
    .queue = &cuda_queue_operations,
};

static enum code check_gpu(struct cudaDeviceProp *properties, struct failure *why)
{
    int count = 0, driver = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
        return failure_set(why, CODE_UNSUPPORTED, "there is no GPU here that CUDA can use (no NVIDIA driver is installed)");
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count == 0)
        return failure_set(why, CODE_UNSUPPORTED, "there is no GPU here that CUDA can use (%s)",
                           error == cudaSuccess ? "none is visible" : cudaGetErrorString(error));
    error = cudaGetDeviceProperties(properties, 0);
    if (error != cudaSuccess)
        return cuda_internal_fail(why, "asking for its properties", error);
    if (properties->major * 10 + properties->minor < ARCHITECTURE_LEAST)
        return failure_set(why, CODE_UNSUPPORTED, "the GPU %s is too old (compute capability %d.%d, 8.0 is needed)",
                           properties->name, properties->major, properties->minor);
    return CODE_OK;
}

static enum code prepare(struct cuda_device *gpu, struct failure *why)
{
    cudaError_t error = cudaStreamCreateWithFlags(&gpu->stream, cudaStreamNonBlocking);
    if (error != cudaSuccess)
        return cuda_internal_fail(why, "opening it", error);
    enum code code = cuda_queue_open(gpu, why);
    if (code != CODE_OK)
        return code;
    gpu->scratch = allocate(&gpu->base, CUDA_REDUCE_SCRATCH_BYTES);
    if (!gpu->scratch)
        return failure_set(why, CODE_NO_MEMORY, "opening the GPU: it has no memory left");
    return cuda_library_open(gpu->stream, NULL, &gpu->library, why);
}

enum code cuda_device_open(const struct device_options *options, struct device **out, struct failure *why)
{
    struct cudaDeviceProp properties;
    enum code code = check_gpu(&properties, why);
    if (code != CODE_OK)
        return code;
    struct cuda_device *gpu = calloc(1, sizeof *gpu);
    if (!gpu)
        return failure_set(why, CODE_NO_MEMORY, "opening the GPU: out of memory");
    gpu->base = (struct device){.operations = &operations, .bf16 = true, .threads = options->threads ? options->threads : 1};
    snprintf(gpu->base.name, sizeof gpu->base.name, "cuda");
    snprintf(gpu->base.description, sizeof gpu->base.description, "%.100s, %zu GiB, compute capability %d.%d",
             properties.name, properties.totalGlobalMem >> 30, properties.major, properties.minor);
    code = prepare(gpu, why);
    if (code != CODE_OK) {
        close_device(&gpu->base);
        return code;
    }
    *out = &gpu->base;
    return CODE_OK;
}
