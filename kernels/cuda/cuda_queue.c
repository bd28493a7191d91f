/* Steps ahead of the host (device.h): three streams and, a slot each, three events.
 *
 *     feeding:    copy ... --fed-->
 *     computing:                   wait for fed, step --computed-->
 *     fetching:                                                    wait for computed, copy results --fetched--> (the host)
 *
 * A slot's memory is free when `fetched` has happened.  A recording is a CUDA graph, captured from the computing stream:
 * what it may not hold (memory, transfers to the host, waiting) makes the capture fail, which leaves the stream as it was.
 */
#include "cuda_queue.h"

#include <stdlib.h>
#include <string.h>

struct device_recording {
    cudaGraphExec_t graph;
};

enum code cuda_queue_open(struct cuda_device *gpu, struct failure *why)
{
    cudaError_t error = cudaStreamCreateWithFlags(&gpu->feeding, cudaStreamNonBlocking);
    if (error == cudaSuccess)
        error = cudaStreamCreateWithFlags(&gpu->fetching, cudaStreamNonBlocking);
    for (int i = 0; i < DEVICE_SLOTS && error == cudaSuccess; i++) {
        struct cuda_slot *slot = &gpu->slots[i];
        error = cudaEventCreateWithFlags(&slot->fed, cudaEventDisableTiming);
        if (error == cudaSuccess)
            error = cudaEventCreateWithFlags(&slot->computed, cudaEventDisableTiming);
        if (error == cudaSuccess)
            error = cudaEventCreateWithFlags(&slot->fetched, cudaEventDisableTiming | cudaEventBlockingSync);
    }
    return error == cudaSuccess ? CODE_OK : cuda_internal_fail(why, "opening its queues", error);
}

void cuda_queue_close(struct cuda_device *gpu)
{
    for (int i = 0; i < DEVICE_SLOTS; i++) {
        const cudaEvent_t events[] = {gpu->slots[i].fed, gpu->slots[i].computed, gpu->slots[i].fetched};
        for (size_t k = 0; k < sizeof events / sizeof *events; k++)
            if (events[k])
                cudaEventDestroy(events[k]);
    }
    if (gpu->feeding)
        cudaStreamDestroy(gpu->feeding);
    if (gpu->fetching)
        cudaStreamDestroy(gpu->fetching);
}

static void *host_allocate(const struct device *device, size_t bytes)
{
    (void)device;
    void *memory = NULL;
    if (cudaHostAlloc(&memory, bytes ? bytes : 1, cudaHostAllocDefault) != cudaSuccess) {
        cudaGetLastError(); /* answered here */
        return NULL;
    }
    memset(memory, 0, bytes);
    return memory;
}

static void host_release(const struct device *device, void *memory)
{
    (void)device;
    if (memory)
        cudaFreeHost(memory);
}

static void feed(const struct device *device, int slot, void *to, const void *from_host, size_t bytes)
{
    (void)slot;
    struct cuda_device *gpu = cuda_internal_of(device);
    cuda_internal_check(gpu, "sending a step's data",
                        cudaMemcpyAsync(to, from_host, bytes, cudaMemcpyHostToDevice, gpu->feeding));
}

static void begin(const struct device *device, int slot)
{
    struct cuda_device *gpu = cuda_internal_of(device);
    cuda_internal_check(gpu, "queueing a step", cudaEventRecord(gpu->slots[slot].fed, gpu->feeding));
    cuda_internal_check(gpu, "queueing a step", cudaStreamWaitEvent(gpu->stream, gpu->slots[slot].fed, 0));
}

static void end(const struct device *device, int slot, void *to_host, const void *from, size_t bytes)
{
    struct cuda_device *gpu = cuda_internal_of(device);
    const struct cuda_slot *own = &gpu->slots[slot];
    cuda_internal_check(gpu, "queueing a step", cudaEventRecord(own->computed, gpu->stream));
    cuda_internal_check(gpu, "queueing a step", cudaStreamWaitEvent(gpu->fetching, own->computed, 0));
    cuda_internal_check(gpu, "fetching a step's results",
                        cudaMemcpyAsync(to_host, from, bytes, cudaMemcpyDeviceToHost, gpu->fetching));
    cuda_internal_check(gpu, "queueing a step", cudaEventRecord(own->fetched, gpu->fetching));
}

static enum code wait(const struct device *device, int slot, struct failure *why)
{
    struct cuda_device *gpu = cuda_internal_of(device);
    /* An event that was never recorded counts as past. */
    cuda_internal_check(gpu, "computing", cudaEventSynchronize(gpu->slots[slot].fetched));
    return cuda_internal_take_failure(gpu, why);
}

static enum code record_begin(const struct device *device, struct failure *why)
{
    struct cuda_device *gpu = cuda_internal_of(device);
    enum code code = cuda_internal_take_failure(gpu, why); /* an older failure is not the recording's */
    if (code != CODE_OK)
        return code;
    /* Thread-local: what other threads of the program call does not end the capture. */
    cudaError_t error = cudaStreamBeginCapture(gpu->stream, cudaStreamCaptureModeThreadLocal);
    return error == cudaSuccess ? CODE_OK : cuda_internal_fail(why, "recording a step", error);
}

static enum code record_end(const struct device *device, struct device_recording **out, struct failure *why)
{
    struct cuda_device *gpu = cuda_internal_of(device);
    cudaGraph_t graph = NULL;
    cudaError_t error = cudaStreamEndCapture(gpu->stream, &graph);
    enum code code = cuda_internal_take_failure(gpu, why);
    if (code == CODE_OK && error != cudaSuccess)
        code = cuda_internal_fail(why, "recording a step", error);
    struct device_recording *recording = code == CODE_OK ? calloc(1, sizeof *recording) : NULL;
    if (code == CODE_OK && !recording)
        code = failure_set(why, CODE_NO_MEMORY, "recording a step: out of memory");
    if (code == CODE_OK) {
        error = cudaGraphInstantiate(&recording->graph, graph, 0);
        if (error != cudaSuccess)
            code = cuda_internal_fail(why, "preparing a recorded step", error);
    }
    if (graph)
        cudaGraphDestroy(graph);
    if (code != CODE_OK) {
        free(recording);
        cudaGetLastError(); /* said: the calls that follow instead must not find it */
        return code;
    }
    *out = recording;
    return CODE_OK;
}

static void replay(const struct device *device, struct device_recording *recording)
{
    struct cuda_device *gpu = cuda_internal_of(device);
    cuda_internal_check(gpu, "replaying a step", cudaGraphLaunch(recording->graph, gpu->stream));
}

static void recording_destroy(struct device_recording *recording)
{
    if (!recording)
        return;
    cudaGraphExecDestroy(recording->graph);
    free(recording);
}

static size_t memory_free(const struct device *device)
{
    (void)device;
    size_t unused = 0, total = 0;
    if (cudaMemGetInfo(&unused, &total) != cudaSuccess) {
        cudaGetLastError();
        return 0;
    }
    return unused;
}

const struct device_queue_operations cuda_queue_operations = {
    .host_allocate = host_allocate,
    .host_release = host_release,
    .feed = feed,
    .begin = begin,
    .end = end,
    .wait = wait,
    .record_begin = record_begin,
    .record_end = record_end,
    .replay = replay,
    .recording_destroy = recording_destroy,
    .memory_free = memory_free,
};
