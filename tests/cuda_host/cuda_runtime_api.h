/* Stands in for CUDA's header of this name where the files of kernels/cuda are compiled for the host: the part of the
 * runtime that they use, with CUDA's names, and what the tests may ask of it besides.  README.md says what is imitated, and
 * what not. */
#ifndef CYTOFS_CUDA_RUNTIME_API_H
#define CYTOFS_CUDA_RUNTIME_API_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidResourceHandle = 400,
    cudaErrorIllegalAddress = 700,
    cudaErrorLaunchFailure = 719,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901
} cudaError_t;

typedef struct cuda_host_stream *cudaStream_t;
typedef struct cuda_host_event *cudaEvent_t;
typedef struct cuda_host_graph *cudaGraph_t;
typedef struct cuda_host_graph *cudaGraphExec_t;

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal, cudaStreamCaptureModeRelaxed };

#define cudaStreamNonBlocking  1u
#define cudaEventBlockingSync  1u
#define cudaEventDisableTiming 2u
#define cudaHostAllocDefault   0u

struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    int major, minor;
};

const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError(void);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device);

cudaError_t cudaMalloc(void **memory, size_t bytes);
cudaError_t cudaFree(void *memory);
cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void *memory);
cudaError_t cudaMemGetInfo(size_t *unused, size_t *total);
cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);

/* What the tests set, before a device is opened, and ask. */
struct cuda_host_manner {
    bool backwards;      /* blocks and threads run last to first: a result that changes has a race */
    bool lazy;           /* streams run when somebody waits for them, and no further; else at once */
    bool cannot_record;  /* captures fail */
    size_t memory_bytes; /* of the card; 0: 1 GiB */
    size_t unused_bytes; /* what it says is free; 0: what is */
};
void cuda_host_set(const struct cuda_host_manner *manner);

/* Counted since the last cuda_host_set. */
struct cuda_host_counts {
    long launches; /* kernels queued one by one, and convolutions */
    long recorded; /* into graphs */
    long graph_launches;
    long waits;          /* of the host: synchronizations of streams and events */
    long copies;         /* queued outside of graphs */
    size_t memory_bytes; /* allocated now */
    size_t memory_most;
};
struct cuda_host_counts cuda_host_count(void);

/* Queues a call as a kernel would be queued; `call` is released with free. */
void cuda_host_queue(cudaStream_t stream, void (*run)(void *call), void *call);

#ifdef __cplusplus
}

/* Kernels -------------------------------------------------------------------------------------------------------- */

#include <functional>

struct cuda_host_index {
    unsigned x;
};
extern struct cuda_host_index blockIdx, threadIdx, blockDim, gridDim;

#define __global__ static
#define __device__
#define __host__
#define __shared__ static

/* All threads of the block come here before one goes on. */
void cuda_host_barrier();
#define __syncthreads() cuda_host_barrier()

void cuda_host_launch(cudaStream_t stream, size_t blocks, size_t threads, std::function<void()> thread);

#define CUDA_LAUNCH(kernel, blocks, threads, stream, ...)                                                                   \
    cuda_host_launch_with((stream), (blocks), (threads), [](auto... values) { kernel(values...); }, __VA_ARGS__)

template <typename Kernel, typename... Values>
static inline void cuda_host_launch_with(cudaStream_t stream, size_t blocks, size_t threads, Kernel kernel, Values... values)
{
    cuda_host_launch(stream, blocks, threads, [=] { kernel(values...); });
}
#endif
#endif
