/* Winograd's convolution: how tiles, points and threads are arranged.  The arithmetic is in
 * cpu_winograd_loops.c.
 *
 * An output is cut into tiles of 4 x 4 pixels.  A tile hangs on 6 x 6 pixels of the input, which become 36
 * points of as many channels; at each point the tile's channels are multiplied with a matrix of the weights
 * (also 36 of them, made when the weights change), and the 36 products become the tile's pixels.  So the work
 * is 36 products of matrices (tiles, Cin) (Cin, Cout), a quarter of the multiplications of the definition.
 *
 *     forward             x tiles -> points, times the weights' points, -> y tiles (bias, residual, ReLU)
 *     gradient of x       the same from dy, with the kernel turned by half a turn
 *     gradient of weights x tiles -> points, dy tiles -> points; their products, summed over all tiles, are
 * the gradient of the weights' points, which becomes that of the weights at the end
 *
 * Tiles are taken BLOCK at a time, so that their points stay in the processor's cache; one thread does all of
 * a block.  Points are laid out (36, BLOCK, channels), with SPACING floats after each of the 36: powers of
 * two between them would all fall into the same cache lines' places.  So with the weights' points (36, Cin, Cout).
 *
 * Forward results do not depend on the number of threads.  The gradient of the weights does, since each
 * thread sums its own blocks (a run of neighbours) before those sums are added in order. */
#include "cpu_winograd.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host_memory.h"

#define BLOCK   48 /* tiles; a multiple of CPU_WINOGRAD_ROWS */
#define SPACING 16

/* With fewer tiles than this for each channel, reading and making the weights' points takes the time that is
 * saved: in training they are made at each step, twice, and a gradient besides. */
#define TILES_PER_CHANNEL          1
#define TILES_PER_CHANNEL_TRAINING 4

struct cpu_winograd {
    struct cpu_device *device;
    struct convolution_spec spec;
    int rows, columns; /* of tiles in an image */
    float *forward;    /* the weights' points (36, Cin, Cout), SPACING after each of the 36 */
    float *backward;   /* (36, Cout, Cin), turned, as spaced; NULL unless dx is wanted */
    const float *bias;
    struct cpu_winograd_moments moments; /* of a `normalized` plan; no blocks else */
    size_t *pixels;
    float *sums;
};

/* How many tiles a batch has. */
static size_t tile_count(const struct convolution_spec *spec)
{
    return (size_t)spec->batch * (size_t)((spec->height + WINOGRAD_TILE - 1) / WINOGRAD_TILE) *
           (size_t)((spec->width + WINOGRAD_TILE - 1) / WINOGRAD_TILE);
}

bool cpu_winograd_suits(const struct cpu_device *device, const struct convolution_spec *spec)
{
    if (!device->winograd || spec->kernel != 3 || spec->stride != 1 || spec->channels_in % CPU_LANES != 0 ||
        spec->channels_out % CPU_LANES != 0 || (spec->training && spec->bias))
        return false;
    int channels = spec->channels_in > spec->channels_out ? spec->channels_in : spec->channels_out;
    size_t least = (size_t)channels * (spec->training ? TILES_PER_CHANNEL_TRAINING : TILES_PER_CHANNEL);
    return tile_count(spec) >= least;
}

/* Floats from one point of a block of tiles to the next, and of all of them. */
static size_t distance(int channels)
{
    return BLOCK * (size_t)channels + SPACING;
}

static size_t block_floats(int channels)
{
    return WINOGRAD_POINTS * distance(channels);
}

/* Floats from one point of the weights to the next, and of all of them. */
static size_t weights_distance(const struct convolution_spec *spec)
{
    return (size_t)spec->channels_in * (size_t)spec->channels_out + SPACING;
}

static size_t weight_points(const struct convolution_spec *spec)
{
    return WINOGRAD_POINTS * weights_distance(spec);
}

/* Scratch of one thread: a block's points on both sides, and in training the gradient of the weights'. */
static size_t thread_floats(const struct convolution_spec *spec)
{
    return block_floats(spec->channels_in) + block_floats(spec->channels_out) + (spec->training ? weight_points(spec) : 0);
}

