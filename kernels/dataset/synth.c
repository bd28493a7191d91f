/* Writing synthetic datasets: places (synth_layout.c), paints (synth_paint.c), and writes image, label map
 * and boxes.  Boxes are measured on the label map that is written, so masks and boxes agree by construction.
 */
#include "synth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "file.h"
#include "image.h"
#include "scope.h"
#include "synth_layout.h"
#include "synth_paint.h"

static const char *const kind_names[] = {[SYNTH_FLUO16] = "fluo16", [SYNTH_SMEAR8] = "smear8"};

static const char *const class_names[2][3] = {[SYNTH_FLUO16] = {"nucleus"}, [SYNTH_SMEAR8] = {"RBC", "WBC", "Platelets"}};

enum code synth_kind_from_name(const char *name, enum synth_kind *kind, struct failure *why)
{
    for (int i = SYNTH_FLUO16; i <= SYNTH_SMEAR8; i++)
        if (strcmp(name, kind_names[i]) == 0) {
            *kind = (enum synth_kind)i;
            return CODE_OK;
        }
    return failure_set(why, CODE_INVALID, "\"%s\" is no kind of synthetic image: write fluo16 or smear8", name);
}

const char *synth_kind_name(enum synth_kind kind)
{
    return kind_names[kind];
}

static enum code check_request(const struct synth_request *request, struct failure *why)
{
    if (request->width < SYNTH_SIDE_MIN || request->width > SYNTH_SIDE_MAX || request->height < SYNTH_SIDE_MIN ||
        request->height > SYNTH_SIDE_MAX)
        return failure_set(why, CODE_INVALID, "synthetic images of %d x %d pixels: each side may have %d to %d",
                           request->width, request->height, SYNTH_SIDE_MIN, SYNTH_SIDE_MAX);
    if (request->first > SYNTH_COUNT_MAX || request->count > SYNTH_COUNT_MAX - request->first)
        return failure_set(why, CODE_INVALID, "%zu synthetic images from number %zu: numbers end at %d", request->count,
                           request->first, SYNTH_COUNT_MAX);
    return CODE_OK;
}

/* The extent of each label: boxes[label - 1], in pixels; x1 == 0 where a label has no pixel. */
static void measure_boxes(const struct synth_layout *layout, struct synth_window *boxes)
{
    for (int y = 0; y < layout->height; y++)
        for (int x = 0; x < layout->width; x++) {
            unsigned owner = layout->owner[(size_t)y * (size_t)layout->width + (size_t)x];
            if (owner == 0)
                continue;
            struct synth_window *box = &boxes[owner - 1];
            bool fresh = box->x1 == 0;
            if (fresh || x < box->x0)
                box->x0 = x;
            if (fresh)
                box->y0 = y;
            if (x >= box->x1)
                box->x1 = x + 1;
            box->y1 = y + 1;
        }
}

static enum code list_boxes(enum synth_kind kind, const struct synth_layout *layout, const char *image, struct buffer *csv,
                            struct failure *why)
{
    SCOPE_FREE struct synth_window *boxes = calloc(layout->count + 1, sizeof *boxes);
    if (!boxes)
        return failure_set(why, CODE_NO_MEMORY, "listing synthetic cells: out of memory");
    measure_boxes(layout, boxes);
    for (size_t i = 0; i < layout->count; i++)
        buffer_printf(csv, "%s,%s,%d,%d,%d,%d,%zu\n", image, class_names[kind][layout->cells[i].class_index], boxes[i].x0,
                      boxes[i].y0, boxes[i].x1, boxes[i].y1, i + 1);
    if (layout->count == 0)
        buffer_printf(csv, "%s,,,,,,\n", image);
    return CODE_OK;
}

static enum code write_files(const struct image *image, const struct synth_layout *layout, const char *folder,
                             const char *name, struct failure *why)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/images/%s", folder, name) >= (int)sizeof path)
        return failure_set(why, CODE_NAME_TOO_LONG, "%s: the folder's name is too long", folder);
    enum code code = image_write_tiff(path, image, why);
    if (code != CODE_OK)
        return code;
    struct image labels = {
        .width = layout->width, .height = layout->height, .channels = 1, .bits = 16, .data = layout->owner};
    snprintf(path, sizeof path, "%s/labels/%s", folder, name);
    return image_write_tiff(path, &labels, why);
}

static enum code write_one(const struct synth_request *request, size_t number, const char *folder, struct buffer *csv,
                           struct failure *why)
{
    char name[64], listed[80];
    snprintf(name, sizeof name, "%s-%06zu.tif", kind_names[request->kind], number);
    snprintf(listed, sizeof listed, "images/%s", name);
    SCOPE_IMAGE image = {0};
    struct synth_layout layout;
    enum code code = synth_layout_place(request, number, &layout, why);
    if (code != CODE_OK)
        return code;
    code = synth_paint_image(request, number, &layout, &image, why);
    if (code == CODE_OK)
        code = write_files(&image, &layout, folder, name, why);
    if (code == CODE_OK)
        code = list_boxes(request->kind, &layout, listed, csv, why);
    synth_layout_free(&layout);
    return code;
}

static enum code make_folders(const char *folder, struct failure *why)
{
    static const char *const inner[] = {"images", "labels"};
    enum code code = CODE_OK;
    for (int i = 0; code == CODE_OK && i < 2; i++) {
        SCOPE_FREE char *path = file_join(folder, inner[i]);
        code = path ? file_make_folders(path, why) : failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
    }
    return code;
}

enum code synth_write(const struct synth_request *request, const char *folder, synth_progress progress, void *context,
                      struct failure *why)
{
    enum code code = check_request(request, why);
    if (code == CODE_OK)
        code = make_folders(folder, why);
    SCOPE_BUFFER csv = {.max = (size_t)2 << 30};
    buffer_append_text(&csv, "image,class,x0,y0,x1,y1,label\n");
    for (size_t i = 0; code == CODE_OK && i < request->count; i++) {
        code = write_one(request, request->first + i, folder, &csv, why);
        if (code == CODE_OK && progress && !progress(context, i + 1, request->count))
            code = failure_set(why, CODE_INTERRUPTED, "%s: stopped after %zu of %zu synthetic images", folder, i + 1,
                               request->count);
    }
    if (code == CODE_OK)
        code = buffer_check(&csv, "the list of synthetic cells", why);
    if (code != CODE_OK)
        return code;
    char name[64] = "boxes.csv";
    if (request->first > 0)
        snprintf(name, sizeof name, "boxes-%06zu.csv", request->first);
    SCOPE_FREE char *path = file_join(folder, name);
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
    return file_write(path, csv.data, csv.length, why);
}
