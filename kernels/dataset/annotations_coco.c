/* COCO JSON: one file for many images (cocodataset.org, "object detection").
 *
 *     {"images": [{"id": 1, "file_name": "a.png"}, ...], "categories": [{"id": 7, "name": "RBC"}, ...],
 *      "annotations": [{"image_id": 1, "category_id": 7, "bbox": [x, y, width, height]}, ...]}
 *
 * Every image that the file lists is annotated, with or without objects.  A file whose name says train, val
 * or test (instances_train2017.json, val.json) puts its images there.  Boxes are read; outlines
 * ("segmentation") are not.  Groups
 * ("iscrowd": 1) are no single object and are dropped.  Ids are kept sorted, so a lookup is a binary search.
 */
#include "annotations.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "file.h"
#include "scope.h"

struct pair {
    json_int_t id;
    size_t index; /* of an image in the assembly, or of a class */
};

struct pairs {
    struct pair *items; /* sorted by id once complete */
    size_t count;
};

/* What was dropped, for one warning each. */
struct drops {
    size_t images_missing, without_image, without_class, crowds, without_box;
};

static void free_json(json_t **json)
{
    json_decref(*json);
}

#define SCOPE_JSON __attribute__((cleanup(free_json))) json_t

static int compare_pairs(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static const struct pair *find_pair(const struct pairs *pairs, const json_t *id)
{
    struct pair key = {.id = json_integer_value(id)};
    return pairs->count && json_is_integer(id) ? bsearch(&key, pairs->items, pairs->count, sizeof key, compare_pairs) : NULL;
}

static enum code make_pairs(const json_t *array, struct pairs *out, struct failure *why)
{
    *out = (struct pairs){.items = calloc(json_array_size(array) + 1, sizeof *out->items)};
    return out->items ? CODE_OK : failure_set(why, CODE_NO_MEMORY, "reading COCO annotations: out of memory");
}

static enum dataset_split split_of_name(const char *path)
{
    static const char *const words[] = {[SPLIT_TRAIN] = "train", [SPLIT_VAL] = "val", [SPLIT_TEST] = "test"};
    const char *base = file_base_name(path);
    for (int split = SPLIT_TRAIN; split <= SPLIT_TEST; split++) {
        const char *at = strcasestr(base, words[split]);
        if (at && (at == base || !isalpha((unsigned char)at[-1])))
            return (enum dataset_split)split;
    }
    return SPLIT_NONE;
}

static enum code read_images(struct assembly *assembly, const char *path, const json_t *array, struct pairs *images,
                             struct drops *drops, struct failure *why)
{
    enum code code = make_pairs(array, images, why);
    enum dataset_split split = split_of_name(path);
    assembly->has_split |= split != SPLIT_NONE;
    for (size_t i = 0; code == CODE_OK && i < json_array_size(array); i++) {
        const json_t *image = json_array_get(array, i);
        const char *name = json_string_value(json_object_get(image, "file_name"));
        const json_t *id = json_object_get(image, "id");
        if (!name || !json_is_integer(id))
            return failure_set(why, CODE_INVALID, "%s: image %zu of \"images\" lacks \"id\" (a number) or \"file_name\"",
                               path, i + 1);
        size_t index = assembly_find(assembly, name, path);
        if (index == ASSEMBLY_NONE) {
            drops->images_missing++;
            continue;
        }
        assembly_annotate(assembly, index);
        if (split != SPLIT_NONE)
            assembly->entries[index].image.split = split;
        images->items[images->count++] = (struct pair){json_integer_value(id), index};
    }
    if (code == CODE_OK)
        qsort(images->items, images->count, sizeof *images->items, compare_pairs);
    return code;
}

static enum code read_categories(struct assembly *assembly, const char *path, const json_t *array, struct pairs *classes,
                                 struct failure *why)
{
    enum code code = make_pairs(array, classes, why);
    for (size_t i = 0; code == CODE_OK && i < json_array_size(array); i++) {
        const json_t *category = json_array_get(array, i);
        const char *name = json_string_value(json_object_get(category, "name"));
        const json_t *id = json_object_get(category, "id");
        if (!name || !json_is_integer(id))
            return failure_set(why, CODE_INVALID, "%s: entry %zu of \"categories\" lacks \"id\" (a number) or \"name\"",
                               path, i + 1);
        int32_t index;
        code = assembly_class(assembly, name, &index, why);
        if (code == CODE_OK)
            classes->items[classes->count++] = (struct pair){json_integer_value(id), (size_t)index};
    }
    if (code == CODE_OK)
        qsort(classes->items, classes->count, sizeof *classes->items, compare_pairs);
    return code;
}

static bool read_box(const json_t *annotation, struct dataset_object *object)
{
    const json_t *box = json_object_get(annotation, "bbox");
    double sides[4];
    for (size_t i = 0; i < 4; i++) {
        const json_t *side = json_array_get(box, i);
        if (!json_is_number(side) || !(fabs(sides[i] = json_number_value(side)) < 1e6))
            return false;
    }
    object->x0 = (float)sides[0];
    object->y0 = (float)sides[1];
    object->x1 = (float)(sides[0] + sides[2]);
    object->y1 = (float)(sides[1] + sides[3]);
    return true;
}

static enum code read_annotation(struct assembly *assembly, const json_t *annotation, const struct pairs *images,
                                 const struct pairs *classes, struct drops *drops, struct failure *why)
{
    const struct pair *image = find_pair(images, json_object_get(annotation, "image_id"));
    const struct pair *class = find_pair(classes, json_object_get(annotation, "category_id"));
    struct dataset_object object = {0};
    if (!image)
        drops->without_image++;
    else if (!class)
        drops->without_class++;
    else if (json_integer_value(json_object_get(annotation, "iscrowd")) != 0)
        drops->crowds++;
    else if (!read_box(annotation, &object))
        drops->without_box++;
    else {
        object.class_index = (int32_t) class->index;
        return assembly_add(assembly, image->index, object, why);
    }
    return CODE_OK;
}

static void report_drops(struct assembly *assembly, const char *path, const struct drops *drops)
{
    const struct {
        size_t count;
        const char *text;
    } lines[] = {{drops->images_missing, "images are not there"},
                 {drops->without_image, "objects belong to no image, dropped"},
                 {drops->without_class, "objects are of no known category, dropped"},
                 {drops->crowds, "groups (\"iscrowd\") dropped"},
                 {drops->without_box, "objects without a box of four numbers, dropped"}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (lines[i].count > 0)
            assembly_warn(assembly, "%s: %zu %s", path, lines[i].count, lines[i].text);
}

static enum code read_document(struct assembly *assembly, const char *path, const json_t *root, struct failure *why)
{
    const json_t *image_array = json_object_get(root, "images");
    const json_t *category_array = json_object_get(root, "categories");
    const json_t *annotation_array = json_object_get(root, "annotations");
    if (!json_is_array(image_array) || !json_is_array(category_array) || !json_is_array(annotation_array))
        return failure_set(why, CODE_INVALID,
                           "%s: COCO annotations need the lists \"images\", \"categories\" and \"annotations\"", path);
    struct pairs images = {0}, classes = {0};
    struct drops drops = {0};
    enum code code = read_images(assembly, path, image_array, &images, &drops, why);
    if (code == CODE_OK)
        code = read_categories(assembly, path, category_array, &classes, why);
    for (size_t i = 0; code == CODE_OK && i < json_array_size(annotation_array); i++)
        code = read_annotation(assembly, json_array_get(annotation_array, i), &images, &classes, &drops, why);
    free(images.items);
    free(classes.items);
    if (code == CODE_OK)
        report_drops(assembly, path, &drops);
    return code;
}

/* The text of a JSON file that could be COCO's: true and the text, or false. */
static bool read_candidate(const struct assembly *assembly, const char *path, struct buffer *text)
{
    if (strcasecmp(file_extension(path), "json") != 0)
        return false;
    SCOPE_FREE char *full = file_join(assembly->scan->folder, path);
    if (!full || file_read(full, ANNOTATIONS_BYTES_MAX, text, NULL) != CODE_OK)
        return false;
    return strstr(buffer_text(text), "\"images\"") && strstr(buffer_text(text), "\"annotations\"");
}

enum code annotations_coco_read_text(struct assembly *assembly, const char *path, const struct buffer *text,
                                     struct failure *why)
{
    json_error_t error;
    SCOPE_JSON *root = json_loadb(buffer_text(text), text->length, 0, &error);
    if (!root)
        return failure_set(why, CODE_INVALID, "%s, line %d, column %d: %s", path, error.line, error.column, error.text);
    return read_document(assembly, path, root, why);
}

static bool found(const struct assembly *assembly)
{
    bool any = false;
    for (size_t i = 0; !any && i < assembly->scan->count; i++) {
        SCOPE_BUFFER text = {0};
        any = read_candidate(assembly, assembly->scan->paths[i], &text);
    }
    return any;
}

static enum code read_all(struct assembly *assembly, struct failure *why)
{
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < assembly->scan->count; i++) {
        SCOPE_BUFFER text = {0};
        if (read_candidate(assembly, assembly->scan->paths[i], &text))
            code = annotations_coco_read_text(assembly, assembly->scan->paths[i], &text, why);
    }
    return code;
}

const struct annotations annotations_coco_kind = {"coco", found, read_all};
