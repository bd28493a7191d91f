/* Understanding a dataset folder, in this order:
 *
 *     scan_folder        every file's name, once
 *     assembly_begin     which of them are images
 *     kinds[].found      the first kind of annotation that is there, in the order of the table below
 *     kinds[].read       boxes and masks into the assembly
 *     splits_read_lists  which images train, validate, test, where lists say so
 *     assembly_finish    sizes from the image headers; faulty boxes and images out, with warnings
 *     splits_complete    splits where no list said so
 *
 * The digest is SHA-256 over a version number, the class names, and for each image in order of its path:
 * path, size of the file in bytes, width, height, split, and each object's class, box (bits of the four
 * floats) and label.  So it changes with anything that a trainer sees but the pixels themselves, whose file
 * size stands in for them.
 *
 * No state; a dataset does not change after dataset_load, so any number of threads may read it.
 */
#include "dataset.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "annotations.h"
#include "assembly.h"
#include "digest.h"
#include "file.h"
#include "label_map.h"
#include "scan.h"
#include "scope.h"
#include "splits.h"

#define DIGEST_VERSION 1

/* Exact statements first: boxes with classes before masks, which have none. */
static const struct annotations *const kinds[] = {&annotations_csv_kind,  &annotations_voc_kind,   &annotations_coco_kind,
                                                  &annotations_yolo_kind, &annotations_masks_kind, &annotations_labels_kind};

#define KIND_COUNT (sizeof kinds / sizeof *kinds)

/* The first kind that is there.  A second one is not mixed in, only mentioned; masks beside boxes are no
 * second one. */
static const struct annotations *choose_kind(struct assembly *assembly)
{
    const struct annotations *chosen = NULL;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        bool masks = kinds[i] == &annotations_masks_kind || kinds[i] == &annotations_labels_kind;
        if ((chosen && masks) || !kinds[i]->found(assembly))
            continue;
        if (chosen)
            assembly_warn(assembly, "annotations of two kinds are there: %s are read, %s are not", chosen->kind,
                          kinds[i]->kind);
        else
            chosen = kinds[i];
    }
    return chosen;
}

static void add_to_digest(struct digest *digest, const struct dataset *dataset, const struct dataset_image *image)
{
    SCOPE_FREE char *path = file_join(dataset->folder, image->path);
    struct stat status = {0};
    if (!path || stat(path, &status) != 0)
        status.st_size = 0;
    digest_add_text(digest, image->path);
    digest_add_number(digest, (uint64_t)status.st_size);
    digest_add_number(digest, (uint64_t)image->width);
    digest_add_number(digest, (uint64_t)image->height);
    digest_add_number(digest, (uint64_t)image->split);
    digest_add_number(digest, image->object_count);
    for (size_t i = 0; i < image->object_count; i++) {
        const struct dataset_object *object = &image->objects[i];
        const float sides[4] = {object->x0, object->y0, object->x1, object->y1};
        for (int side = 0; side < 4; side++) {
            uint32_t bits;
            memcpy(&bits, &sides[side], sizeof bits);
            digest_add_number(digest, bits);
        }
        digest_add_number(digest, (uint64_t)object->class_index);
        digest_add_number(digest, object->label);
    }
}

static void compute_digest(struct dataset *dataset)
{
    struct digest digest;
    digest_begin(&digest);
    digest_add_number(&digest, DIGEST_VERSION);
    digest_add_number(&digest, (uint64_t)dataset->class_count);
    for (int i = 0; i < dataset->class_count; i++)
        digest_add_text(&digest, dataset->class_names[i]);
    for (size_t i = 0; i < dataset->image_count; i++)
        add_to_digest(&digest, dataset, &dataset->images[i]);
    digest_end(&digest, dataset->digest);
}

static enum code check_result(const struct dataset *dataset, struct failure *why)
{
    if (dataset->image_count == 0)
        return failure_set(why, CODE_INVALID, "%s: none of its images could be used: see the warnings for each one's reason",
                           dataset->folder);
    size_t objects = 0;
    for (size_t i = 0; i < dataset->image_count; i++)
        objects += dataset->images[i].object_count;
    if (objects == 0)
        return failure_set(why, CODE_INVALID, "%s: its annotations (%s) hold no object", dataset->folder,
                           dataset->annotation_kind);
    return CODE_OK;
}

