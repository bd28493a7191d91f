/* Every file below a folder.  Private to this folder. */
#ifndef CYTOFS_SCAN_H
#define CYTOFS_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"

#define SCAN_FILES_MAX 4000000
#define SCAN_DEPTH_MAX 16

/* Relative paths, sorted bytewise; hidden files and folders (".snap", ".DS_Store") are left out. */
struct scan {
    char *folder;
    char **paths;
    size_t count;
};

MUST_CHECK enum code scan_folder(const char *folder, struct scan *out, struct failure *why);
void scan_free(struct scan *scan);

/* Whether `path`, relative to the folder, was found. */
bool scan_has(const struct scan *scan, const char *path);

/* The first path that is >= `path` bytewise: where the entries of a folder "a/b/" begin. */
size_t scan_lower_bound(const struct scan *scan, const char *path);

/* Whether the name ends like an image, a label image included (png, jpg, jpeg, tif, tiff). */
bool scan_is_image_name(const char *path);

#endif
