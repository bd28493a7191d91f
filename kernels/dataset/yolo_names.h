/* The names of YOLO's numbered classes.  Private to this folder. */
#ifndef CYTOFS_YOLO_NAMES_H
#define CYTOFS_YOLO_NAMES_H

#include "dataset.h"
#include "failure.h"
#include "scan.h"

struct yolo_names {
    char *names[DATASET_CLASSES_MAX]; /* NULL where the list skips a number */
    int32_t count;
    const char *path; /* of the list, relative; "" without one */
};

/* Reads classes.txt or *.names (a name a line), else a *.yaml with "names:" (a list in brackets, "- name"
 * lines or "number: name" lines).  No list: count 0.  *out is the caller's to free. */
MUST_CHECK enum code yolo_names_read(const struct scan *scan, struct yolo_names *out, struct failure *why);
void yolo_names_free(struct yolo_names *names);

/* The two formats themselves, for texts in memory (changed by reading). */
MUST_CHECK enum code yolo_names_from_lines(char *text, struct yolo_names *out, struct failure *why);
MUST_CHECK enum code yolo_names_from_yaml(char *text, struct yolo_names *out, struct failure *why);

#endif
