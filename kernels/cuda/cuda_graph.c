/* cuDNN's backend API: see cuda_graph.h.  A descriptor is made, given attributes, and finalized; then it is constant.
 *
 *     three tensors + convolution -> operation -> operation graph -> heuristics -> engine configurations -> plan
 *
 * The operation keeps references to what it was made from, so descriptors are destroyed as soon as the next one is
 * finalized.
 */
#include "cuda_graph.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_dnn.h"
#include "scope.h"

#define CANDIDATES_MAX 64
#define NOTES_MAX      CUDNN_NUMERICAL_NOTE_TYPE_COUNT

static const struct cuda_dnn *dnn; /* set before the first library is opened; one for the process */

enum { UID_X = 'x', UID_WEIGHTS = 'w', UID_Y = 'y' };

struct cuda_library {
    cudnnHandle_t handle;               /* NULL where a device is only described */
    cudnnBackendDescriptor_t described; /* the device, else NULL */
};

struct cuda_graph {
    struct cuda_library *library;
    cudnnBackendDescriptor_t plan;
    int64_t workspace_bytes;
    bool tensor_cores;
};

static enum code fail(struct failure *why, const char *doing, cudnnStatus_t status)
{
    char detail[400] = "";
    dnn->GetLastErrorString(detail, sizeof detail);
    return failure_set(why, status == CUDNN_STATUS_NOT_SUPPORTED ? CODE_UNSUPPORTED : CODE_IO, "cuDNN, %s: %s %s", doing,
                       dnn->GetErrorString(status), detail);
}

static void drop(cudnnBackendDescriptor_t *descriptor)
{
    if (*descriptor)
        dnn->BackendDestroyDescriptor(*descriptor);
}

#define SCOPE_DESCRIPTOR __attribute__((cleanup(drop))) cudnnBackendDescriptor_t

/* A run of calls on one descriptor; the first failure sticks. */
struct making {
    cudnnBackendDescriptor_t descriptor;
    cudnnStatus_t status;
};

static struct making begin(cudnnBackendDescriptorType_t type)
{
    struct making making = {0};
    making.status = dnn->BackendCreateDescriptor(type, &making.descriptor);
    return making;
}

static void set(struct making *making, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                const void *values)
{
    if (making->status == CUDNN_STATUS_SUCCESS)
        making->status = dnn->BackendSetAttribute(making->descriptor, name, type, count, values);
}

