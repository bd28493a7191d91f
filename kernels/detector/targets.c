/* Training targets: see targets.h.
 *
 * Two passes.  The first paints objects from the largest to the smallest: heat maps take the maximum, each
 * regression cell remembers its last painter (so small objects keep their cells) and the bump's height there.
 * The second gives every object the total weight 1, spread over the cells it kept.
 *
 * Invariant: a cell has box_weight > 0 exactly when it has an owner and its centre lies strictly inside the
 * owner's box, hence all four distances are positive.
 */
#include "targets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scope.h"

static const float radius_per_side = 0.27f; /* the bump's half extent, of the box's side */
static const float regression_floor = 0.1f; /* cells under a lower bump do not learn distances */
static const double two_pi = 6.283185307179586;

struct painting {
    struct targets *targets;
    const struct target_object *objects;
    int rows, columns;
    int32_t *owner; /* (rows, columns) index of the object, -1 for none */
    float *bump;    /* (rows, columns) the owner's Gaussian there */
};

static float object_area(const struct target_object *object)
{
    return (object->x1 - object->x0) * (object->y1 - object->y0);
}

static int larger_first(const void *left, const void *right, void *context)
{
    const struct target_object *objects = context;
    size_t a = *(const size_t *)left, b = *(const size_t *)right;
    float area_a = object_area(&objects[a]), area_b = object_area(&objects[b]);
    if (area_a != area_b)
        return area_a < area_b ? 1 : -1;
    return (a > b) - (a < b);
}

