/* Label maps of detections: see outline.h.  A polygon is filled row by row (even-odd rule at the pixels' centres): where a
 * row's middle crosses the polygon's edges the inside begins and ends.  Two passes: the first counts how many pixels
 * are free, the second takes them. */
#include "outline.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CORNERS_MAX NETWORK_RAYS_MAX

_Static_assert(CORNERS_MAX >= 4, "a box has four corners");

struct canvas {
    int width, height;
    uint32_t *labels;
};

struct polygon {
    float corners[CORNERS_MAX][2];
    int count;
};

struct share {
    size_t free, all; /* pixels */
};

static void outline_of(const struct detection *item, int ray_count, const struct canvas *canvas, struct polygon *out)
{
    const struct box *box = &item->box;
    if (ray_count >= 3) {
        out->count = ray_count;
        detection_outline(item, ray_count, (const int[]){canvas->width, canvas->height}, out->corners);
        return;
    }
    const float corners[4][2] = {{box->x0, box->y0}, {box->x1, box->y0}, {box->x1, box->y1}, {box->x0, box->y1}};
    out->count = 4;
    memcpy(out->corners, corners, sizeof corners);
}

static int ascending(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

/* Where the horizontal line at y crosses the polygon, from left to right. */
static int find_crossings(const struct polygon *polygon, float y, float *crossings)
{
    int count = 0;
    for (int k = 0; k < polygon->count; k++) {
        const float *a = polygon->corners[k], *b = polygon->corners[(k + 1) % polygon->count];
        if ((a[1] <= y) != (b[1] <= y))
            crossings[count++] = a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]);
    }
    qsort(crossings, (size_t)count, sizeof *crossings, ascending);
    return count;
}

/* The first pixel whose centre is at x or right of it. */
static int pixel_from(float x, int width)
{
    float pixel = ceilf(x - 0.5f);
    return pixel < 0 ? 0 : pixel > (float)width ? width : (int)pixel;
}

/* Counts the polygon's pixels in a row; with a label, takes the free ones. */
static void scan_row(const struct canvas *canvas, const struct polygon *polygon, int row, uint32_t label,
                     struct share *share)
{
    float crossings[CORNERS_MAX];
    int count = find_crossings(polygon, (float)row + 0.5f, crossings);
    uint32_t *labels = canvas->labels + (size_t)row * (size_t)canvas->width;
    for (int k = 0; k + 1 < count; k += 2) {
        int end = pixel_from(crossings[k + 1], canvas->width);
        for (int x = pixel_from(crossings[k], canvas->width); x < end; x++) {
            share->all++;
            share->free += labels[x] == 0;
            if (label && labels[x] == 0)
                labels[x] = label;
        }
    }
}

static struct share scan(const struct canvas *canvas, const struct polygon *polygon, uint32_t label)
{
    struct share share = {0};
    float top = polygon->corners[0][1], bottom = top;
    for (int k = 1; k < polygon->count; k++) {
        top = fminf(top, polygon->corners[k][1]);
        bottom = fmaxf(bottom, polygon->corners[k][1]);
    }
    int end = pixel_from(bottom, canvas->height);
    for (int row = pixel_from(top, canvas->height); row < end; row++)
        scan_row(canvas, polygon, row, label, &share);
    return share;
}

enum code outline_paint(struct detection_list *list, int width, int height, uint32_t *labels, struct failure *why)
{
    struct canvas canvas = {width, height, labels};
    size_t kept = 0;
    memset(labels, 0, (size_t)width * (size_t)height * sizeof *labels);
    if (list->count >= UINT32_MAX)
        return failure_set(why, CODE_TOO_LARGE, "painting outlines: %zu are too many", list->count);
    for (size_t i = 0; i < list->count; i++) {
        struct polygon polygon;
        outline_of(&list->items[i], list->ray_count, &canvas, &polygon);
        struct share share = scan(&canvas, &polygon, 0);
        if (share.all == 0 || 2 * share.free < share.all)
            continue;
        scan(&canvas, &polygon, (uint32_t)kept + 1);
        list->items[kept++] = list->items[i];
    }
    list->count = kept;
    return CODE_OK;
}
