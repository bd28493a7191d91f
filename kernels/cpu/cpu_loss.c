/* The detection loss and its gradient in f32, a chunk of cells at a time; sums in double, over the chunks in
 * order.  Heat and rays, where nearly all logits are, are computed in cpu_loss_loops.c.  The formulas stand in the README of
 * kernels/device.  Gradients are zero wherever no object has a say. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "cpu_internal.h"

#define BOX_FACTOR 2.0f /* total = heat + 2 box + rays */

/* What one chunk adds up, and what the chunks' gradients are divided by. */
struct sums {
    double peaks, box_weight, ray_weight;
    double heat, box, rays;
};

struct cells {
    size_t begin, end;
};

static void set(const struct tensor *tensor, size_t index, float value)
{
    if (tensor->dtype == DTYPE_F32)
        ((float *)tensor->data)[index] = value;
    else
        ((uint16_t *)tensor->data)[index] = bf16_from_f32(value);
}

static struct cells chunk_cells(size_t cells, int chunk)
{
    return (struct cells){cells * (size_t)chunk / CPU_CHUNKS_MAX, cells * (size_t)(chunk + 1) / CPU_CHUNKS_MAX};
}

/* Several sums side by side, or each addition would wait for the one before. */
static double sum_of(const float *values, size_t count)
{
    double partial[8] = {0}, sum = 0;
    size_t whole = count / 8 * 8;
    for (size_t i = 0; i < whole; i += 8)
        for (size_t k = 0; k < 8; k++)
            partial[k] += (double)values[i + k];
    for (size_t i = whole; i < count; i++)
        partial[0] += (double)values[i];
    for (size_t k = 0; k < 8; k++)
        sum += partial[k];
    return sum;
}

static void count_targets(const struct detection_loss *loss, struct cells cells, struct sums *sums)
{
    size_t classes = (size_t)loss->heat.c, count = cells.end - cells.begin;
    int peaks = 0;
    for (size_t i = cells.begin * classes; i < cells.end * classes; i++)
        peaks += loss->heat_target[i] > CPU_LOSS_PEAK;
    sums->peaks = peaks;
    sums->box_weight = sum_of(loss->box_weight + cells.begin, count);
    sums->ray_weight = loss->rays.data ? sum_of(loss->ray_weight + cells.begin, count) : 0;
}

static void heat_cells(const struct cpu_loss_loops *loops, const struct detection_loss *loss, struct cells cells, float unit,
                       struct sums *sums)
{
    size_t classes = (size_t)loss->heat.c, first = cells.begin * classes;
    struct cpu_heat heat = {.logits = (const float *)loss->heat.data + first,
                            .targets = loss->heat_target + first,
                            .gradients = (char *)loss->dheat.data + first * dtype_bytes(loss->dheat.dtype),
                            .count = (cells.end - cells.begin) * classes,
                            .unit = unit};
    sums->heat = loops->heat[loss->dheat.dtype](&heat) * (double)unit;
}

static float distance(float z)
{
    return CPU_LOSS_UNIT * expf(fminf(fmaxf(z, CPU_LOSS_EXPONENT_MIN), CPU_LOSS_EXPONENT_MAX));
}

/* -ln((I + 1) / (U + 1)) of one cell, and its gradient with regard to the four logits. */
static float box_cell(const float *logits, const float *target, float gradient[4])
{
    float d[4], inner[4];
    for (int k = 0; k < 4; k++) {
        d[k] = distance(logits[k]);
        inner[k] = fminf(d[k], target[k]);
    }
    float intersection = (inner[0] + inner[2]) * (inner[1] + inner[3]);
    float together = (d[0] + d[2]) * (d[1] + d[3]) + (target[0] + target[2]) * (target[1] + target[3]) - intersection;
    for (int k = 0; k < 4; k++) {
        int other = (k + 1) % 2; /* the first distance of the other axis */
        float grown = d[k] < target[k] ? inner[other] + inner[other + 2] : 0;
        float united = d[other] + d[other + 2] - grown;
        gradient[k] = d[k] * (united / (together + 1) - grown / (intersection + 1));
    }
    return logf((together + 1) / (intersection + 1));
}

