/* Brightness and size beside the training's: see domain_shift.h. */
#include "domain_shift.h"

#include <math.h>
#include <stdlib.h>

#include "detection.h"

enum change { CHANGE_NONE, CHANGE_LESS, CHANGE_MORE, CHANGE_COUNT };

static enum change brightness(const struct model_info *info, const struct image *image)
{
    double low, high;
    preprocessing_percentiles(image, &low, &high);
    if (low < info->range_low[0] && high < info->range_high[0])
        return CHANGE_LESS;
    return low > info->range_low[1] && high > info->range_high[1] ? CHANGE_MORE : CHANGE_NONE;
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static enum change size(const struct model_info *info, const struct image *image, const struct detection_list *found)
{
    if (found->count < DOMAIN_SHIFT_OBJECTS_MIN || info->object_side_px <= 0)
        return CHANGE_NONE;
    double *sides = malloc(found->count * sizeof *sides);
    if (!sides)
        return CHANGE_NONE; /* a hint less */
    for (size_t i = 0; i < found->count; i++) {
        const struct box *box = &found->items[i].box;
        sides[i] = sqrt((double)(box->x1 - box->x0) * (double)(box->y1 - box->y0));
    }
    qsort(sides, found->count, sizeof *sides, ascending);
    double ratio = sides[found->count / 2] / info->object_side_px;
    if (image->pixel_um > 0 && info->pixel_um > 0)
        ratio *= image->pixel_um / info->pixel_um;
    free(sides);
    return ratio < 0.5 ? CHANGE_LESS : ratio > 2 ? CHANGE_MORE : CHANGE_NONE;
}

const char *domain_shift_of(const struct model_info *info, const struct image *image, const struct detection_list *found)
{
    static const char *const words[CHANGE_COUNT][CHANGE_COUNT] = {
        {"", "smaller objects", "larger objects"},
        {"darker", "darker; smaller objects", "darker; larger objects"},
        {"brighter", "brighter; smaller objects", "brighter; larger objects"},
    };
    return words[brightness(info, image)][size(info, image, found)];
}
