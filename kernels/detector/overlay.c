/* Drawing detections: see overlay.h.  Lines are Bresenham's, thickened to a square pen of 1 px for small
 * pictures and 2 or 3 px for large ones; pixels outside the picture are skipped one by one, since lines are
 * short. */
#include "overlay.h"

#include <math.h>
#include <stdlib.h>

#include "preprocessing.h"

/* Okabe and Ito's palette (colour-blind safe) without black, then lighter variants. */
static const uint8_t colours[][3] = {
    {230, 159, 0},   {86, 180, 233},  {0, 158, 115},   {240, 228, 66},  {0, 114, 178},   {213, 94, 0},
    {204, 121, 167}, {255, 255, 255}, {150, 255, 150}, {255, 150, 150}, {150, 150, 255}, {200, 200, 90},
};

struct pen {
    struct image *picture;
    int thickness;
    uint8_t rgb[3];
};

void overlay_class_colour(int class_index, uint8_t rgb[3])
{
    const uint8_t *colour = colours[(size_t)class_index % (sizeof colours / sizeof *colours)];
    for (int c = 0; c < 3; c++)
        rgb[c] = colour[c];
}

static void dot(const struct pen *pen, int x, int y)
{
    struct image *picture = pen->picture;
    for (int dy = 0; dy < pen->thickness; dy++) {
        for (int dx = 0; dx < pen->thickness; dx++) {
            if (x + dx < 0 || x + dx >= picture->width || y + dy < 0 || y + dy >= picture->height)
                continue;
            uint8_t *pixel = (uint8_t *)picture->data + ((size_t)(y + dy) * (size_t)picture->width + (size_t)(x + dx)) * 3;
            for (int c = 0; c < 3; c++)
                pixel[c] = pen->rgb[c];
        }
    }
}

static void line(const struct pen *pen, const float from[2], const float to[2])
{
    int x = (int)lrintf(from[0]), y = (int)lrintf(from[1]);
    int end_x = (int)lrintf(to[0]), end_y = (int)lrintf(to[1]);
    int across = abs(end_x - x), down = -abs(end_y - y);
    int step_x = x < end_x ? 1 : -1, step_y = y < end_y ? 1 : -1;
    int error = across + down;
    for (;;) {
        dot(pen, x, y);
        if (x == end_x && y == end_y)
            return;
        int doubled = 2 * error;
        if (doubled >= down) {
            error += down;
            x += step_x;
        }
        if (doubled <= across) {
            error += across;
            y += step_y;
        }
    }
}

static void polygon(const struct pen *pen, float (*points)[2], int count)
{
    for (int k = 0; k < count; k++)
        line(pen, points[k], points[(k + 1) % count]);
}

static void draw_detection(struct pen *pen, const struct detection *item, int ray_count)
{
    const int size[2] = {pen->picture->width - 1, pen->picture->height - 1};
    float points[NETWORK_RAYS_MAX][2];
    overlay_class_colour(item->class_index, pen->rgb);
    if (ray_count >= 3) {
        detection_outline(item, ray_count, size, points);
        polygon(pen, points, ray_count);
        return;
    }
    float x1 = fminf(item->box.x1 - 1, (float)size[0]), y1 = fminf(item->box.y1 - 1, (float)size[1]);
    float corners[4][2] = {{item->box.x0, item->box.y0}, {x1, item->box.y0}, {x1, y1}, {item->box.x0, y1}};
    polygon(pen, corners, 4);
}

static uint8_t to_byte(float value)
{
    return (uint8_t)lrintf(fminf(fmaxf(value, 0), 1) * 255);
}

enum code overlay_draw(const struct image *image, const struct detection_list *list, struct image *out, struct failure *why)
{
    bool is_camera_picture = image->bits == 8 && image->channels == 3;
    struct preprocessing shown = {
        .intensity = is_camera_picture ? INTENSITY_FULL : INTENSITY_PERCENTILE, .scale = 1, .channels = 3};
    SCOPE_PLANE plane = {0};
    enum code code = preprocessing_apply(&shown, image, &plane, why);
    if (code == CODE_OK)
        code = image_create(image->width, image->height, 3, 8, out, why);
    if (code != CODE_OK)
        return code;
    size_t samples = (size_t)image->width * (size_t)image->height * 3;
    for (size_t i = 0; i < samples; i++)
        ((uint8_t *)out->data)[i] = to_byte(plane.data[i]);
    int longer = image->width > image->height ? image->width : image->height;
    struct pen pen = {.picture = out, .thickness = longer < 512 ? 1 : longer < 2048 ? 2 : 3};
    for (size_t i = list->count; i-- > 0;)
        draw_detection(&pen, &list->items[i], list->ray_count);
    return CODE_OK;
}
