/* kernels/cuda without a GPU: every convolution of the three networks, and each of its gradients, has an engine on an H100
 * that uses tensor cores and is deterministic, with a bounded workspace.  The device is described by its properties (as
 * cudaDeviceProp has them for an H100 SXM 80 GB). */
#include "testing.h"

#include <stdio.h>

#include "celldet.h"
#include "cuda_graph.h"

static const char h100[] =
    "{\"cudaDeviceId\":0,\"deviceVer\":900,\"driverVer\":13000,\"maxGridSize\":[2147483647,65535,65535],"
    "\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,\"multiProcessorCount\":132,\"warpSize\":32,"
    "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":232448,\"reservedSharedMemoryPerBlock\":1024,"
    "\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,"
    "\"pciDeviceId\":9008,\"isTccDriver\":0,\"supportCoopLaunch\":1,\"smClockRateKHz\":1980000,"
    "\"memClockRateKHz\":2619000,\"l2CacheSize\":52428800,\"totalGlobalMem\":85017362432,"
    "\"deviceName\":\"NVIDIA H100 80GB HBM3\"}";

/* What cuDNN and cuBLAS keep until the process ends is theirs. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libcublas\nleak:libcudnn\n";
}

static struct cuda_library *library;

static int open_library(void **state)
{
    (void)state;
    struct failure why;
    assert_code_ok(cuda_library_open(NULL, h100, &library, &why), why);
    return 0;
}

static int close_library(void **state)
{
    (void)state;
    cuda_library_close(library);
    return 0;
}

static int round_up(int channels)
{
    return (channels + 7) / 8 * 8;
}

struct totals {
    size_t graphs, workspace_most;
};

static void plan(struct cuda_graph_spec spec, enum cuda_graph_kind kind, const char *name, struct totals *totals)
{
    struct failure why;
    struct cuda_graph *graph;
    spec.kind = kind;
    assert_code_ok(cuda_graph_create(library, &spec, &graph, &why), why);
    if (!cuda_graph_uses_tensor_cores(graph))
        fail_msg("%s: no tensor cores", name);
    if (cuda_graph_workspace(graph) > totals->workspace_most)
        totals->workspace_most = cuda_graph_workspace(graph);
    totals->graphs++;
    cuda_graph_destroy(graph);
}

static void plan_network(enum network_size size, int batch, int side)
{
    static struct celldet graph;
    struct failure why;
    struct totals totals = {0};
    assert_code_ok(celldet_build(&(struct network_architecture){size, 3, 3, 32}, &graph, &why), why);
    for (int i = 0; i < graph.node_count; i++) {
        const struct celldet_node *node = &graph.nodes[i];
        if (node->kind != NODE_CONVOLUTION)
            continue;
        const struct celldet_value *from = &graph.values[node->input], *to = &graph.values[node->output];
        const struct cuda_graph_spec spec = {.batch = batch,
                                             .height = side / from->reduction,
                                             .width = side / from->reduction,
                                             .channels_in = round_up(from->channels),
                                             .channels_out = round_up(to->channels),
                                             .kernel = node->kernel,
                                             .stride = node->stride,
                                             .dtype = DTYPE_BF16};
        plan(spec, CUDA_GRAPH_FORWARD, node->name, &totals);
        plan(spec, CUDA_GRAPH_WEIGHTS, node->name, &totals);
        if (node->input != graph.input)
            plan(spec, CUDA_GRAPH_DATA, node->name, &totals);
    }
    print_message("%zu graphs at batch %d, %d x %d: largest workspace %.1f MB\n", totals.graphs, batch, side, side,
                  (double)totals.workspace_most / 1e6);
}

static void every_convolution_of_n_has_a_tensor_core_engine(void **state)
{
    (void)state;
    plan_network(NETWORK_N, 8, 256);
}

static void every_convolution_of_s_has_a_tensor_core_engine(void **state)
{
    (void)state;
    plan_network(NETWORK_S, 8, 256);
}

static void every_convolution_of_m_has_a_tensor_core_engine(void **state)
{
    (void)state;
    plan_network(NETWORK_M, 32, 512);
}

static void an_impossible_device_is_refused(void **state)
{
    (void)state;
    struct cuda_library *none = NULL;
    struct failure why;
    assert_int_not_equal(cuda_library_open(NULL, "{\"deviceVer\":", &none, &why), CODE_OK);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_convolution_of_n_has_a_tensor_core_engine),
        cmocka_unit_test(every_convolution_of_s_has_a_tensor_core_engine),
        cmocka_unit_test(every_convolution_of_m_has_a_tensor_core_engine),
        cmocka_unit_test(an_impossible_device_is_refused),
    };
    return cmocka_run_group_tests(tests, open_library, close_library);
}
