/* The kinds of annotation that are understood.  Each is two functions over an assembly: does this folder hold
 * my kind, and read it.  Private to this folder; the layouts are described in README.md. */
#ifndef CYTOFS_ANNOTATIONS_H
#define CYTOFS_ANNOTATIONS_H

#include <stdbool.h>

#include "assembly.h"
#include "failure.h"

/* The largest text of annotations that is read. */
#define ANNOTATIONS_BYTES_MAX ((size_t)256 << 20)

struct annotations {
    const char *kind; /* as dataset.annotation_kind */

    /* Whether there is at least one file of this kind.  Looks at names, and into a file where a name is not
     * enough. */
    bool (*found)(const struct assembly *assembly);

    /* Reads all of them.  A fault in one of many files is a warning; its image stays unannotated. */
    enum code (*read)(struct assembly *assembly, struct failure *why);
};

/* One file's text (relative path `path`), for the readers of whole folders and for tests. */
MUST_CHECK enum code annotations_csv_read_text(struct assembly *assembly, const char *path, struct buffer *text,
                                               struct failure *why);
MUST_CHECK enum code annotations_voc_read_text(struct assembly *assembly, const char *path, const struct buffer *text,
                                               struct failure *why);
MUST_CHECK enum code annotations_coco_read_text(struct assembly *assembly, const char *path, const struct buffer *text,
                                                struct failure *why);

/* The labels of one image; *highest_class grows to the highest class number in it. */
MUST_CHECK enum code annotations_yolo_read_text(struct assembly *assembly, size_t image, const char *path,
                                                struct buffer *text, int32_t *highest_class, struct failure *why);

extern const struct annotations annotations_csv_kind;
extern const struct annotations annotations_voc_kind;
extern const struct annotations annotations_coco_kind;
extern const struct annotations annotations_yolo_kind;
extern const struct annotations annotations_masks_kind;
extern const struct annotations annotations_labels_kind;

#endif
