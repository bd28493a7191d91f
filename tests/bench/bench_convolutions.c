/* Each convolution of the network as the device "cpu" computes it in training, beside oneDNN alone.
 *
 *     bench_convolutions [--size NS] [--batch 8] [--side 256]
 *
 * oneDNN has activations in NHWC, and its weights lie ready, and their gradient stays, in the layout that it
 * likes best.  Ours is what a training step calls.  One thread; times are the processor's, of the best of the
 * turns that the two take, so that a busy machine disturbs them little.
 *
 * One JSON object a shape and type: of each pass GFLOP/s (multiplications and additions as the definition
 * counts them); `ratio`, oneDNN's time of all passes to ours; and `ratio_with_weights`, where ours is also
 * handed the step's new weights.  Then one object a size: the same of all its convolutions, and the smallest.
 */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_dnnl.h"
#include "layout.h"
#include "random.h"
#include "timing.h"

#define TURNS   10
#define TURN_NS 4000000 /* at least */

/* What a step calls for a convolution: the three passes of cpu_dnnl.h, and one thing more. */
enum { PART_WEIGHTS = PASS_COUNT, PART_COUNT };
enum { OURS, ONEDNN, SIDES };

struct theirs {
    struct cpu_dnnl *dnnl;
    struct cpu_dnnl_plan plans[PASS_COUNT];
    /* Or their gradients; NULL for what a pass lacks. */
    dnnl_memory_t x[PASS_COUNT], weights[PASS_COUNT], bias[PASS_COUNT], y[PASS_COUNT];
};

struct contest {
    const struct device *device;
    struct convolution_spec spec;
    struct convolution *ours;
    struct theirs theirs;
    void *x, *y, *dx, *dy;
    float *weights, *dweights, *bias;
};

static void check(enum code code, const struct failure *why)
{
    if (code == CODE_OK)
        return;
    fprintf(stderr, "bench_convolutions: %s\n", why->text);
    exit(failure_to_exit_status(code));
}

static void *need(void *made)
{
    if (!made) {
        fputs("bench_convolutions: out of memory, or oneDNN refuses a memory\n", stderr);
        exit(3);
    }
    return made;
}

static size_t weight_count(const struct convolution_spec *spec)
{
    return (size_t)spec->channels_out * (size_t)(spec->kernel * spec->kernel) * (size_t)spec->channels_in;
}

static size_t pixels_out(const struct convolution_spec *spec)
{
    int stride = spec->stride;
    return (size_t)spec->batch * (size_t)((spec->height + stride - 1) / stride) *
           (size_t)((spec->width + stride - 1) / stride);
}

/* count numbers from -1 to 1 of the type, on the device. */
static void *numbers(const struct device *device, size_t count, enum dtype dtype)
{
    struct random random = random_stream(1, count);
    struct tensor from = {.dtype = DTYPE_F32, .n = 1, .h = 1, .w = 1, .c = (int)count};
    struct tensor to = from;
    to.dtype = dtype;
    from.data = need(device->operations->allocate(device, tensor_bytes(&from)));
    to.data = need(device->operations->allocate(device, tensor_bytes(&to)));
    for (size_t i = 0; i < count; i++)
        ((float *)from.data)[i] = (float)random_between(&random, -1, 1);
    device->operations->convert(device, &from, &to);
    device->operations->release(device, from.data);
    return to.data;
}

static dnnl_memory_t point(const struct contest *contest, enum cpu_dnnl_pass pass, enum cpu_dnnl_role role, void *bytes)
{
    const struct theirs *theirs = &contest->theirs;
    dnnl_memory_t memory = need(cpu_dnnl_memory(theirs->dnnl, &theirs->plans[pass], pass, role, !bytes));
    if (bytes)
        dnnl_memory_set_data_handle(memory, bytes);
    return memory;
}

