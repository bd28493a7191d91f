/* Cleaning one file of each format: the contract is that of importing_clean.  Private to this folder. */
#ifndef CYTOFS_IMPORTING_FORMATS_H
#define CYTOFS_IMPORTING_FORMATS_H

#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "failure.h"

struct importing_source {
    const uint8_t *bytes;
    size_t count;
    const char *name;
};

enum code importing_png_clean(const struct importing_source *source, struct buffer *out, struct buffer *removed,
                              struct failure *why);
enum code importing_jpeg_clean(const struct importing_source *source, struct buffer *out, struct buffer *removed,
                               struct failure *why);
enum code importing_tiff_clean(const struct importing_source *source, struct buffer *out, struct buffer *removed,
                               struct failure *why);

/* Adds a name to the list of what was removed, once. */
void importing_note(struct buffer *removed, const char *name);

#endif