static void box_cells(const struct detection_loss *loss, struct cells cells, double weights, struct sums *sums)
{
    const float *logits = loss->box.data;
    size_t cell_bytes = 4 * dtype_bytes(loss->dbox.dtype);
    memset((char *)loss->dbox.data + cells.begin * cell_bytes, 0, (cells.end - cells.begin) * cell_bytes);
    for (size_t cell = cells.begin; cell < cells.end; cell++) {
        if (!(loss->box_weight[cell] > 0))
            continue;
        float gradient[4], share = (float)((double)loss->box_weight[cell] / weights);
        sums->box += (double)(share * box_cell(logits + cell * 4, loss->box_target + cell * 4, gradient));
        for (size_t k = 0; k < 4; k++)
            set(&loss->dbox, cell * 4 + k, BOX_FACTOR * share * gradient[k]);
    }
}

static void ray_cells(const struct cpu_loss_loops *loops, const struct detection_loss *loss, struct cells cells,
                      double weights, struct sums *sums)
{
    size_t count = (size_t)loss->rays.c, cell_bytes = count * dtype_bytes(loss->drays.dtype);
    memset((char *)loss->drays.data + cells.begin * cell_bytes, 0, (cells.end - cells.begin) * cell_bytes);
    for (size_t cell = cells.begin; cell < cells.end; cell++) {
        if (!(loss->ray_weight[cell] > 0))
            continue;
        float share = (float)((double)loss->ray_weight[cell] / weights);
        struct cpu_rays rays = {.logits = (const float *)loss->rays.data + cell * count,
                                .targets = loss->ray_target + cell * count,
                                .gradients = (char *)loss->drays.data + cell * cell_bytes,
                                .count = count,
                                .share = share};
        sums->rays += (double)(share * loops->rays[loss->drays.dtype](&rays));
    }
}

static struct sums total(const struct sums chunks[CPU_CHUNKS_MAX])
{
    struct sums all = {0};
    for (int k = 0; k < CPU_CHUNKS_MAX; k++) {
        all.peaks += chunks[k].peaks;
        all.box_weight += chunks[k].box_weight;
        all.ray_weight += chunks[k].ray_weight;
        all.heat += chunks[k].heat;
        all.box += chunks[k].box;
        all.rays += chunks[k].rays;
    }
    return all;
}

void cpu_loss_detection(const struct device *device, const struct detection_loss *loss)
{
    assert(loss->heat.dtype == DTYPE_F32 && loss->box.dtype == DTYPE_F32 && loss->box.c == 4);
    assert(!loss->rays.data || loss->rays.c <= DEVICE_CHANNELS_MAX);
    const struct cpu_loss_loops *loops = cpu_internal_of(device)->loss_loops;
    struct sums chunks[CPU_CHUNKS_MAX] = {0};
    size_t cells = tensor_pixels(&loss->heat);
#pragma omp parallel for schedule(static) num_threads(device->threads)
    for (int k = 0; k < CPU_CHUNKS_MAX; k++)
        count_targets(loss, chunk_cells(cells, k), &chunks[k]);
    const struct sums targets = total(chunks);
    float unit = (float)(1 / fmax(targets.peaks, 1));
#pragma omp parallel for schedule(static) num_threads(device->threads)
    for (int k = 0; k < CPU_CHUNKS_MAX; k++) {
        heat_cells(loops, loss, chunk_cells(cells, k), unit, &chunks[k]);
        box_cells(loss, chunk_cells(cells, k), targets.box_weight, &chunks[k]);
        if (loss->rays.data)
            ray_cells(loops, loss, chunk_cells(cells, k), targets.ray_weight, &chunks[k]);
    }
    const struct sums sums = total(chunks);
    loss->terms[0] = sums.heat;
    loss->terms[1] = sums.box;
    loss->terms[2] = sums.rays;
}
