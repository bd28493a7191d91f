/* Files for other programs: see exports.h.  Coordinates are pixels, (0, 0) the upper left corner of the upper left pixel, as
 * QuPath and ImageJ have them. */
#include "exports.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "outline.h"
#include "scope.h"

#define LABELS_MAX 65535

struct corners {
    float at[NETWORK_RAYS_MAX][2];
    int count;
};

static void corners_of(const struct detection *item, int ray_count, const struct results_image *image, struct corners *out)
{
    const struct box *box = &item->box;
    if (ray_count >= 3) {
        out->count = ray_count;
        detection_outline(item, ray_count, (const int[]){image->width, image->height}, out->at);
        return;
    }
    const float at[4][2] = {{box->x0, box->y0}, {box->x1, box->y0}, {box->x1, box->y1}, {box->x0, box->y1}};
    out->count = 4;
    memcpy(out->at, at, sizeof at);
}

/* GeoJSON ----------------------------------------------------------------------------------------------------------- */

static void append_feature(struct buffer *out, const struct detection *item, const struct corners *corners,
                           const char *class_name)
{
    buffer_append_text(out, "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\",\"coordinates\":[[");
    for (int k = 0; k <= corners->count; k++) /* the first corner is also the last */
        buffer_printf(out, "%s[%.2f,%.2f]", k ? "," : "", corners->at[k % corners->count][0],
                      corners->at[k % corners->count][1]);
    buffer_append_text(out, "]]},\"properties\":{\"objectType\":\"detection\",\"classification\":{\"name\":");
    buffer_append_json(out, class_name);
    buffer_printf(out, "},\"measurements\":{\"score\":%.4f,\"probability\":%.4f}}}", item->score, item->probability);
}

void exports_append_geojson(struct buffer *out, const struct results_image *image, const struct detection_list *list,
                            const struct model_info *info)
{
    buffer_append_text(out, "{\"type\":\"FeatureCollection\",\"features\":[\n");
    for (size_t i = 0; i < list->count; i++) {
        struct corners corners;
        corners_of(&list->items[i], list->ray_count, image, &corners);
        append_feature(out, &list->items[i], &corners, info->class_names[list->items[i].class_index]);
        buffer_append_text(out, i + 1 < list->count ? ",\n" : "\n");
    }
    buffer_append_text(out, "]}\n");
}

/* Label image ------------------------------------------------------------------------------------------------------- */

enum code exports_write_labels(const char *path, const struct results_image *image, struct detection_list *list,
                               struct failure *why)
{
    size_t pixels = (size_t)image->width * (size_t)image->height;
    SCOPE_FREE uint32_t *labels = calloc(pixels, sizeof *labels);
    if (!labels)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    enum code code = outline_paint(list, image->width, image->height, labels, why);
    if (code == CODE_OK && list->count > LABELS_MAX)
        code = failure_set(why, CODE_TOO_LARGE, "%s: %zu objects are more than a 16-bit label image can number (%d)", path,
                           list->count, LABELS_MAX);
    SCOPE_IMAGE picture = {0};
    if (code == CODE_OK)
        code = image_create(image->width, image->height, 1, 16, &picture, why);
    if (code != CODE_OK)
        return code;
    picture.pixel_um = image->pixel_um;
    uint16_t *to = picture.data;
    for (size_t i = 0; i < pixels; i++)
        to[i] = (uint16_t)labels[i];
    return image_write_tiff(path, &picture, why);
}

/* ImageJ ------------------------------------------------------------------------------------------------------------ */

enum { ROI_HEADER = 64, ROI_VERSION = 227, ROI_POLYGON = 0, ROI_SUBPIXEL = 128 };
#define ROI_BYTES_MAX (ROI_HEADER + NETWORK_RAYS_MAX * 12)

static void put16(uint8_t *at, int value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_float(uint8_t *at, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put16(at, (int)(bits >> 16));
    put16(at + 2, (int)(bits & 0xffff));
}

/* Header; whole coordinates relative to the bounding box; exact ones.  Big-endian. */
static size_t format_roi(const struct corners *corners, uint8_t bytes[ROI_BYTES_MAX])
{
    float low[2] = {corners->at[0][0], corners->at[0][1]}, high[2] = {low[0], low[1]};
    for (int k = 1; k < corners->count; k++)
        for (int axis = 0; axis < 2; axis++) {
            low[axis] = fminf(low[axis], corners->at[k][axis]);
            high[axis] = fmaxf(high[axis], corners->at[k][axis]);
        }
    int left = (int)floorf(low[0]), top = (int)floorf(low[1]), count = corners->count;
    memset(bytes, 0, ROI_BYTES_MAX);
    memcpy(bytes, "Iout", 4);
    put16(bytes + 4, ROI_VERSION);
    bytes[6] = ROI_POLYGON;
    put16(bytes + 8, top);
    put16(bytes + 10, left);
    put16(bytes + 12, (int)ceilf(high[1]));
    put16(bytes + 14, (int)ceilf(high[0]));
    put16(bytes + 16, count);
    put16(bytes + 50, ROI_SUBPIXEL);
    uint8_t *whole = bytes + ROI_HEADER, *exact = whole + 4 * count;
    for (int k = 0; k < count; k++) {
        put16(whole + 2 * k, (int)lroundf(corners->at[k][0]) - left);
        put16(whole + 2 * (count + k), (int)lroundf(corners->at[k][1]) - top);
        put_float(exact + 4 * k, corners->at[k][0]);
        put_float(exact + 4 * (count + k), corners->at[k][1]);
    }
    return ROI_HEADER + 12 * (size_t)count;
}

/* The archive takes what it was given when it is closed, so all of it is kept until then.  The same time for all, so that
 * the same detections give the same file. */
static bool add_roi(zip_t *archive, const char *name, const uint8_t *bytes, size_t count)
{
    zip_source_t *source = zip_source_buffer(archive, bytes, count, 0);
    zip_int64_t index = source ? zip_file_add(archive, name, source, ZIP_FL_ENC_UTF_8) : -1;
    if (index < 0) {
        zip_source_free(source);
        return false;
    }
    return zip_file_set_dostime(archive, (zip_uint64_t)index, 0, 33, 0) == 0; /* 1 January 1980 */
}

static bool add_rois(zip_t *archive, const struct results_image *image, const struct detection_list *list,
                     const struct model_info *info, uint8_t *bytes)
{
    for (size_t i = 0; i < list->count; i++, bytes += ROI_BYTES_MAX) {
        struct corners corners;
        char name[MODEL_CLASS_NAME_MAX + 32];
        corners_of(&list->items[i], list->ray_count, image, &corners);
        snprintf(name, sizeof name, "%05zu-%s.roi", i + 1, info->class_names[list->items[i].class_index]);
        for (char *c = name; *c; c++)
            if (*c == '/' || *c == '\\')
                *c = '_';
        if (!add_roi(archive, name, bytes, format_roi(&corners, bytes)))
            return false;
    }
    return true;
}

enum code exports_write_rois(const char *path, const struct results_image *image, const struct detection_list *list,
                             const struct model_info *info, struct failure *why)
{
    int error = 0;
    SCOPE_FREE uint8_t *bytes = calloc(list->count + 1, ROI_BYTES_MAX);
    if (!bytes)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    zip_t *archive = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &error);
    if (!archive)
        return failure_set(why, CODE_IO, "%s: cannot be written", path);
    if (add_rois(archive, image, list, info, bytes) && zip_close(archive) == 0)
        return CODE_OK;
    failure_set(why, CODE_IO, "%s: %s", path, zip_strerror(archive));
    zip_discard(archive);
    return CODE_IO;
}