static enum code assemble(struct assembly *assembly, struct dataset *dataset, struct failure *why)
{
    if (assembly->count == 0)
        return failure_set(why, CODE_INVALID, "%s: holds no images (PNG, JPEG or TIFF)", dataset->folder);
    const struct annotations *kind = choose_kind(assembly);
    if (!kind)
        return failure_set(why, CODE_INVALID,
                           "%s: holds %zu images but no annotations: add Pascal VOC XML, COCO JSON, YOLO txt, boxes.csv, "
                           "label images (x_label.tif) or masks (<id>/masks/*.png)",
                           dataset->folder, assembly->count);
    dataset->annotation_kind = kind->kind;
    enum code code = kind->read(assembly, why);
    if (code == CODE_OK)
        code = splits_read_lists(assembly, &dataset->split_source, why);
    if (code == CODE_OK)
        code = assembly_finish(assembly, dataset, why);
    if (code == CODE_OK)
        code = check_result(dataset, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "reading the dataset");
    if (!dataset->split_source && assembly->has_split)
        dataset->split_source = "annotations";
    splits_complete(dataset, &dataset->split_source, assembly->warnings);
    compute_digest(dataset);
    return CODE_OK;
}

enum code dataset_load(const char *folder, struct dataset **out, struct buffer *warnings, struct failure *why)
{
    *out = NULL;
    struct scan scan;
    struct assembly assembly = {0};
    enum code code = scan_folder(folder, &scan, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "reading the dataset");
    struct dataset *dataset = calloc(1, sizeof *dataset);
    if (!dataset || !(dataset->folder = strdup(folder)))
        code = failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
    if (code == CODE_OK)
        code = assembly_begin(&scan, warnings, &assembly, why);
    if (code == CODE_OK)
        code = assemble(&assembly, dataset, why);
    assembly_free(&assembly);
    scan_free(&scan);
    if (code != CODE_OK) {
        dataset_destroy(dataset);
        return code;
    }
    *out = dataset;
    return CODE_OK;
}

void dataset_destroy(struct dataset *dataset)
{
    if (!dataset)
        return;
    for (size_t i = 0; i < dataset->image_count; i++) {
        struct dataset_image *image = &dataset->images[i];
        for (size_t k = 0; k < image->mask_count; k++)
            free(image->mask_paths[k]);
        free(image->mask_paths);
        free(image->objects);
        free(image->path);
    }
    for (int i = 0; i < dataset->class_count; i++)
        free(dataset->class_names[i]);
    free(dataset->images);
    free(dataset->folder);
    free(dataset);
}

/* One file an object: object k is painted with k + 1, and where two overlap the first keeps the pixel.  A
 * mask that could not be read when the dataset was loaded was warned of then, and is background now. */
static enum code paint_masks(const struct dataset *dataset, const struct dataset_image *image, uint32_t *labels,
                             struct failure *why)
{
    for (size_t i = 0; i < image->object_count; i++) {
        uint32_t label = image->objects[i].label;
        if (label == 0 || label > image->mask_count)
            continue;
        SCOPE_FREE char *path = file_join(dataset->folder, image->mask_paths[label - 1]);
        if (!path)
            return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", image->path);
        enum code code = label_map_paint(path, image->width, image->height, label, labels, why);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

enum code dataset_read_labels(const struct dataset *dataset, const struct dataset_image *image, uint32_t **labels,
                              struct failure *why)
{
    *labels = NULL;
    if (image->mask_count == 0)
        return failure_set(why, CODE_NO_DATA, "%s: annotated by boxes only", image->path);
    if (strcmp(dataset->annotation_kind, annotations_masks_kind.kind) != 0) {
        SCOPE_FREE char *path = file_join(dataset->folder, image->mask_paths[0]);
        if (!path)
            return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", image->path);
        bool split = strcmp(dataset->annotation_kind, annotations_labels_kind.kind) == 0;
        return label_map_read(path, image->width, image->height, split, labels, why);
    }
    uint32_t *painted = calloc((size_t)image->width * (size_t)image->height, sizeof *painted);
    if (!painted)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", image->path);
    enum code code = paint_masks(dataset, image, painted, why);
    if (code != CODE_OK) {
        free(painted);
        return code;
    }
    *labels = painted;
    return CODE_OK;
}