static float *thread_scratch(const struct cpu_winograd *plan, int thread)
{
    return plan->device->scratch + (size_t)thread * thread_floats(&plan->spec);
}

static bool grow_scratch(struct cpu_device *device, size_t floats)
{
    if (floats <= device->scratch_floats)
        return true;
    float *scratch = host_memory_allocate(&device->base, floats * sizeof *scratch);
    if (!scratch)
        return false;
    host_memory_release(&device->base, device->scratch);
    device->scratch = scratch;
    device->scratch_floats = floats;
    return true;
}

static enum code create_moments(struct cpu_winograd *plan, struct failure *why);

enum code cpu_winograd_create(struct cpu_device *device, const struct convolution_spec *spec, struct cpu_winograd **out,
                              struct failure *why)
{
    assert(cpu_winograd_suits(device, spec));
    struct cpu_winograd *plan = calloc(1, sizeof *plan);
    if (!plan)
        return failure_set(why, CODE_NO_MEMORY, "planning a convolution: out of memory");
    plan->device = device;
    plan->spec = *spec;
    plan->rows = (spec->height + WINOGRAD_TILE - 1) / WINOGRAD_TILE;
    plan->columns = (spec->width + WINOGRAD_TILE - 1) / WINOGRAD_TILE;
    size_t bytes = weight_points(spec) * sizeof(float);
    plan->forward = host_memory_allocate(&device->base, bytes);
    bool turned = spec->training && spec->input_gradient;
    if (turned)
        plan->backward = host_memory_allocate(&device->base, bytes);
    if (!plan->forward || (turned && !plan->backward) ||
        !grow_scratch(device, (size_t)device->base.threads * thread_floats(spec))) {
        cpu_winograd_destroy(plan);
        return failure_set(why, CODE_NO_MEMORY, "planning a convolution: out of memory for its weights");
    }
    enum code code = spec->normalized ? create_moments(plan, why) : CODE_OK;
    if (code != CODE_OK) {
        cpu_winograd_destroy(plan);
        return code;
    }
    *out = plan;
    return CODE_OK;
}

void cpu_winograd_destroy(struct cpu_winograd *plan)
{
    if (!plan)
        return;
    host_memory_release(&plan->device->base, plan->forward);
    host_memory_release(&plan->device->base, plan->backward);
    free(plan->pixels);
    free(plan->sums);
    free(plan);
}

/* ---- weights ---- */

static void transform(const struct cpu_winograd *plan, const struct cpu_winograd_weights *weights)
{
    size_t across = weights->outputs / CPU_LANES, squares = weights->depths / CPU_LANES * across;
#pragma omp parallel for schedule(static) num_threads(plan->device->base.threads)
    for (size_t k = 0; k < squares; k++)
        plan->device->winograd->transform_weights(weights, k / across * CPU_LANES, k % across * CPU_LANES);
}

void cpu_winograd_set_weights(struct cpu_winograd *plan, const float *weights, const float *bias)
{
    size_t in = (size_t)plan->spec.channels_in, out = (size_t)plan->spec.channels_out;
    plan->bias = bias;
    const struct cpu_winograd_weights forward = {.weights = weights,
                                                 .points = plan->forward,
                                                 .depths = in,
                                                 .outputs = out,
                                                 .distance = weights_distance(&plan->spec),
                                                 .tap = in,
                                                 .depth = 1,
                                                 .output = 9 * in};
    transform(plan, &forward);
    if (!plan->backward)
        return;
    struct cpu_winograd_weights backward = forward;
    backward.points = plan->backward;
    backward.depths = out;
    backward.outputs = in;
    backward.depth = 9 * in;
    backward.output = 1;
    backward.reversed = true;
    transform(plan, &backward);
}

/* ---- tiles ---- */

static size_t block_count(const struct cpu_winograd *plan)
{
    return (tile_count(&plan->spec) + BLOCK - 1) / BLOCK;
}

static size_t tiles_in(const struct cpu_winograd *plan, size_t block)
{
    size_t rest = tile_count(&plan->spec) - block * BLOCK;
    return rest < BLOCK ? rest : BLOCK;
}

/* Where tile number `tile` of the batch lies. */
struct place {
    size_t image;
    int row, column; /* of its first pixel */
};

