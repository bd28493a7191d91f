/* The runtime on the host: streams, events, graphs, memory.  See README.md.
 *
 * A stream is a queue of steps: calls, records of events, waits for records.  Eager streams run each step as it comes.  Lazy
 * ones run when the host waits, and then only what must have happened: whoever forgot to wait for something finds it undone.
 * A capture collects steps instead; a graph is such a list, and launching it queues them again.
 * One thread calls the runtime, as one thread calls a device.
 */
#include "cuda_runtime_api.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#define MEMORY_DEFAULT ((size_t)1 << 30)

struct step {
    std::function<void()> run; /* NULL for the other two kinds */
    cuda_host_event *records = nullptr;
    long record_number = 0;
    cuda_host_event *awaits = nullptr;
    long awaited_number = 0;
};

struct cuda_host_graph {
    std::vector<std::function<void()>> calls;
};

struct cuda_host_stream {
    std::deque<step> steps;
    bool capturing = false, invalid = false;
    cuda_host_graph recording;
};

struct cuda_host_event {
    cuda_host_stream *stream = nullptr; /* of the last record */
    long recorded = 0, happened = 0;    /* numbers of records, in order */
};

static cuda_host_manner manner;
static cuda_host_counts counts;
static cudaError_t last_error;
static std::map<void *, size_t> allocations;
static std::vector<cuda_host_stream *> streams;

static cudaError_t fail(cudaError_t error)
{
    last_error = error;
    return error;
}

void cuda_host_set(const struct cuda_host_manner *wanted)
{
    manner = *wanted;
    size_t held = counts.memory_bytes;
    counts = {};
    counts.memory_bytes = counts.memory_most = held;
}

struct cuda_host_counts cuda_host_count(void)
{
    return counts;
}

bool cuda_host_runs_backwards(void);
bool cuda_host_runs_backwards(void)
{
    return manner.backwards;
}

/* Running -------------------------------------------------------------------------------------------------------- */

static void run_until_recorded(cuda_host_event *event, long number);

static void run_first(cuda_host_stream *stream)
{
    step first = std::move(stream->steps.front());
    stream->steps.pop_front();
    if (first.run)
        first.run();
    if (first.awaits)
        run_until_recorded(first.awaits, first.awaited_number);
    if (first.records && first.records->happened < first.record_number)
        first.records->happened = first.record_number;
}

static void run_until_recorded(cuda_host_event *event, long number)
{
    while (event->happened < number) {
        assert(event->stream && !event->stream->steps.empty());
        run_first(event->stream);
    }
}

static void run_all(cuda_host_stream *stream)
{
    while (!stream->steps.empty())
        run_first(stream);
}

static void put(cuda_host_stream *stream, step added)
{
    stream->steps.push_back(std::move(added));
    if (!manner.lazy)
        run_all(stream);
}

/* A call, queued or written down. */
static void put_call(cuda_host_stream *stream, std::function<void()> call)
{
    if (!stream->capturing) {
        step added;
        added.run = std::move(call);
        put(stream, std::move(added));
        return;
    }
    counts.recorded++;
    stream->recording.calls.push_back(std::move(call));
}

/* What a capture may not hold ends it, as in CUDA. */
static cudaError_t refuse_while_capturing()
{
    for (cuda_host_stream *stream : streams)
        if (stream->capturing) {
            stream->invalid = true;
            return fail(cudaErrorStreamCaptureUnsupported);
        }
    return cudaSuccess;
}

void cuda_host_queue_function(cudaStream_t stream, std::function<void()> call);
void cuda_host_queue_function(cudaStream_t stream, std::function<void()> call)
{
    counts.launches += !stream->capturing;
    put_call(stream, std::move(call));
}

void cuda_host_queue(cudaStream_t stream, void (*run)(void *call), void *call)
{
    std::shared_ptr<void> owned(call, free);
    cuda_host_queue_function(stream, [run, owned] { run(owned.get()); });
}

void cuda_host_launch_failed(cudaError_t error);
void cuda_host_launch_failed(cudaError_t error)
{
    fail(error);
}

/* The device ------------------------------------------------------------------------------------------------------ */

const char *cudaGetErrorString(cudaError_t error)
{
    static char text[64];
    snprintf(text, sizeof text, error == cudaErrorMemoryAllocation ? "out of memory" : "CUDA error %d", (int)error);
    return text;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 1;
    return cudaSuccess;
}

