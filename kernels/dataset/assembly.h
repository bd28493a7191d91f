/* A dataset while it is being put together.  The readers of annotations (annotations.h) find images in it by
 * name and add boxes; assembly_finish then reads the sizes, clips, drops what is faulty, and hands the
 * dataset over.  Private to this folder. */
#ifndef CYTOFS_ASSEMBLY_H
#define CYTOFS_ASSEMBLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "dataset.h"
#include "failure.h"
#include "scan.h"

#define ASSEMBLY_NONE ((size_t)-1)

struct assembly_entry {
    struct dataset_image image; /* width 0 until it is known */
    size_t object_capacity;
    bool annotated; /* someone looked at it, even if there is nothing in it */
};

struct assembly {
    const struct scan *scan;
    struct assembly_entry *entries; /* sorted by path */
    size_t count;
    uint32_t *by_stem; /* indices of entries, sorted by base name without extension, then by index */
    char *class_names[DATASET_CLASSES_MAX];
    int class_count;
    bool boxes_are_fractions; /* of the image's sides, as YOLO writes them */
    bool has_split;           /* the annotations themselves say train, val, test */
    struct buffer *warnings;
    size_t warning_count;
};

/* Starts with every image of the scan that is not a label image or mask; no sizes are read.  `scan` and
 * `warnings` must outlive it. */
MUST_CHECK enum code assembly_begin(const struct scan *scan, struct buffer *warnings, struct assembly *out,
                                    struct failure *why);
void assembly_free(struct assembly *assembly);

/* The image that a file `near` (relative) means by `name`: a relative path, a base name, or either without
 * extension. Where several have that name: the one whose path ends with most of `name`, then the one nearest
 * to `near`. ASSEMBLY_NONE where there is none. */
size_t assembly_find(const struct assembly *assembly, const char *name, const char *near);

/* The index of a class, added if new; a name is cut to 63 bytes, blanks around it are dropped. */
MUST_CHECK enum code assembly_class(struct assembly *assembly, const char *name, int32_t *index, struct failure *why);

/* Notes that the image was annotated, and adds a box to it.  Boxes may be faulty still: assembly_finish
 * judges them. */
void assembly_annotate(struct assembly *assembly, size_t image);
MUST_CHECK enum code assembly_add(struct assembly *assembly, size_t image, struct dataset_object object,
                                  struct failure *why);

/* Adds a mask file (relative path) to an image. */
MUST_CHECK enum code assembly_add_mask(struct assembly *assembly, size_t image, const char *path, struct failure *why);

/* Reads the image's size into its entry, unless it is known; says why not. */
MUST_CHECK enum code assembly_measure(struct assembly *assembly, size_t image, struct failure *why);

/* One line for the user; after the first thousand only counted. */
void assembly_warn(struct assembly *assembly, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Moves what is sound into *dataset (folder, images, class_names, class_count); the rest of it stays as it
 * was. */
MUST_CHECK enum code assembly_finish(struct assembly *assembly, struct dataset *dataset, struct failure *why);

#endif
