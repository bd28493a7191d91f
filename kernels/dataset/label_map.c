/* Instance masks.  A label map holds one number a pixel: 0 is background, each other number one object.
 *
 * Boxes follow from pixels: an object whose pixels span columns a..b and rows c..d has the box [a, b+1) x [c,
 * d+1).
 *
 * Many programs save a mask that only says "cell" (one bit, or 0 and 255).  There the objects are the
 * connected components (8 neighbours); touching cells become one, which no reader can undo.  A map with more
 * than one value is taken as it is, even where a label lies in two pieces: a cell that another one covers
 * does.
 */
#include "label_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "image.h"
#include "scope.h"

#define PATH_BYTES_MAX 4096

/* "a/images/x.png": the folder "a/", its last part "images/" and the stem "x", by lengths. */
struct parts {
    int above;  /* bytes of the folder above the image's own, with its slash */
    int folder; /* bytes of the whole folder, with its slash; 0 without one */
    int stem;   /* bytes of the base name without its extension */
};

static struct parts take_apart(const char *path)
{
    const char *base = file_base_name(path);
    struct parts parts = {.folder = (int)(base - path)};
    parts.above = parts.folder > 0 ? parts.folder - 1 : 0;
    while (parts.above > 0 && path[parts.above - 1] != '/')
        parts.above--;
    const char *dot = strrchr(base, '.');
    parts.stem = dot ? (int)(dot - base) : (int)strlen(base);
    return parts;
}

/* The first existing "<start><stem><ending>.<extension>" over the extensions of label images. */
static const char *find_with_extension(const struct scan *scan, const char *start)
{
    static const char *const extensions[] = {"tif", "tiff", "png", "TIF", "PNG"};
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        char name[PATH_BYTES_MAX];
        if (snprintf(name, sizeof name, "%s.%s", start, extensions[i]) >= (int)sizeof name)
            return NULL;
        size_t at = scan_lower_bound(scan, name);
        if (at < scan->count && strcmp(scan->paths[at], name) == 0)
            return scan->paths[at];
    }
    return NULL;
}

const char *label_map_find(const struct scan *scan, const char *path)
{
    static const char *const endings[] = {"_label", "_labels", "_mask", "_masks"};
    static const char *const folders[] = {"labels/", "masks/"};
    struct parts parts = take_apart(path);
    const char *base = path + parts.folder, *found = NULL;
    char start[PATH_BYTES_MAX];
    for (size_t i = 0; !found && i < sizeof endings / sizeof *endings; i++)
        if (snprintf(start, sizeof start, "%.*s%s", parts.folder + parts.stem, path, endings[i]) < (int)sizeof start)
            found = find_with_extension(scan, start);
    for (size_t i = 0; !found && i < 4; i++) { /* beside the image's folder, then inside it */
        int kept = i < 2 ? parts.above : parts.folder;
        if (snprintf(start, sizeof start, "%.*s%s%.*s", kept, path, folders[i % 2], parts.stem, base) < (int)sizeof start)
            found = find_with_extension(scan, start);
    }
    return found;
}

bool label_map_find_masks(const struct scan *scan, const char *path, size_t *first, size_t *count)
{
    struct parts parts = take_apart(path);
    const char *folder = path + parts.above;
    if (parts.folder - parts.above != (int)strlen("images/") || strncmp(folder, "images/", strlen("images/")) != 0)
        return false;
    char masks[PATH_BYTES_MAX];
    int length = snprintf(masks, sizeof masks, "%.*smasks/", parts.above, path);
    if (length >= (int)sizeof masks)
        return false;
    size_t at = scan_lower_bound(scan, masks);
    for (*first = at; at < scan->count && strncmp(scan->paths[at], masks, (size_t)length) == 0; at++)
        if (!scan_is_image_name(scan->paths[at]))
            return false;
    *count = at - *first;
    return *count > 0;
}

/* Numbers the connected components (8 neighbours) of the non-zero pixels, from 1 in reading order, by
 * flooding each from a stack of pixels. */
static enum code number_components(uint32_t *labels, int width, int height, struct failure *why)
{
    size_t pixels = (size_t)width * (size_t)height, depth = 0;
    SCOPE_FREE uint32_t *stack = malloc(pixels * sizeof *stack);
    if (!stack)
        return failure_set(why, CODE_NO_MEMORY, "separating the cells of a mask: out of memory");
    for (size_t i = 0; i < pixels; i++)
        labels[i] = labels[i] ? UINT32_MAX : 0;
    uint32_t label = 0;
    for (size_t i = 0; i < pixels; i++) {
        if (labels[i] != UINT32_MAX)
            continue;
        labels[i] = ++label;
        stack[depth++] = (uint32_t)i;
        while (depth > 0) {
            uint32_t at = stack[--depth];
            int x = (int)(at % (uint32_t)width), y = (int)(at / (uint32_t)width);
            for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < height; v++)
                for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < width; u++) {
                    size_t next = (size_t)v * (size_t)width + (size_t)u;
                    if (labels[next] == UINT32_MAX) {
                        labels[next] = label;
                        stack[depth++] = (uint32_t)next;
                    }
                }
        }
    }
    return CODE_OK;
}

