/* The table of "cpu", conversion, and what it says of itself. */
#include "cpu_device.h"

#include <assert.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_internal.h"
#include "host_augment.h"
#include "host_memory.h"

#define CONVERT_SPAN 16384     /* elements a thread takes at a time */
#define UPLOAD_SPAN  (1 << 18) /* bytes a thread takes at a time */

static void close_device(struct device *base)
{
    struct cpu_device *device = cpu_internal_of(base);
    cpu_dnnl_close(device->dnnl);
    host_memory_release(base, device->scratch);
    free(device);
}

static enum code synchronize(const struct device *base, struct failure *why)
{
    struct cpu_device *device = cpu_internal_of(base);
    enum code code = device->failed;
    device->failed = CODE_OK;
    if (code != CODE_OK && why)
        *why = device->why;
    return code;
}

static void convert(const struct device *device, const struct tensor *from, const struct tensor *to)
{
    const struct cpu_loops *loops = cpu_internal_of(device)->loops;
    size_t count = tensor_count(from);
    assert(count == tensor_count(to));
    if (from->dtype == to->dtype) {
        memcpy(to->data, from->data, tensor_bytes(from));
        return;
    }
    size_t spans = (count + CONVERT_SPAN - 1) / CONVERT_SPAN;
#pragma omp parallel for schedule(static) num_threads(device->threads)
    for (size_t k = 0; k < spans; k++) {
        size_t begin = k * CONVERT_SPAN;
        size_t length = count - begin < CONVERT_SPAN ? count - begin : CONVERT_SPAN;
        if (from->dtype == DTYPE_F32)
            loops->narrow((const float *)from->data + begin, (uint16_t *)to->data + begin, length);
        else
            loops->widen((const uint16_t *)from->data + begin, (float *)to->data + begin, length);
    }
}

/* One core alone does not use all of the memory's speed. */
static void upload(const struct device *device, void *to, const void *from_host, size_t bytes)
{
    size_t spans = (bytes + UPLOAD_SPAN - 1) / UPLOAD_SPAN;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (spans > 1)
    for (size_t k = 0; k < spans; k++) {
        size_t begin = k * UPLOAD_SPAN, length = bytes - begin < UPLOAD_SPAN ? bytes - begin : UPLOAD_SPAN;
        memcpy((char *)to + begin, (const char *)from_host + begin, length);
    }
}

static const struct device_operations operations = {
    .close = close_device,
    .allocate = host_memory_allocate,
    .release = host_memory_release,
    .upload = upload,
    .download = host_memory_copy,
    .copy = host_memory_copy,
    .synchronize = synchronize,
    .convert = convert,
    .convolution_create = cpu_convolution_create,
    .convolution_destroy = cpu_convolution_destroy,
    .convolution_set_weights = cpu_convolution_set_weights,
    .convolution_forward = cpu_convolution_forward,
    .convolution_backward_data = cpu_convolution_backward_data,
    .convolution_backward_weights = cpu_convolution_backward_weights,
    .norm_forward = cpu_norm_forward,
    .norm_backward = cpu_norm_backward,
    .norm_fold = cpu_norm_fold,
    .upsample_add = cpu_upsample_add,
    .upsample_backward = cpu_upsample_backward,
    .detection_loss = cpu_loss_detection,
    .optimizer_step = cpu_optimizer_step,
    .augment = host_augment,
};

/* "AMD EPYC" from /proc/cpuinfo; a plain word where that is not to be had. */
static void processor_name(char *out, size_t size)
{
    snprintf(out, size, "processor");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file)
        return;
    char line[256];
    while (fgets(line, sizeof line, file)) {
        const char *name = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (!name)
            continue;
        name += strspn(name, ": ");
        snprintf(out, size, "%.*s", (int)strcspn(name, "\n"), name);
        break;
    }
    fclose(file);
}

static void choose_loops(struct cpu_device *device)
{
    device->loops = &cpu_loops_plain;
    device->loss_loops = &cpu_loss_loops_plain;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        bool bf16 = __builtin_cpu_supports("avx512bf16");
        device->loops = bf16 ? &cpu_loops_avx512_bf16 : &cpu_loops_avx512;
        device->loss_loops = bf16 ? &cpu_loss_loops_avx512_bf16 : &cpu_loss_loops_avx512;
        device->winograd = bf16 ? &cpu_winograd_loops_avx512_bf16 : &cpu_winograd_loops_avx512;
    } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        device->loops = &cpu_loops_avx2;
        device->loss_loops = &cpu_loss_loops_avx2;
    }
#endif
}

enum code cpu_device_open(const struct device_options *options, struct device **out, struct failure *why)
{
    struct cpu_device *device = calloc(1, sizeof *device);
    if (!device)
        return failure_set(why, CODE_NO_MEMORY, "opening device cpu: out of memory");
    enum code code = cpu_dnnl_open(&device->dnnl, why);
    if (code != CODE_OK) {
        free(device);
        return code;
    }
    choose_loops(device);
    char processor[96];
    processor_name(processor, sizeof processor);
    device->base.operations = &operations;
    device->base.threads = options->threads ? options->threads : omp_get_num_procs();
    if (device->base.threads > omp_get_thread_limit()) /* else fewer would come than oneDNN waits for */
        device->base.threads = omp_get_thread_limit();
    device->base.bf16 = cpu_dnnl_has_bf16();
    snprintf(device->base.name, sizeof device->base.name, "cpu");
    snprintf(device->base.description, sizeof device->base.description, "%s, %d thread%s, %s", processor,
             device->base.threads, device->base.threads == 1 ? "" : "s",
             device->base.bf16 ? "bf16 in hardware" : "no bf16 in hardware: computes in f32");
    *out = &device->base;
    return CODE_OK;
}
