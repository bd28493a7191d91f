/* Privacy at import: copies a dataset's folder while leaving out what can name a patient.
 *
 * Of images only what is needed to show and measure the pixels is kept; everything else in the file (texts,
 * EXIF, dates, device and software names, vendor blocks, thumbnails, bytes that nothing refers to) is left
 * out or blanked.  Pixels are not decoded and encoded again: they are the same afterwards.  Text files that
 * can be annotations are copied as they are; other files are not copied.  The README of this folder lists
 * what is kept of each format.
 */
#ifndef CYTOFS_IMPORTING_H
#define CYTOFS_IMPORTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "failure.h"

/* Called after each file; returning false ends the work with CODE_INTERRUPTED (what is copied stays). */
typedef bool (*importing_progress)(void *context, size_t done, size_t total);

struct importing_options {
    bool dry_run;                /* look at everything, write nothing */
    importing_progress progress; /* may be NULL */
    void *context;
};

struct importing_report {
    size_t images;         /* copied */
    size_t images_cleaned; /* of these, the ones from which something was removed */
    size_t annotations;    /* text files copied as they are */
    size_t left_out;       /* files not copied */
    uint64_t bytes;        /* written, or that would be */
    struct buffer details; /* a line for each file that was cleaned or left out, and why; free with
                              importing_report_free */
};

/* Copies source into destination, which is made if missing; files that are there already are replaced.  A
 * file that cannot be read or understood is left out, with a line in the report; a destination that cannot be
 * written ends the work. *report is filled in either case. */
MUST_CHECK enum code importing_copy(const char *source, const char *destination, const struct importing_options *options,
                                    struct importing_report *report, struct failure *why);
void importing_report_free(struct importing_report *report);

/* One image file's bytes, cleaned, into the empty *out; the names of what was removed, separated by ", ",
 * into *removed. Not a PNG, JPEG or TIFF, or not a whole one: CODE_UNSUPPORTED or CODE_INVALID, and *out is
 * not to be used. */
MUST_CHECK enum code importing_clean(const void *bytes, size_t count, const char *name, struct buffer *out,
                                     struct buffer *removed, struct failure *why);

#endif