static int clamp_int(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

static int nearest_cell(float pixel, int cells)
{
    return clamp_int((int)lrintf(pixel / TARGETS_STRIDE - 0.5f), 0, cells - 1);
}

static void paint_cell(struct painting *painting, size_t index, int row, int column, float bump)
{
    const struct target_object *object = &painting->objects[index];
    struct targets *targets = painting->targets;
    size_t cell = (size_t)row * (size_t)painting->columns + (size_t)column;
    float *heat = &targets->heat[cell * (size_t)targets->classes + (size_t)object->class_index];
    if (bump > *heat)
        *heat = bump;
    float x = (float)(column * TARGETS_STRIDE) + 2, y = (float)(row * TARGETS_STRIDE) + 2;
    if (bump <= regression_floor || x <= object->x0 || x >= object->x1 || y <= object->y0 || y >= object->y1)
        return;
    painting->owner[cell] = (int32_t)index;
    painting->bump[cell] = bump;
    float *box = &targets->box[cell * 4];
    box[0] = x - object->x0;
    box[1] = y - object->y0;
    box[2] = object->x1 - x;
    box[3] = object->y1 - y;
}

static void paint_object(struct painting *painting, size_t index)
{
    const struct target_object *object = &painting->objects[index];
    int radius_x = (int)(radius_per_side * (object->x1 - object->x0) / TARGETS_STRIDE);
    int radius_y = (int)(radius_per_side * (object->y1 - object->y0) / TARGETS_STRIDE);
    float sigma_x = fmaxf((float)(2 * radius_x + 1) / 6, 0.3f), sigma_y = fmaxf((float)(2 * radius_y + 1) / 6, 0.3f);
    int centre_x = nearest_cell((object->x0 + object->x1) / 2, painting->columns);
    int centre_y = nearest_cell((object->y0 + object->y1) / 2, painting->rows);
    for (int dy = -radius_y; dy <= radius_y; dy++) {
        for (int dx = -radius_x; dx <= radius_x; dx++) {
            int row = centre_y + dy, column = centre_x + dx;
            if (row < 0 || row >= painting->rows || column < 0 || column >= painting->columns)
                continue;
            float bump = expf(-(float)(dx * dx) / (2 * sigma_x * sigma_x) - (float)(dy * dy) / (2 * sigma_y * sigma_y));
            paint_cell(painting, index, row, column, bump);
        }
    }
}

/* How far a ray goes until it enters a pixel of another label or leaves the image: from one border between pixels to the
 * next (Amanatides, Woo: "A Fast Voxel Traversal Algorithm for Ray Tracing", 1987). */
static float march(const uint32_t *labels, int width, int height, const float from[2], double angle)
{
    const double direction[2] = {cos(angle), sin(angle)};
    int pixel[2], step[2];
    double next[2], apart[2]; /* where the ray meets the next border across each axis, and how far apart they are */
    for (int axis = 0; axis < 2; axis++) {
        pixel[axis] = (int)from[axis];
        step[axis] = direction[axis] < 0 ? -1 : 1;
        apart[axis] = fabs(direction[axis]) < 1e-9 ? INFINITY : 1 / fabs(direction[axis]);
        next[axis] = step[axis] > 0 ? apart[axis] : INFINITY;
        if (step[axis] < 0 && isfinite(apart[axis])) { /* it starts on a border */
            next[axis] = apart[axis];
            pixel[axis]--;
        }
    }
    uint32_t label = labels[(size_t)from[1] * (size_t)width + (size_t)from[0]];
    for (double length = 0;;) {
        int axis = next[0] <= next[1] ? 0 : 1;
        if (pixel[0] < 0 || pixel[0] >= width || pixel[1] < 0 || pixel[1] >= height ||
            labels[(size_t)pixel[1] * (size_t)width + (size_t)pixel[0]] != label)
            return (float)fmax(length, 0.5);
        length = next[axis];
        next[axis] += apart[axis];
        pixel[axis] += step[axis];
    }
}

static void fill_rays(struct painting *painting, size_t cell, const uint32_t *labels)
{
    struct targets *targets = painting->targets;
    const struct target_object *object = &painting->objects[painting->owner[cell]];
    float from[2] = {(float)(cell % (size_t)painting->columns * TARGETS_STRIDE) + 2,
                     (float)(cell / (size_t)painting->columns * TARGETS_STRIDE) + 2};
    if (labels[(size_t)from[1] * (size_t)targets->width + (size_t)from[0]] != object->label)
        return;
    for (int k = 0; k < targets->ray_count; k++)
        targets->rays[cell * (size_t)targets->ray_count + (size_t)k] =
            march(labels, targets->width, targets->height, from, two_pi * k / targets->ray_count);
    targets->ray_weight[cell] = painting->bump[cell];
}

static void clear_targets(struct targets *targets, size_t cells)
{
    memset(targets->heat, 0, cells * (size_t)targets->classes * sizeof(float));
    memset(targets->box, 0, cells * 4 * sizeof(float));
    memset(targets->box_weight, 0, cells * sizeof(float));
    if (targets->ray_count > 0) {
        memset(targets->rays, 0, cells * (size_t)targets->ray_count * sizeof(float));
        memset(targets->ray_weight, 0, cells * sizeof(float));
    }
}

/* weight[cell] = value[cell] / its owner's sum of values, over owned cells with a value. */
static void normalise(const struct painting *painting, size_t cells, const float *value, float *weight, float *sums)
{
    for (size_t cell = 0; cell < cells; cell++)
        if (painting->owner[cell] >= 0)
            sums[painting->owner[cell]] += value[cell];
    for (size_t cell = 0; cell < cells; cell++)
        if (painting->owner[cell] >= 0 && value[cell] > 0)
            weight[cell] = value[cell] / sums[painting->owner[cell]];
}

static void weigh(struct painting *painting, size_t cells, size_t count, const uint32_t *labels, float *sums)
{
    struct targets *targets = painting->targets;
    normalise(painting, cells, painting->bump, targets->box_weight, sums);
    if (targets->ray_count == 0)
        return;
    for (size_t cell = 0; cell < cells; cell++)
        if (painting->owner[cell] >= 0)
            fill_rays(painting, cell, labels);
    memset(sums, 0, count * sizeof *sums);
    normalise(painting, cells, targets->ray_weight, targets->ray_weight, sums);
}

enum code targets_fill(struct targets *targets, const struct target_object *objects, size_t count, const uint32_t *labels,
                       struct failure *why)
{
    if (count > TARGETS_OBJECTS_MAX)
        return failure_set(why, CODE_TOO_LARGE, "one image has %zu objects, more than %d", count, TARGETS_OBJECTS_MAX);
    struct painting painting = {targets, objects, targets->height / TARGETS_STRIDE, targets->width / TARGETS_STRIDE,
                                NULL,    NULL};
    size_t cells = (size_t)painting.rows * (size_t)painting.columns;
    SCOPE_FREE int32_t *owner = malloc(cells * sizeof *owner);
    SCOPE_FREE float *bump = calloc(cells, sizeof *bump);
    SCOPE_FREE float *sums = calloc(count + 1, sizeof *sums);
    SCOPE_FREE size_t *order = malloc((count + 1) * sizeof *order);
    if (!owner || !bump || !sums || !order)
        return failure_set(why, CODE_NO_MEMORY, "preparing training targets: out of memory");
    painting.owner = owner;
    painting.bump = bump;
    for (size_t cell = 0; cell < cells; cell++)
        owner[cell] = -1;
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    qsort_r(order, count, sizeof *order, larger_first, (void *)(uintptr_t)objects);
    clear_targets(targets, cells);
    for (size_t i = 0; i < count; i++)
        paint_object(&painting, order[i]);
    weigh(&painting, cells, count, labels, sums);
    return CODE_OK;
}