/* Whether there is but one value beside background, and one that programs use for "cell". */
static bool only_tells_cell(const uint32_t *labels, size_t pixels)
{
    uint32_t value = 0;
    for (size_t i = 0; i < pixels; i++) {
        if (labels[i] == 0 || labels[i] == value)
            continue;
        if (value != 0)
            return false;
        value = labels[i];
    }
    return value == 255 || value == 65535 || value == 0xFFFFFF;
}

static enum code read_checked(const char *path, int width, int height, uint32_t **labels, struct failure *why)
{
    int found_width, found_height;
    enum code code = image_read_labels(path, &found_width, &found_height, labels, why);
    if (code != CODE_OK)
        return code;
    if (found_width == width && found_height == height)
        return CODE_OK;
    free(*labels);
    *labels = NULL;
    return failure_set(why, CODE_INVALID, "%s: %d x %d pixels, but its image has %d x %d", path, found_width, found_height,
                       width, height);
}

enum code label_map_read(const char *path, int width, int height, bool split, uint32_t **labels, struct failure *why)
{
    enum code code = read_checked(path, width, height, labels, why);
    if (code != CODE_OK || !split || !only_tells_cell(*labels, (size_t)width * (size_t)height))
        return code;
    code = number_components(*labels, width, height, why);
    if (code != CODE_OK) {
        free(*labels);
        *labels = NULL;
    }
    return code;
}

enum code label_map_paint(const char *path, int width, int height, uint32_t label, uint32_t *labels, struct failure *why)
{
    SCOPE_FREE uint32_t *mask = NULL;
    enum code code = read_checked(path, width, height, &mask, why);
    if (code != CODE_OK)
        return code;
    for (size_t i = 0; i < (size_t)width * (size_t)height; i++)
        if (mask[i] && !labels[i])
            labels[i] = label;
    return CODE_OK;
}

/* The label's place in a growing, sorted list of objects. */
struct collection {
    struct dataset_object *objects;
    size_t count, capacity;
};

static struct dataset_object *find_or_add(struct collection *collection, uint32_t label)
{
    size_t low = 0, high = collection->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (collection->objects[middle].label < label)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < collection->count && collection->objects[low].label == label)
        return &collection->objects[low];
    if (collection->count == collection->capacity) {
        size_t wanted = collection->capacity ? collection->capacity * 2 : 64;
        struct dataset_object *grown = realloc(collection->objects, wanted * sizeof *grown);
        if (!grown)
            return NULL;
        collection->objects = grown;
        collection->capacity = wanted;
    }
    struct dataset_object *added = &collection->objects[low];
    memmove(added + 1, added, (collection->count - low) * sizeof *added);
    collection->count++;
    *added = (struct dataset_object){.label = label};
    return added;
}

/* Grows the object's box by the run of its pixels x .. end-1 in row y. */
static void take_run(struct dataset_object *object, int x, int end, int y)
{
    bool fresh = object->x1 == 0;
    if (fresh || (float)x < object->x0)
        object->x0 = (float)x;
    if (fresh)
        object->y0 = (float)y;
    if ((float)end > object->x1)
        object->x1 = (float)end;
    object->y1 = (float)(y + 1);
}

enum code label_map_objects(const uint32_t *labels, int width, int height, struct dataset_object **objects, size_t *count,
                            struct failure *why)
{
    struct collection collection = {0};
    enum code code = CODE_OK;
    for (int y = 0; code == CODE_OK && y < height; y++) {
        const uint32_t *row = labels + (size_t)y * (size_t)width;
        for (int x = 0, end; code == CODE_OK && x < width; x = end) {
            for (end = x + 1; end < width && row[end] == row[x]; end++) {
            }
            if (row[x] == 0)
                continue;
            struct dataset_object *object = find_or_add(&collection, row[x]);
            if (!object)
                code = failure_set(why, CODE_NO_MEMORY, "reading a label image: out of memory");
            else if (collection.count > DATASET_OBJECTS_MAX)
                code = failure_set(why, CODE_TOO_LARGE, "a label image of more than %d objects", DATASET_OBJECTS_MAX);
            else
                take_run(object, x, end, y);
        }
    }
    if (code != CODE_OK) {
        free(collection.objects);
        return code;
    }
    *objects = collection.objects;
    *count = collection.count;
    return CODE_OK;
}
