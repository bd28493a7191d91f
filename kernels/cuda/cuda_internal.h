/* The state and the operations of "cuda", for the files of this folder; contracts in device.h. */
#ifndef CYTOFS_CUDA_INTERNAL_H
#define CYTOFS_CUDA_INTERNAL_H

#include "cuda_graph.h"
#include "cuda_kernels.h"

struct cuda_slot {
    cudaEvent_t fed, computed, fetched; /* cuda_queue.c */
};

struct cuda_device {
    struct device base; /* first: a struct device * is a struct cuda_device * */
    cudaStream_t stream;
    cudaStream_t feeding, fetching; /* cuda_queue.c */
    struct cuda_slot slots[DEVICE_SLOTS];
    struct cuda_library *library;
    double *scratch; /* CUDA_REDUCE_SCRATCH_BYTES of device memory; work on the stream is in order, so one serves all */
    void *workspace; /* of convolutions, likewise */
    size_t workspace_bytes;
    enum code failed; /* the first failure since the last synchronize; the text is in `why` */
    struct failure why;
};

static inline struct cuda_device *cuda_internal_of(const struct device *device)
{
    return (struct cuda_device *)device; /* made by cuda_device_open, never const there */
}

/* Keeps a failure for the next synchronize. */
void cuda_internal_note(struct cuda_device *device, enum code code, const struct failure *why);

/* A failure of CUDA, in words. */
enum code cuda_internal_fail(struct failure *why, const char *doing, cudaError_t error);

/* Keeps it, if it is one, for the next synchronize. */
void cuda_internal_check(struct cuda_device *device, const char *doing, cudaError_t error);

/* The first failure that was kept, or that a kernel's launch has left; after this there is none. */
enum code cuda_internal_take_failure(struct cuda_device *device, struct failure *why);

/* Makes the workspace at least so large.  False where there is no memory. */
bool cuda_internal_reserve(struct cuda_device *device, size_t bytes);

enum code cuda_convolution_create(const struct device *device, const struct convolution_spec *spec, struct convolution **out,
                                  struct failure *why);
void cuda_convolution_destroy(struct convolution *plan);
void cuda_convolution_set_weights(struct convolution *plan, const float *weights, const float *scale, const float *bias);
void cuda_convolution_forward(struct convolution *plan, const void *x, void *y);
void cuda_convolution_backward_data(struct convolution *plan, const void *dy, void *dx);
void cuda_convolution_backward_weights(struct convolution *plan, const void *x, const void *dy, float *dweights,
                                       float *dbias);

#endif