static void plan_pass(struct contest *contest, enum cpu_dnnl_pass pass, struct failure *why)
{
    struct theirs *theirs = &contest->theirs;
    check(cpu_dnnl_plan(theirs->dnnl, &contest->spec, pass, pass == PASS_FORWARD ? NULL : &theirs->plans[PASS_FORWARD],
                        &theirs->plans[pass], why),
          why);
    theirs->x[pass] = point(contest, pass, ROLE_X, pass == PASS_BACKWARD_DATA ? contest->dx : contest->x);
    theirs->y[pass] = point(contest, pass, ROLE_Y, pass == PASS_FORWARD ? contest->y : contest->dy);
    theirs->weights[pass] = point(contest, pass, ROLE_WEIGHTS, NULL);
    if (contest->spec.bias && pass != PASS_BACKWARD_DATA)
        theirs->bias[pass] = point(contest, pass, ROLE_BIAS, contest->bias);
    if (pass == PASS_BACKWARD_WEIGHTS)
        return;
    dnnl_memory_t plain = need(cpu_dnnl_plain_weights(theirs->dnnl, &contest->spec));
    dnnl_memory_set_data_handle(plain, contest->weights);
    dnnl_primitive_t reorder = need(cpu_dnnl_reorder(theirs->dnnl, plain, theirs->weights[pass]));
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, theirs->weights[pass]}};
    cpu_dnnl_run(theirs->dnnl, reorder, args, 2);
    dnnl_primitive_destroy(reorder);
    dnnl_memory_destroy(plain);
}

static void prepare(struct contest *contest)
{
    const struct convolution_spec *spec = &contest->spec;
    const struct device *device = contest->device;
    size_t inputs = (size_t)spec->batch * (size_t)spec->height * (size_t)spec->width * (size_t)spec->channels_in;
    size_t outputs = pixels_out(spec) * (size_t)spec->channels_out;
    struct failure why;
    check(device->operations->convolution_create(device, spec, &contest->ours, &why), &why);
    contest->x = numbers(device, inputs, spec->dtype);
    contest->dx = numbers(device, inputs, spec->dtype);
    contest->y = numbers(device, outputs, spec->dtype_out);
    contest->dy = numbers(device, outputs, spec->dtype);
    contest->weights = numbers(device, weight_count(spec), DTYPE_F32);
    contest->dweights = numbers(device, weight_count(spec), DTYPE_F32);
    contest->bias = numbers(device, (size_t)spec->channels_out, DTYPE_F32);
    plan_pass(contest, PASS_FORWARD, &why);
    plan_pass(contest, PASS_BACKWARD_WEIGHTS, &why);
    if (spec->input_gradient)
        plan_pass(contest, PASS_BACKWARD_DATA, &why);
}

static void release(struct contest *contest)
{
    struct theirs *theirs = &contest->theirs;
    const struct device *device = contest->device;
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        dnnl_memory_t const memories[] = {theirs->x[pass], theirs->weights[pass], theirs->bias[pass], theirs->y[pass]};
        for (size_t i = 0; i < sizeof memories / sizeof *memories; i++)
            if (memories[i])
                dnnl_memory_destroy(memories[i]);
        cpu_dnnl_plan_free(&theirs->plans[pass]);
    }
    device->operations->convolution_destroy(contest->ours);
    void *const taken[] = {contest->x,       contest->dx,       contest->y,   contest->dy,
                           contest->weights, contest->dweights, contest->bias};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        device->operations->release(device, taken[i]);
}

static void run_ours(const struct contest *contest, int part)
{
    const struct device_operations *operations = contest->device->operations;
    if (part == PART_WEIGHTS)
        operations->convolution_set_weights(contest->ours, contest->weights, NULL,
                                            contest->spec.bias ? contest->bias : NULL);
    else if (part == PASS_FORWARD)
        operations->convolution_forward(contest->ours, contest->x, contest->y);
    else if (part == PASS_BACKWARD_DATA)
        operations->convolution_backward_data(contest->ours, contest->dy, contest->dx);
    else
        operations->convolution_backward_weights(contest->ours, contest->x, contest->dy, contest->dweights, contest->bias);
}

