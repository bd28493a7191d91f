/* Detections as values: see detection.h.
 *
 * Suppression compares each candidate with the kept ones of its class only, best first, so its cost is
 * (candidates x kept); with at most a few thousand objects an image that is milliseconds.
 */
#include "detection.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const double two_pi = 6.283185307179586;

enum code detection_list_add(struct detection_list *list, const struct detection *item, struct failure *why)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        struct detection *grown = reallocarray(list->items, capacity, sizeof *grown);
        if (!grown)
            return failure_set(why, CODE_NO_MEMORY, "detecting objects: out of memory after %zu of them", list->count);
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count++] = *item;
    return CODE_OK;
}

void detection_list_free(struct detection_list *list)
{
    free(list->items);
    *list = (struct detection_list){0};
}

static int compare_floats(float a, float b)
{
    return (a > b) - (a < b);
}

static int best_first(const void *left, const void *right)
{
    const struct detection *a = left, *b = right;
    int order = compare_floats(b->score, a->score);
    if (!order)
        order = (a->class_index > b->class_index) - (a->class_index < b->class_index);
    if (!order)
        order = compare_floats(a->box.y0, b->box.y0);
    if (!order)
        order = compare_floats(a->box.x0, b->box.x0);
    if (!order)
        order = compare_floats(a->box.y1, b->box.y1);
    return order ? order : compare_floats(a->box.x1, b->box.x1);
}

void detection_list_sort(struct detection_list *list)
{
    if (list->count > 1)
        qsort(list->items, list->count, sizeof *list->items, best_first);
}

float detection_iou(const struct box *a, const struct box *b)
{
    float width = fminf(a->x1, b->x1) - fmaxf(a->x0, b->x0);
    float height = fminf(a->y1, b->y1) - fmaxf(a->y0, b->y0);
    if (width <= 0 || height <= 0)
        return 0;
    float both = width * height;
    float either = (a->x1 - a->x0) * (a->y1 - a->y0) + (b->x1 - b->x0) * (b->y1 - b->y0) - both;
    return either > 0 ? both / either : 0;
}

static bool is_covered(const struct detection *item, const struct detection *kept, size_t kept_count, float iou)
{
    for (size_t i = 0; i < kept_count; i++)
        if (kept[i].class_index == item->class_index && detection_iou(&kept[i].box, &item->box) > iou)
            return true;
    return false;
}

void detection_list_suppress(struct detection_list *list, float iou)
{
    detection_list_sort(list);
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (!is_covered(&list->items[i], list->items, kept, iou))
            list->items[kept++] = list->items[i];
    list->count = kept;
}

void detection_list_keep_above(struct detection_list *list, const float *threshold_by_class)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].score >= threshold_by_class[list->items[i].class_index])
            list->items[kept++] = list->items[i];
    list->count = kept;
}

void detection_list_enlarge(struct detection_list *list, double factor)
{
    for (size_t i = 0; i < list->count; i++)
        for (int k = 0; k < list->ray_count; k++)
            list->items[i].rays[k] *= (float)factor;
}

void detection_outline(const struct detection *item, int ray_count, const int size[2], float (*points)[2])
{
    for (int k = 0; k < ray_count; k++) {
        double angle = two_pi * k / ray_count;
        points[k][0] = fminf(fmaxf(item->origin_x + item->rays[k] * (float)cos(angle), 0), (float)size[0]);
        points[k][1] = fminf(fmaxf(item->origin_y + item->rays[k] * (float)sin(angle), 0), (float)size[1]);
    }
}

double detection_area(const struct detection *item, int ray_count)
{
    if (ray_count < 3)
        return (double)(item->box.x1 - item->box.x0) * (item->box.y1 - item->box.y0);
    double twice = 0;
    double sine = sin(two_pi / ray_count);
    for (int k = 0; k < ray_count; k++)
        twice += (double)item->rays[k] * item->rays[(k + 1) % ray_count] * sine;
    return twice / 2;
}
