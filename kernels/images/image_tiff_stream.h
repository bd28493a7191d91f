/* An encoded TIFF file, opened by libtiff without its printing anything.  Private to this folder. */
#ifndef CYTOFS_IMAGE_TIFF_STREAM_H
#define CYTOFS_IMAGE_TIFF_STREAM_H

#include <stdint.h>

#include <tiffio.h>

#include "failure.h"
#include "image_formats.h"

/* Must outlive the TIFF that is opened on it. */
struct image_tiff_stream {
    const struct image_source *source; /* NULL when an open file is measured */
    uint64_t at;                       /* libtiff's position in source */
    char message[256];                 /* the first complaint of libtiff */
};

/* Opens stream->source, or the descriptor `fd` where there is none.  NULL on failure, with the message. */
TIFF *image_tiff_stream_open(struct image_tiff_stream *stream, int fd);

/* The failure that says what libtiff complained of; always CODE_INVALID. */
enum code image_tiff_stream_refuse(const struct image_tiff_stream *stream, const char *name, struct failure *why);

#endif