static void run_onednn(const struct contest *contest, int part)
{
    static const int names[PASS_COUNT][3] = {
        [PASS_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
        [PASS_BACKWARD_DATA] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
        [PASS_BACKWARD_WEIGHTS] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
    };
    const struct theirs *theirs = &contest->theirs;
    if (part == PART_WEIGHTS)
        return; /* they lie ready */
    const dnnl_exec_arg_t args[] = {{names[part][0], theirs->x[part]},
                                    {names[part][1], theirs->weights[part]},
                                    {names[part][2], theirs->y[part]},
                                    {part == PASS_FORWARD ? DNNL_ARG_BIAS : DNNL_ARG_DIFF_BIAS, theirs->bias[part]}};
    if (cpu_dnnl_run(theirs->dnnl, theirs->plans[part].primitive, args, theirs->bias[part] ? 4 : 3) != 0) {
        fputs("bench_convolutions: oneDNN failed\n", stderr);
        exit(3);
    }
}

/* The processor's seconds of one call. */
static double turn(const struct contest *contest, int side, int part)
{
    int64_t begin = timing_read_ns(CLOCK_PROCESS_CPUTIME_ID), spent = 0;
    int calls = 0;
    while (spent < TURN_NS) {
        (side == OURS ? run_ours : run_onednn)(contest, part);
        calls++;
        spent = timing_read_ns(CLOCK_PROCESS_CPUTIME_ID) - begin;
    }
    return (double)spent * 1e-9 / calls;
}

/* Seconds of each part, the best of some turns; 0 for what is not computed. */
static void compete(const struct contest *contest, double seconds[SIDES][PART_COUNT])
{
    memset(seconds, 0, SIDES * sizeof *seconds);
    run_ours(contest, PART_WEIGHTS);
    /* Who comes first finds the caches full of something else, so each does in half of the turns. */
    for (int number = 0; number < TURNS; number++)
        for (int part = 0; part < PART_COUNT; part++)
            for (int place = 0; place < SIDES; place++) {
                int side = (number + place) % SIDES;
                if ((part == PASS_BACKWARD_DATA && !contest->spec.input_gradient) ||
                    (part == PART_WEIGHTS && side == ONEDNN))
                    continue;
                double took = turn(contest, side, part);
                if (seconds[side][part] == 0 || took < seconds[side][part])
                    seconds[side][part] = took;
            }
}

static double passes(const double seconds[PART_COUNT])
{
    return seconds[PASS_FORWARD] + seconds[PASS_BACKWARD_DATA] + seconds[PASS_BACKWARD_WEIGHTS];
}

static double ratio(const double seconds[SIDES][PART_COUNT])
{
    return passes(seconds[ONEDNN]) / passes(seconds[OURS]);
}

static double ratio_with_weights(const double seconds[SIDES][PART_COUNT])
{
    return passes(seconds[ONEDNN]) / (passes(seconds[OURS]) + seconds[OURS][PART_WEIGHTS]);
}

static void print_rates(const char *name, const double seconds[PART_COUNT], double gflop)
{
    printf("\"%s\": {\"forward\": %.0f, \"dx\": %.0f, \"dw\": %.0f}, ", name, gflop / seconds[PASS_FORWARD],
           seconds[PASS_BACKWARD_DATA] > 0 ? gflop / seconds[PASS_BACKWARD_DATA] : 0,
           gflop / seconds[PASS_BACKWARD_WEIGHTS]);
}

static void print_shape(const struct convolution_spec *spec, int nodes, const double seconds[SIDES][PART_COUNT])
{
    double gflop = 2e-9 * (double)pixels_out(spec) * (double)weight_count(spec);
    printf("{\"kernel\": %d, \"stride\": %d, \"channels\": [%d, %d], \"input\": [%d, %d], \"dtype\": \"%s\", "
           "\"nodes\": %d, ",
           spec->kernel, spec->stride, spec->channels_in, spec->channels_out, spec->height, spec->width,
           spec->dtype == DTYPE_F32 ? "f32" : "bf16", nodes);
    print_rates("ours", seconds[OURS], gflop);
    print_rates("onednn", seconds[ONEDNN], gflop);
    printf("\"ours_ms\": %.3f, \"ratio\": %.2f, \"ratio_with_weights\": %.2f}\n", 1e3 * passes(seconds[OURS]),
           ratio(seconds), ratio_with_weights(seconds));
    fflush(stdout);
}

static struct convolution_spec spec_of(const struct celldet *graph, const struct network_plan *plan,
                                       const struct celldet_node *node)
{
    const struct tensor input = layout_tensor(graph, plan, node->input), output = layout_tensor(graph, plan, node->output);
    return (struct convolution_spec){.batch = input.n,
                                     .height = input.h,
                                     .width = input.w,
                                     .channels_in = input.c,
                                     .channels_out = output.c,
                                     .kernel = node->kernel,
                                     .stride = node->stride,
                                     .dtype = input.dtype,
                                     .dtype_out = output.dtype,
                                     .bias = !node->norm,
                                     .training = true,
                                     .input_gradient = node->input != graph->input,
                                     .normalized = node->norm};
}

static bool same(const struct convolution_spec *a, const struct convolution_spec *b)
{
    return a->height == b->height && a->width == b->width && a->channels_in == b->channels_in &&
           a->channels_out == b->channels_out && a->kernel == b->kernel && a->stride == b->stride &&
           a->dtype_out == b->dtype_out && a->bias == b->bias && a->input_gradient == b->input_gradient;
}

/* The shapes of a network, each once, and how many nodes have it; returns their number. */
static int list_shapes(const struct celldet *graph, const struct network_plan *plan, struct convolution_spec *shapes,
                       int *nodes)
{
    int count = 0;
    for (int i = 0; i < graph->node_count; i++) {
        if (graph->nodes[i].kind != NODE_CONVOLUTION)
            continue;
        struct convolution_spec spec = spec_of(graph, plan, &graph->nodes[i]);
        int at = 0;
        while (at < count && !same(&shapes[at], &spec))
            at++;
        shapes[at] = spec;
        nodes[at] = at < count ? nodes[at] + 1 : 1;
        count = at < count ? count : count + 1;
    }
    return count;
}

static void measure(const struct device *device, struct cpu_dnnl *dnnl, enum network_size size,
                    const struct network_plan *plan)
{
    struct celldet graph;
    struct convolution_spec shapes[CELLDET_NODES_MAX];
    int nodes[CELLDET_NODES_MAX];
    struct failure why;
    check(celldet_build(&(struct network_architecture){.size = size, .input_channels = 3, .classes = 3, .rays = 32}, &graph,
                        &why),
          &why);
    int count = list_shapes(&graph, plan, shapes, nodes);
    double smallest = 1e9, smallest_with_weights = 1e9, all[SIDES][PART_COUNT] = {0}, seconds[SIDES][PART_COUNT];
    for (int i = 0; i < count; i++) {
        struct contest contest = {.device = device, .spec = shapes[i], .theirs.dnnl = dnnl};
        prepare(&contest);
        compete(&contest, seconds);
        release(&contest);
        print_shape(&shapes[i], nodes[i], seconds);
        for (int side = 0; side < SIDES; side++)
            for (int part = 0; part < PART_COUNT; part++)
                all[side][part] += nodes[i] * seconds[side][part];
        smallest = fmin(smallest, ratio(seconds));
        smallest_with_weights = fmin(smallest_with_weights, ratio_with_weights(seconds));
    }
    printf("{\"size\": \"%c\", \"dtype\": \"%s\", \"ours_ms\": %.1f, \"ratio\": %.2f, "
           "\"ratio_with_weights\": %.2f, "
           "\"smallest_ratio\": %.2f, \"smallest_ratio_with_weights\": %.2f}\n",
           "NSM"[size], plan -> precision == PRECISION_F32 ? "f32" : "bf16", 1e3 * passes(all[OURS]), ratio(all),
           ratio_with_weights(all), smallest, smallest_with_weights);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"size", required_argument, NULL, 's'},
                                            {"batch", required_argument, NULL, 'b'},
                                            {"side", required_argument, NULL, 'i'},
                                            {0}};
    const char *sizes = "NS";
    struct network_plan plan = {.batch = 8, .height = 256, .training = true};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 's':
            sizes = optarg;
            break;
        case 'b':
            plan.batch = atoi(optarg);
            break;
        case 'i':
            plan.height = atoi(optarg);
            break;
        default:
            return 2;
        }
    if (plan.batch < 1 || plan.batch > 64 || plan.height < 32 || plan.height > 1024 || plan.height % 32 != 0) {
        fputs("bench_convolutions: --batch is 1 to 64, --side a multiple of 32 up to 1024\n", stderr);
        return 2;
    }
    plan.width = plan.height;
    struct failure why;
    struct device *device;
    struct cpu_dnnl *dnnl;
    check(device_open("cpu", &(struct device_options){.threads = 1}, &device, &why), &why);
    check(cpu_dnnl_open(&dnnl, &why), &why);
    for (int size = NETWORK_N; size <= NETWORK_M; size++)
        for (int precision = PRECISION_F32; precision <= PRECISION_BF16; precision++) {
            plan.precision = (enum network_precision)precision;
            if (strchr(sizes, "NSM"[size]) && (precision == PRECISION_F32 || device->bf16))
                measure(device, dnnl, (enum network_size)size, &plan);
        }
    cpu_dnnl_close(dnnl);
    device_close(device);
    return 0;
}