static struct place place_of(const struct cpu_winograd *plan, size_t tile)
{
    size_t columns = (size_t)plan->columns, per_image = columns * (size_t)plan->rows, rest = tile % per_image;
    return (struct place){.image = tile / per_image,
                          .row = (int)(rest / columns) * WINOGRAD_TILE,
                          .column = (int)(rest % columns) * WINOGRAD_TILE};
}

static char *image_of(const struct cpu_winograd *plan, const void *tensor, size_t image, int channels, enum dtype dtype)
{
    return (char *)tensor +
           image * (size_t)plan->spec.height * (size_t)plan->spec.width * (size_t)channels * dtype_bytes(dtype);
}

/* A block's points from a tensor of `channels`; `border` is 1 where tiles overlap by a pixel on each side. */
static void gather(const struct cpu_winograd *plan, size_t block, const void *tensor, int channels, int border,
                   float *points)
{
    const struct convolution_spec *spec = &plan->spec;
    const struct cpu_winograd_loops *loops = plan->device->winograd;
    for (size_t k = 0; k < tiles_in(plan, block); k++) {
        struct place place = place_of(plan, block * BLOCK + k);
        const struct cpu_winograd_tile tile = {.image = image_of(plan, tensor, place.image, channels, spec->dtype),
                                               .height = spec->height,
                                               .width = spec->width,
                                               .channels = (size_t)channels,
                                               .row = place.row - border,
                                               .column = place.column - border,
                                               .points = points + k * (size_t)channels,
                                               .distance = distance(channels)};
        if (border)
            loops->gather[spec->dtype](&tile);
        else
            loops->gather_gradient[spec->dtype](&tile);
    }
}

static size_t pixels_in(const struct cpu_winograd *plan, size_t block)
{
    size_t pixels = 0;
    for (size_t k = 0; k < tiles_in(plan, block); k++) {
        struct place place = place_of(plan, block * BLOCK + k);
        int rows = plan->spec.height - place.row, columns = plan->spec.width - place.column;
        pixels += (size_t)(rows < WINOGRAD_TILE ? rows : WINOGRAD_TILE) *
                  (size_t)(columns < WINOGRAD_TILE ? columns : WINOGRAD_TILE);
    }
    return pixels;
}

static enum code create_moments(struct cpu_winograd *plan, struct failure *why)
{
    size_t blocks = block_count(plan);
    plan->pixels = calloc(blocks, sizeof *plan->pixels);
    plan->sums = calloc(blocks * 3 * (size_t)plan->spec.channels_out, sizeof *plan->sums);
    if (!plan->pixels || !plan->sums)
        return failure_set(why, CODE_NO_MEMORY, "planning a convolution: out of memory for its sums");
    for (size_t block = 0; block < blocks; block++)
        plan->pixels[block] = pixels_in(plan, block);
    plan->moments = (struct cpu_winograd_moments){blocks, plan->pixels, plan->sums};
    return CODE_OK;
}

const struct cpu_winograd_moments *cpu_winograd_moments(const struct cpu_winograd *plan)
{
    return plan->moments.blocks ? &plan->moments : NULL;
}

/* What comes out of a product, and how. */
struct outlet {
    void *tensor;
    int channels;
    enum dtype dtype;
    const float *bias;
    bool accumulate, relu;
    float *moments; /* (blocks, 3, channels), or NULL */
};

static void scatter(const struct cpu_winograd *plan, size_t block, const float *points, const struct outlet *outlet)
{
    for (size_t k = 0; k < tiles_in(plan, block); k++) {
        struct place place = place_of(plan, block * BLOCK + k);
        plan->device->winograd->scatter[outlet->dtype](&(struct cpu_winograd_result){
            .image = image_of(plan, outlet->tensor, place.image, outlet->channels, outlet->dtype),
            .height = plan->spec.height,
            .width = plan->spec.width,
            .channels = (size_t)outlet->channels,
            .row = place.row,
            .column = place.column,
            .points = points + k * (size_t)outlet->channels,
            .distance = distance(outlet->channels),
            .bias = outlet->bias,
            .accumulate = outlet->accumulate,
            .relu = outlet->relu,
            .moments = outlet->moments ? outlet->moments + block * 3 * (size_t)outlet->channels : NULL,
            .first = k == 0});
    }
}

