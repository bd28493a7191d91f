/* One convolution, or one of its two gradients, as a cuDNN 9 operation graph with the engine that runs it.  The only door to
 * cuDNN (cudnn_graph.h, the backend API: descriptors with attributes).
 *
 * Engines are taken in the order of cuDNN's heuristics; the first that can be finalized, is deterministic, and needs no more
 * than CUDA_GRAPH_WORKSPACE_MAX serves.  For bf16 those that use tensor cores come first (for small images the heuristics
 * would not); for f32 those that round their inputs (TF32) are left out.
 *
 * A graph can also be planned without a GPU, for a device that a JSON text describes: that is how a machine without one
 * checks that each convolution of the network has an engine.
 */
#ifndef CYTOFS_CUDA_GRAPH_H
#define CYTOFS_CUDA_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"
#include "tensor.h"

#define CUDA_GRAPH_WORKSPACE_MAX ((size_t)256 << 20)

struct cuda_library; /* a cuDNN handle, or a described device */
struct cuda_graph;

/* Opens cuDNN on the current device, its work going to `stream` (a cudaStream_t).  Or, with stream NULL and device_json not
 * NULL, for planning only.  No cuDNN, or an older one than this was built for: CODE_UNSUPPORTED. */
MUST_CHECK enum code cuda_library_open(void *stream, const char *device_json, struct cuda_library **out,
                                       struct failure *why);
void cuda_library_close(struct cuda_library *library); /* NULL is fine */

enum cuda_graph_kind {
    CUDA_GRAPH_FORWARD, /* x, weights -> y */
    CUDA_GRAPH_DATA,    /* dy, weights -> dx */
    CUDA_GRAPH_WEIGHTS  /* x, dy -> dweights, in dtype */
};

struct cuda_graph_spec {
    enum cuda_graph_kind kind;
    int batch, height, width;      /* of the input */
    int channels_in, channels_out; /* multiples of 8 for bf16 */
    int kernel, stride;            /* padding kernel / 2 */
    enum dtype dtype;              /* of everything; sums are f32 */
};

/* CODE_UNSUPPORTED where no engine fits. */
MUST_CHECK enum code cuda_graph_create(struct cuda_library *library, const struct cuda_graph_spec *spec,
                                       struct cuda_graph **out, struct failure *why);
void cuda_graph_destroy(struct cuda_graph *graph); /* NULL is fine */

/* Bytes of device memory that run needs beside its tensors. */
size_t cuda_graph_workspace(const struct cuda_graph *graph);
bool cuda_graph_uses_tensor_cores(const struct cuda_graph *graph);

/* Device memory: x is the input or its gradient, y the output or its gradient, weights (Cout, K, K, Cin) or their gradient,
 * all NHWC and 16-byte aligned. */
struct cuda_graph_operands {
    void *x, *weights, *y, *workspace;
};
MUST_CHECK enum code cuda_graph_run(struct cuda_graph *graph, const struct cuda_graph_operands *operands,
                                    struct failure *why);

#endif