static size_t card_bytes()
{
    return manner.memory_bytes ? manner.memory_bytes : MEMORY_DEFAULT;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    if (device != 0)
        return fail(cudaErrorInvalidValue);
    memset(properties, 0, sizeof *properties);
    snprintf(properties->name, sizeof properties->name, "a GPU imitated on the host");
    properties->totalGlobalMem = card_bytes();
    properties->major = 9;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    if (refuse_while_capturing() != cudaSuccess)
        return cudaErrorStreamCaptureUnsupported;
    if (bytes == 0 || counts.memory_bytes + bytes > card_bytes())
        return fail(cudaErrorMemoryAllocation);
    size_t padded = (bytes + 255) / 256 * 256;
    *memory = aligned_alloc(256, padded);
    memset(*memory, 0xFF, padded); /* not a number, in either type: memory comes as it is */
    allocations[*memory] = bytes;
    counts.memory_bytes += bytes;
    if (counts.memory_bytes > counts.memory_most)
        counts.memory_most = counts.memory_bytes;
    return cudaSuccess;
}

cudaError_t cudaFree(void *memory)
{
    if (refuse_while_capturing() != cudaSuccess)
        return cudaErrorStreamCaptureUnsupported;
    for (cuda_host_stream *stream : streams)
        run_all(stream);
    if (!allocations.count(memory))
        return fail(cudaErrorInvalidValue);
    counts.memory_bytes -= allocations[memory];
    allocations.erase(memory);
    free(memory);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned flags)
{
    (void)flags;
    if (refuse_while_capturing() != cudaSuccess)
        return cudaErrorStreamCaptureUnsupported;
    *memory = malloc(bytes);
    if (*memory)
        memset(*memory, 0xFF, bytes);
    return *memory ? cudaSuccess : fail(cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void *memory)
{
    for (cuda_host_stream *stream : streams)
        run_all(stream);
    free(memory);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *unused, size_t *total)
{
    *total = card_bytes();
    *unused = manner.unused_bytes ? manner.unused_bytes : *total - counts.memory_bytes;
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream)
{
    put_call(stream, [=] { memset(memory, value, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    if (stream->capturing && kind != cudaMemcpyDeviceToDevice) /* CUDA would take pinned memory; steps are to do without */
        return refuse_while_capturing();
    counts.copies += !stream->capturing;
    put_call(stream, [=] { memcpy(to, from, bytes); });
    return cudaSuccess;
}

/* Streams, events, graphs ----------------------------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    (void)flags;
    *stream = new cuda_host_stream;
    streams.push_back(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    run_all(stream);
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == stream)
            streams.erase(streams.begin() + (long)i--);
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    if (refuse_while_capturing() != cudaSuccess)
        return cudaErrorStreamCaptureUnsupported;
    counts.waits++;
    run_all(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    (void)flags;
    if (stream->capturing)
        return refuse_while_capturing();
    step wait;
    wait.awaits = event;
    wait.awaited_number = event->recorded;
    put(stream, std::move(wait));
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    (void)flags;
    *event = new cuda_host_event;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    for (cuda_host_stream *stream : streams)
        run_all(stream);
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    if (stream->capturing)
        return refuse_while_capturing();
    step record;
    event->stream = stream;
    record.records = event;
    record.record_number = ++event->recorded;
    put(stream, std::move(record));
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    if (refuse_while_capturing() != cudaSuccess)
        return cudaErrorStreamCaptureUnsupported;
    counts.waits++;
    run_until_recorded(event, event->recorded);
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    (void)mode;
    if (stream->capturing)
        return fail(cudaErrorInvalidValue);
    stream->capturing = true;
    stream->invalid = manner.cannot_record;
    stream->recording.calls.clear();
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    *graph = nullptr;
    if (!stream->capturing)
        return fail(cudaErrorInvalidValue);
    stream->capturing = false;
    if (stream->invalid)
        return fail(cudaErrorStreamCaptureInvalidated);
    *graph = new cuda_host_graph(std::move(stream->recording));
    stream->recording.calls.clear();
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    (void)flags;
    *exec = new cuda_host_graph(*graph);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    if (refuse_while_capturing() != cudaSuccess)
        return cudaErrorStreamCaptureUnsupported;
    counts.graph_launches++;
    for (const std::function<void()> &call : exec->calls)
        put_call(stream, call);
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    for (cuda_host_stream *stream : streams)
        run_all(stream);
    delete exec;
    return cudaSuccess;
}