/* A whole batch: `from` (of `depths` channels) times the weights' points. */
static void convolve(const struct cpu_winograd *plan, const void *from, int depths, const float *weights,
                     const struct outlet *outlet)
{
    size_t in = (size_t)depths, out = (size_t)outlet->channels, blocks = block_count(plan);
#pragma omp parallel for schedule(static) num_threads(plan->device->base.threads)
    for (size_t block = 0; block < blocks; block++) {
        float *points = thread_scratch(plan, omp_get_thread_num()), *products = points + block_floats(depths);
        gather(plan, block, from, depths, 1, points);
        for (size_t p = 0; p < WINOGRAD_POINTS; p++)
            plan->device->winograd->multiply(points + p * distance(depths), weights + p * weights_distance(&plan->spec),
                                             products + p * distance(outlet->channels), tiles_in(plan, block), in, out);
        scatter(plan, block, products, outlet);
    }
}

void cpu_winograd_forward(const struct cpu_winograd *plan, const void *x, void *y)
{
    const struct convolution_spec *spec = &plan->spec;
    convolve(plan, x, spec->channels_in, plan->forward,
             &(struct outlet){.tensor = y,
                              .channels = spec->channels_out,
                              .dtype = spec->dtype_out,
                              .bias = plan->bias,
                              .accumulate = spec->accumulate,
                              .relu = spec->relu,
                              .moments = plan->sums});
}

void cpu_winograd_backward_data(const struct cpu_winograd *plan, const void *dy, void *dx)
{
    const struct convolution_spec *spec = &plan->spec;
    convolve(plan, dy, spec->channels_out, plan->backward,
             &(struct outlet){.tensor = dx, .channels = spec->channels_in, .dtype = spec->dtype});
}

/* Adds the products of one block to a thread's sums. */
static void accumulate_block(const struct cpu_winograd *plan, size_t block, const void *x, const void *dy, float *scratch)
{
    const int in = plan->spec.channels_in, out = plan->spec.channels_out;
    float *inputs = scratch + weight_points(&plan->spec), *gradients = inputs + block_floats(in);
    gather(plan, block, x, in, 1, inputs);
    gather(plan, block, dy, out, 0, gradients);
    for (size_t p = 0; p < WINOGRAD_POINTS; p++)
        plan->device->winograd->accumulate(inputs + p * distance(in), gradients + p * distance(out),
                                           scratch + p * weights_distance(&plan->spec), tiles_in(plan, block), (size_t)in,
                                           (size_t)out);
}

void cpu_winograd_backward_weights(const struct cpu_winograd *plan, const void *x, const void *dy, float *dweights)
{
    const struct convolution_spec *spec = &plan->spec;
    size_t in = (size_t)spec->channels_in, out = (size_t)spec->channels_out, across = in / CPU_LANES;
    size_t sums = weight_points(spec), matrix = weights_distance(spec), blocks = block_count(plan);
    float *total = thread_scratch(plan, 0);
    const struct cpu_winograd_weights_gradient gradient = {
        .points = total, .weights = dweights, .depths = in, .outputs = out, .distance = matrix};
#pragma omp parallel num_threads(plan->device->base.threads)
    {
        float *scratch = thread_scratch(plan, omp_get_thread_num());
        memset(scratch, 0, sums * sizeof *scratch);
#pragma omp for schedule(static)
        for (size_t block = 0; block < blocks; block++)
            accumulate_block(plan, block, x, dy, scratch);
        int threads = omp_get_num_threads();
#pragma omp for schedule(static)
        for (size_t p = 0; p < WINOGRAD_POINTS; p++)
            for (int thread = 1; thread < threads; thread++) {
                const float *other = thread_scratch(plan, thread);
                for (size_t i = p * matrix; i < (p + 1) * matrix; i++)
                    total[i] += other[i];
            }
#pragma omp for schedule(static)
        for (size_t k = 0; k < out / CPU_LANES * across; k++)
            plan->device->winograd->weights_gradient(&gradient, k % across * CPU_LANES, k / across * CPU_LANES);
    }
}