static void set_descriptor(struct making *making, cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t value)
{
    set(making, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

/* The finalized descriptor, or NULL. */
static cudnnBackendDescriptor_t finish(struct making *making)
{
    if (making->status == CUDNN_STATUS_SUCCESS)
        making->status = dnn->BackendFinalize(making->descriptor);
    if (making->status == CUDNN_STATUS_SUCCESS)
        return making->descriptor;
    drop(&making->descriptor);
    return NULL;
}

/* The library ------------------------------------------------------------------------------------------------------- */

static enum code describe_device(struct cuda_library *library, const char *json, struct failure *why)
{
    struct making making = begin(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    set(&making, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json) + 1, json);
    library->described = finish(&making);
    return library->described ? CODE_OK : fail(why, "describing a device", making.status);
}

enum code cuda_library_open(void *stream, const char *device_json, struct cuda_library **out, struct failure *why)
{
    enum code code = cuda_dnn_load(&dnn, why);
    if (code != CODE_OK)
        return code;
    struct cuda_library *library = calloc(1, sizeof *library);
    if (!library)
        return failure_set(why, CODE_NO_MEMORY, "opening cuDNN: out of memory");
    if (device_json) {
        code = describe_device(library, device_json, why);
    } else {
        cudnnStatus_t status = dnn->Create(&library->handle);
        if (status == CUDNN_STATUS_SUCCESS)
            status = dnn->SetStream(library->handle, stream);
        if (status != CUDNN_STATUS_SUCCESS)
            code = fail(why, "opening it", status);
    }
    if (code != CODE_OK) {
        cuda_library_close(library);
        return code;
    }
    *out = library;
    return CODE_OK;
}

void cuda_library_close(struct cuda_library *library)
{
    if (!library)
        return;
    drop(&library->described);
    if (library->handle)
        dnn->Destroy(library->handle);
    free(library);
}

/* The operation ----------------------------------------------------------------------------------------------------- */

static cudnnDataType_t type_of(enum dtype dtype)
{
    return dtype == DTYPE_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/* dims: (N, C, H, W), or of weights (Cout, Cin, K, K); the second lies innermost in memory. */
static cudnnBackendDescriptor_t make_tensor(int64_t uid, enum dtype dtype, const int64_t dims[4], cudnnStatus_t *status)
{
    const int64_t strides[4] = {dims[1] * dims[2] * dims[3], 1, dims[1] * dims[3], dims[1]}, alignment = 16;
    cudnnDataType_t type = type_of(dtype);
    struct making making = begin(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set(&making, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(&making, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    set(&making, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    set(&making, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    set(&making, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    cudnnBackendDescriptor_t tensor = finish(&making);
    *status = making.status;
    return tensor;
}

static cudnnBackendDescriptor_t make_convolution(const struct cuda_graph_spec *spec, cudnnStatus_t *status)
{
    const int64_t spatial = 2, pad[2] = {spec->kernel / 2, spec->kernel / 2}, stride[2] = {spec->stride, spec->stride},
                  dilation[2] = {1, 1};
    cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    struct making making = begin(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set(&making, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &spatial);
    set(&making, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums);
    set(&making, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(&making, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pad);
    set(&making, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pad);
    set(&making, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
    set(&making, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
    cudnnBackendDescriptor_t convolution = finish(&making);
    *status = making.status;
    return convolution;
}

/* The attributes that the three operations call differently. */
static const struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t convolution, x, weights, y, alpha, beta;
} operations[] = {
    [CUDA_GRAPH_FORWARD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    [CUDA_GRAPH_DATA] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    [CUDA_GRAPH_WEIGHTS] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

static cudnnBackendDescriptor_t make_operation(const struct cuda_graph_spec *spec, cudnnStatus_t *status)
{
    int64_t height_out = (spec->height + spec->stride - 1) / spec->stride,
            width_out = (spec->width + spec->stride - 1) / spec->stride;
    const int64_t x_dims[4] = {spec->batch, spec->channels_in, spec->height, spec->width},
                  w_dims[4] = {spec->channels_out, spec->channels_in, spec->kernel, spec->kernel},
                  y_dims[4] = {spec->batch, spec->channels_out, height_out, width_out};
    cudnnStatus_t steps[4];
    SCOPE_DESCRIPTOR x = make_tensor(UID_X, spec->dtype, x_dims, &steps[0]);
    SCOPE_DESCRIPTOR w = make_tensor(UID_WEIGHTS, spec->dtype, w_dims, &steps[1]);
    SCOPE_DESCRIPTOR y = make_tensor(UID_Y, spec->dtype, y_dims, &steps[2]);
    SCOPE_DESCRIPTOR convolution = make_convolution(spec, &steps[3]);
    for (int i = 0; i < 4; i++)
        if (steps[i] != CUDNN_STATUS_SUCCESS) {
            *status = steps[i];
            return NULL;
        }
    const float one = 1, zero = 0;
    struct making making = begin(operations[spec->kind].type);
    set_descriptor(&making, operations[spec->kind].convolution, convolution);
    set_descriptor(&making, operations[spec->kind].x, x);
    set_descriptor(&making, operations[spec->kind].weights, w);
    set_descriptor(&making, operations[spec->kind].y, y);
    set(&making, operations[spec->kind].alpha, CUDNN_TYPE_FLOAT, 1, &one);
    set(&making, operations[spec->kind].beta, CUDNN_TYPE_FLOAT, 1, &zero);
    cudnnBackendDescriptor_t operation = finish(&making);
    *status = making.status;
    return operation;
}

static cudnnBackendDescriptor_t make_operation_graph(const struct cuda_library *library, const struct cuda_graph_spec *spec,
                                                     cudnnStatus_t *status)
{
    SCOPE_DESCRIPTOR operation = make_operation(spec, status);
    if (!operation)
        return NULL;
    struct making making = begin(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set_descriptor(&making, CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
    if (library->handle)
        set(&making, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &library->handle);
    cudnnBackendDescriptor_t graph = finish(&making);
    *status = making.status;
    return graph;
}

/* The engine -------------------------------------------------------------------------------------------------------- */

struct notes {
    bool tensor_cores, rounds_inputs, varies;
};

static struct notes notes_of(cudnnBackendDescriptor_t configuration)
{
    struct notes notes = {.varies = true}; /* what cannot be asked is not taken */
    SCOPE_DESCRIPTOR engine = NULL;
    int64_t count = 0;
    cudnnBackendNumericalNote_t found[NOTES_MAX];
    if (dnn->BackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS ||
        dnn->BackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                 &engine) != CUDNN_STATUS_SUCCESS ||
        dnn->BackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, NOTES_MAX, &count,
                                 found) != CUDNN_STATUS_SUCCESS)
        return notes;
    notes.varies = false;
    for (int64_t i = 0; i < count && i < NOTES_MAX; i++) {
        notes.tensor_cores |= found[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        notes.rounds_inputs |= found[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
        notes.varies |= found[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    }
    return notes;
}

static cudnnBackendDescriptor_t make_plan(const struct cuda_library *library, cudnnBackendDescriptor_t configuration,
                                          int64_t *workspace)
{
    struct making making = begin(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    set_descriptor(&making, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
    if (library->handle)
        set(&making, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &library->handle);
    else
        set_descriptor(&making, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, library->described);
    cudnnBackendDescriptor_t plan = finish(&making);
    int64_t count = 0;
    if (plan && dnn->BackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
                                         workspace) == CUDNN_STATUS_SUCCESS)
        return plan;
    drop(&plan);
    return NULL;
}

/* What is asked of an engine beside being deterministic. */
enum demand { DEMAND_TENSOR_CORES, DEMAND_EXACT_INPUTS, DEMAND_NOTHING };

static bool try_configuration(struct cuda_graph *graph, enum demand demand, cudnnBackendDescriptor_t configuration)
{
    struct notes notes = notes_of(configuration);
    if (notes.varies || (demand == DEMAND_EXACT_INPUTS && notes.rounds_inputs) ||
        (demand == DEMAND_TENSOR_CORES && !notes.tensor_cores))
        return false;
    int64_t workspace = 0;
    cudnnBackendDescriptor_t plan = make_plan(graph->library, configuration, &workspace);
    if (!plan)
        return false;
    if (workspace < 0 || (uint64_t)workspace > CUDA_GRAPH_WORKSPACE_MAX) {
        drop(&plan);
        return false;
    }
    graph->plan = plan;
    graph->workspace_bytes = workspace;
    graph->tensor_cores = notes.tensor_cores;
    return true;
}

/* Tries what one mode of the heuristics proposes, in its order; true where one serves. */
static bool try_mode(struct cuda_graph *graph, enum demand demand, cudnnBackendDescriptor_t operations_graph,
                     cudnnBackendHeurMode_t mode)
{
    struct making making = begin(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    set_descriptor(&making, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, operations_graph);
    set(&making, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (!graph->library->handle)
        set_descriptor(&making, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, graph->library->described);
    SCOPE_DESCRIPTOR heuristics = finish(&making);
    if (!heuristics)
        return false;
    cudnnBackendDescriptor_t found[CANDIDATES_MAX] = {0};
    int64_t made = 0, count = 0;
    while (made < CANDIDATES_MAX &&
           dnn->BackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &found[made]) == CUDNN_STATUS_SUCCESS)
        made++;
    bool serves = false;
    if (dnn->BackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &count,
                                 found) == CUDNN_STATUS_SUCCESS)
        for (int64_t i = 0; i < count && i < made && !serves; i++)
            serves = try_configuration(graph, demand, found[i]);
    for (int64_t i = 0; i < made; i++)
        drop(&found[i]);
    return serves;
}

enum code cuda_graph_create(struct cuda_library *library, const struct cuda_graph_spec *spec, struct cuda_graph **out,
                            struct failure *why)
{
    static const char *const names[] = {"a convolution", "a convolution's data gradient", "a convolution's weight gradient"};
    cudnnStatus_t status;
    SCOPE_DESCRIPTOR operations_graph = make_operation_graph(library, spec, &status);
    if (!operations_graph)
        return fail(why, names[spec->kind], status);
    struct cuda_graph *graph = calloc(1, sizeof *graph);
    if (!graph)
        return failure_set(why, CODE_NO_MEMORY, "planning %s: out of memory", names[spec->kind]);
    graph->library = library;
    enum demand demand = spec->dtype == DTYPE_BF16 ? DEMAND_TENSOR_CORES : DEMAND_EXACT_INPUTS;
    if (try_mode(graph, demand, operations_graph, CUDNN_HEUR_MODE_A) ||
        try_mode(graph, demand, operations_graph, CUDNN_HEUR_MODE_FALLBACK) ||
        (demand == DEMAND_TENSOR_CORES && try_mode(graph, DEMAND_NOTHING, operations_graph, CUDNN_HEUR_MODE_A))) {
        *out = graph;
        return CODE_OK;
    }
    free(graph);
    return failure_set(why, CODE_UNSUPPORTED,
                       "cuDNN has no engine for %s of %d x %d x %d, %d -> %d channels, kernel %d, stride %d",
                       names[spec->kind], spec->batch, spec->height, spec->width, spec->channels_in, spec->channels_out,
                       spec->kernel, spec->stride);
}

void cuda_graph_destroy(struct cuda_graph *graph)
{
    if (!graph)
        return;
    drop(&graph->plan);
    free(graph);
}

size_t cuda_graph_workspace(const struct cuda_graph *graph)
{
    return (size_t)graph->workspace_bytes;
}

bool cuda_graph_uses_tensor_cores(const struct cuda_graph *graph)
{
    return graph->tensor_cores;
}

enum code cuda_graph_run(struct cuda_graph *graph, const struct cuda_graph_operands *operands, struct failure *why)
{
    const int64_t uids[] = {UID_X, UID_WEIGHTS, UID_Y};
    void *const pointers[] = {operands->x, operands->weights, operands->y};
    struct making making = begin(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    set(&making, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3, uids);
    set(&making, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, pointers);
    set(&making, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &operands->workspace);
    SCOPE_DESCRIPTOR pack = finish(&making);
    cudnnStatus_t status = pack ? dnn->BackendExecute(graph->library->handle, graph->plan, pack) : making.status;
    return status == CUDNN_STATUS_SUCCESS ? CODE_OK : fail(why, "running a convolution", status);
}
