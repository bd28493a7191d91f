/* A dataset folder, understood: which images it holds, which objects are annotated in them, and how it is
 * split.
 *
 * Annotations are found by themselves: boxes.csv, Pascal VOC XML, COCO JSON, YOLO txt, or instance masks (a
 * label image beside the image, or one mask file a nucleus as in Data Science Bowl 2018).  The README of this
 * folder says exactly which layouts are recognised.  Image pixels are not kept: the trainer reads them when
 * it needs them.
 */
#ifndef CYTOFS_DATASET_H
#define CYTOFS_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "failure.h"

#define DATASET_IMAGES_MAX  1000000
#define DATASET_OBJECTS_MAX 20000 /* in one image */
#define DATASET_CLASSES_MAX 80

enum dataset_split { SPLIT_TRAIN, SPLIT_VAL, SPLIT_TEST, SPLIT_NONE, SPLIT_COUNT };

/* One annotated object.  The box is [x0, x1) x [y0, y1) in continuous pixels of the image as it lies in the
 * file. */
struct dataset_object {
    float x0, y0, x1, y1;
    int32_t class_index; /* into dataset.class_names */
    uint32_t label;      /* its number in the image's label map, 0 where the annotation is a box only */
};

struct dataset_image {
    char *path;        /* relative to the dataset folder; owned */
    int width, height; /* pixels */
    enum dataset_split split;
    struct dataset_object *objects;
    size_t object_count;
    char **mask_paths; /* instance masks, relative: one label image, or one file an object; NULL for boxes
                          only */
    size_t mask_count;
};

struct dataset {
    char *folder;
    struct dataset_image *images; /* sorted by path */
    size_t image_count;
    char *class_names[DATASET_CLASSES_MAX];
    int class_count;
    const char *annotation_kind; /* "csv", "voc", "coco", "yolo", "masks", "labels"; static text */
    const char *split_source;    /* "ImageSets/Main", "train.txt", "annotations", "folders", "hash"; static */
    size_t unreadable;           /* annotated images that were left out since their files cannot be used */
    char unreadable_first[1024]; /* why, of the first; "" where there is none */
    uint8_t digest[32];          /* SHA-256 over names, sizes, boxes and splits: see dataset.c */
};

/* Reads the annotations of every image below `folder` (any depth).  Tolerated with a warning appended to
 * `warnings` (one a line, naming the file): zero-size and duplicate boxes (dropped), boxes beyond the image
 * (clipped), unreadable or truncated images (left out), an annotation without its image.  No images, no
 * annotations at all, or a malformed annotation file that cannot be used: CODE_INVALID with what was
 * expected. The result is the caller's to free with dataset_destroy. */
MUST_CHECK enum code dataset_load(const char *folder, struct dataset **out, struct buffer *warnings, struct failure *why);
void dataset_destroy(struct dataset *dataset);

/* The image's label map: labels[y * width + x] is an object's `label`, 0 for background.  CODE_NO_DATA where
 * the dataset has boxes only.  *labels is the caller's to free. */
MUST_CHECK enum code dataset_read_labels(const struct dataset *dataset, const struct dataset_image *image, uint32_t **labels,
                                         struct failure *why);

#endif
