/* cuda_graph.h by plain loops on the host: what cuDNN promises, in f32 sums over values of the given type.  Queued on the
 * imitated stream like a kernel, and as much a part of a recording. */
#include "cuda_graph.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_runtime_api.h"

#define WORKSPACE_BYTES 1024

struct cuda_library {
    cudaStream_t stream;
};

struct cuda_graph {
    struct cuda_library *library;
    struct cuda_graph_spec spec;
};

enum code cuda_library_open(void *stream, const char *device_json, struct cuda_library **out, struct failure *why)
{
    (void)device_json;
    struct cuda_library *library = calloc(1, sizeof *library);
    if (!library)
        return failure_set(why, CODE_NO_MEMORY, "opening convolutions: out of memory");
    library->stream = stream;
    *out = library;
    return CODE_OK;
}

void cuda_library_close(struct cuda_library *library)
{
    free(library);
}

enum code cuda_graph_create(struct cuda_library *library, const struct cuda_graph_spec *spec, struct cuda_graph **out,
                            struct failure *why)
{
    assert(spec->dtype == DTYPE_F32 || (spec->channels_in % 8 == 0 && spec->channels_out % 8 == 0));
    struct cuda_graph *graph = calloc(1, sizeof *graph);
    if (!graph)
        return failure_set(why, CODE_NO_MEMORY, "planning a convolution: out of memory");
    *graph = (struct cuda_graph){library, *spec};
    *out = graph;
    return CODE_OK;
}

void cuda_graph_destroy(struct cuda_graph *graph)
{
    free(graph);
}

size_t cuda_graph_workspace(const struct cuda_graph *graph)
{
    (void)graph;
    return WORKSPACE_BYTES;
}

bool cuda_graph_uses_tensor_cores(const struct cuda_graph *graph)
{
    return graph->spec.dtype == DTYPE_BF16;
}

/* Elements of a buffer as f32, on the host; results are written back at the end. */
static float *widened(enum dtype dtype, const void *data, size_t count)
{
    float *values = calloc(count, sizeof *values);
    if (!values)
        abort();
    for (size_t i = 0; data && i < count; i++)
        values[i] = dtype == DTYPE_F32 ? ((const float *)data)[i] : bf16_to_f32(((const uint16_t *)data)[i]);
    return values;
}

static void narrow(enum dtype dtype, const float *values, size_t count, void *data)
{
    for (size_t i = 0; i < count; i++)
        if (dtype == DTYPE_F32)
            ((float *)data)[i] = values[i];
        else
            ((uint16_t *)data)[i] = bf16_from_f32(values[i]);
}

struct loops {
    enum cuda_graph_kind kind;
    size_t in, out; /* channels */
    float *x, *w, *y;
};

/* One output pixel (y) and one tap (w) at one input pixel (x). */
static void meet(const struct loops *loops, float *x, float *w, size_t step, float *y)
{
    for (size_t o = 0; o < loops->out; o++)
        for (size_t c = 0; c < loops->in; c++) {
            float *weight = &w[o * step + c];
            if (loops->kind == CUDA_GRAPH_FORWARD)
                y[o] += x[c] * *weight;
            else if (loops->kind == CUDA_GRAPH_DATA)
                x[c] += y[o] * *weight;
            else
                *weight += x[c] * y[o];
        }
}

static void walk(const struct cuda_graph_spec *spec, const struct loops *loops)
{
    int pad = spec->kernel / 2, taps = spec->kernel * spec->kernel;
    int rows = (spec->height + spec->stride - 1) / spec->stride, columns = (spec->width + spec->stride - 1) / spec->stride;
    float *y = loops->y;
    for (int n = 0; n < spec->batch; n++)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++, y += loops->out)
                for (int tap = 0; tap < taps; tap++) {
                    int row = i * spec->stride + tap / spec->kernel - pad,
                        column = j * spec->stride + tap % spec->kernel - pad;
                    if (row < 0 || row >= spec->height || column < 0 || column >= spec->width)
                        continue;
                    size_t pixel = ((size_t)n * (size_t)spec->height + (size_t)row) * (size_t)spec->width + (size_t)column;
                    meet(loops, loops->x + pixel * loops->in, loops->w + (size_t)tap * loops->in, (size_t)taps * loops->in,
                         y);
                }
}

struct call {
    struct cuda_graph_spec spec;
    struct cuda_graph_operands operands;
};

static void run(void *argument)
{
    const struct call *call = argument;
    const struct cuda_graph_spec *spec = &call->spec;
    size_t stride = (size_t)spec->stride, in = (size_t)spec->channels_in, out = (size_t)spec->channels_out;
    size_t x_count = (size_t)spec->batch * (size_t)spec->height * (size_t)spec->width * in;
    size_t y_count = (size_t)spec->batch * (((size_t)spec->height + stride - 1) / stride) *
                     (((size_t)spec->width + stride - 1) / stride) * out;
    size_t w_count = (size_t)(spec->kernel * spec->kernel) * in * out;
    memset(call->operands.workspace, 0xFF, WORKSPACE_BYTES); /* is there, and keeps nothing */
    struct loops loops = {
        .kind = spec->kind,
        .in = in,
        .out = out,
        .x = widened(spec->dtype, spec->kind == CUDA_GRAPH_DATA ? NULL : call->operands.x, x_count),
        .w = widened(spec->dtype, spec->kind == CUDA_GRAPH_WEIGHTS ? NULL : call->operands.weights, w_count),
        .y = widened(spec->dtype, spec->kind == CUDA_GRAPH_FORWARD ? NULL : call->operands.y, y_count)};
    walk(spec, &loops);
    if (spec->kind == CUDA_GRAPH_FORWARD)
        narrow(spec->dtype, loops.y, y_count, call->operands.y);
    else if (spec->kind == CUDA_GRAPH_DATA)
        narrow(spec->dtype, loops.x, x_count, call->operands.x);
    else
        narrow(spec->dtype, loops.w, w_count, call->operands.weights);
    free(loops.x);
    free(loops.w);
    free(loops.y);
}

enum code cuda_graph_run(struct cuda_graph *graph, const struct cuda_graph_operands *operands, struct failure *why)
{
    struct call *call = malloc(sizeof *call);
    if (!call)
        return failure_set(why, CODE_NO_MEMORY, "running a convolution: out of memory");
    *call = (struct call){graph->spec, *operands};
    cuda_host_queue(graph->library->stream, run, call);
    return CODE_OK;
}
