/* Instance masks as annotations: a label image for each image, or one mask file for each nucleus.  Both need
 * the masks' pixels, because a box is where the pixels are.  All objects are of one class. */
#include "annotations.h"

#include <stdlib.h>

#include "file.h"
#include "label_map.h"
#include "scope.h"

#define CLASS_NAME "cell"

static bool labels_found(const struct assembly *assembly)
{
    for (size_t i = 0; i < assembly->count; i++)
        if (label_map_find(assembly->scan, assembly->entries[i].image.path))
            return true;
    return false;
}

static enum code add_objects(struct assembly *assembly, size_t image, struct dataset_object *objects, size_t count,
                             struct failure *why)
{
    for (size_t i = 0; i < count; i++) {
        enum code code = assembly_class(assembly, CLASS_NAME, &objects[i].class_index, why);
        if (code == CODE_OK)
            code = assembly_add(assembly, image, objects[i], why);
        if (code != CODE_OK)
            return code;
    }
    assembly_annotate(assembly, image);
    return CODE_OK;
}

/* What is wrong with one image or its mask is a warning; only a lack of memory ends the reading. */
static enum code tolerate(struct assembly *assembly, enum code code, const struct failure *why)
{
    if (code == CODE_OK || code == CODE_NO_MEMORY)
        return code;
    assembly_warn(assembly, "%s; left out", why->text);
    return CODE_OK;
}

static enum code read_label_image(struct assembly *assembly, size_t index, const char *path, struct failure *why)
{
    const struct dataset_image *image = &assembly->entries[index].image;
    SCOPE_FREE char *full = file_join(assembly->scan->folder, path);
    SCOPE_FREE uint32_t *labels = NULL;
    SCOPE_FREE struct dataset_object *objects = NULL;
    size_t count = 0;
    if (!full)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    enum code code = assembly_measure(assembly, index, why);
    if (code == CODE_OK)
        code = label_map_read(full, image->width, image->height, true, &labels, why);
    if (code == CODE_OK)
        code = label_map_objects(labels, image->width, image->height, &objects, &count, why);
    if (code == CODE_OK)
        code = assembly_add_mask(assembly, index, path, why);
    if (code == CODE_OK)
        code = add_objects(assembly, index, objects, count, why);
    return code;
}

static enum code read_label_images(struct assembly *assembly, struct failure *why)
{
    struct failure local;
    for (size_t i = 0; i < assembly->count; i++) {
        const char *path = label_map_find(assembly->scan, assembly->entries[i].image.path);
        if (path && tolerate(assembly, read_label_image(assembly, i, path, &local), &local) != CODE_OK)
            return failure_set(why, local.code, "%s", local.text);
    }
    return CODE_OK;
}

const struct annotations annotations_labels_kind = {"labels", labels_found, read_label_images};

static bool masks_found(const struct assembly *assembly)
{
    size_t first, count;
    for (size_t i = 0; i < assembly->count; i++)
        if (label_map_find_masks(assembly->scan, assembly->entries[i].image.path, &first, &count) &&
            !label_map_find(assembly->scan, assembly->entries[i].image.path))
            return true;
    return false;
}

/* The box of the non-zero pixels of one mask file, as the object with that label. */
static enum code read_mask(struct assembly *assembly, size_t index, const char *path, uint32_t label,
                           struct dataset_object *object, struct failure *why)
{
    const struct dataset_image *image = &assembly->entries[index].image;
    size_t pixels = (size_t)image->width * (size_t)image->height, count = 0;
    SCOPE_FREE char *full = file_join(assembly->scan->folder, path);
    SCOPE_FREE uint32_t *labels = calloc(pixels, sizeof *labels);
    SCOPE_FREE struct dataset_object *objects = NULL;
    if (!full || !labels)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    enum code code = label_map_paint(full, image->width, image->height, label, labels, why);
    if (code == CODE_OK)
        code = label_map_objects(labels, image->width, image->height, &objects, &count, why);
    if (code == CODE_OK && count == 0)
        code = failure_set(why, CODE_INVALID, "%s: the mask is empty", path);
    if (code == CODE_OK)
        *object = objects[0];
    return code;
}

/* Mask k of an image is its object of label k + 1, also where one before it could not be read. */
static enum code read_image_masks(struct assembly *assembly, size_t index, size_t first, size_t count, struct failure *why)
{
    struct failure local;
    enum code code = assembly_measure(assembly, index, &local);
    if (code != CODE_OK) {
        assembly_warn(assembly, "%s; left out", local.text);
        return CODE_OK;
    }
    if (count > DATASET_OBJECTS_MAX)
        return failure_set(why, CODE_TOO_LARGE, "%s: more than %d mask files", assembly->entries[index].image.path,
                           DATASET_OBJECTS_MAX);
    for (size_t k = 0; k < count; k++) {
        const char *path = assembly->scan->paths[first + k];
        struct dataset_object object;
        code = assembly_add_mask(assembly, index, path, why);
        if (code != CODE_OK)
            return code;
        code = read_mask(assembly, index, path, (uint32_t)k + 1, &object, &local);
        if (code == CODE_OK)
            code = add_objects(assembly, index, &object, 1, why);
        else if (tolerate(assembly, code, &local) != CODE_OK)
            return failure_set(why, local.code, "%s", local.text);
        else
            code = CODE_OK;
        if (code != CODE_OK)
            return code;
    }
    assembly_annotate(assembly, index);
    return CODE_OK;
}

static enum code read_masks(struct assembly *assembly, struct failure *why)
{
    enum code code = CODE_OK;
    size_t first, count;
    for (size_t i = 0; code == CODE_OK && i < assembly->count; i++)
        if (label_map_find_masks(assembly->scan, assembly->entries[i].image.path, &first, &count))
            code = read_image_masks(assembly, i, first, count, why);
    return code;
}

const struct annotations annotations_masks_kind = {"masks", masks_found, read_masks};
