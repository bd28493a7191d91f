/* The pixels of a TIFF page, block by block.  Private to this folder. */
#ifndef CYTOFS_IMAGE_TIFF_BLOCKS_H
#define CYTOFS_IMAGE_TIFF_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include <tiffio.h>

#include "failure.h"
#include "image_formats.h"
#include "image_tiff_stream.h"

/* A page, as its tags describe it. */
struct image_tiff_page {
    uint32_t width, height;
    uint16_t bits, samples, photometric, planar, compression, format;
    uint16_t *red, *green, *blue; /* the palette, libtiff's memory; NULL without one */

    /* set by image_tiff_blocks_read */
    bool tiled;
    uint32_t block_width, block_height; /* pixels */
    uint64_t block_bytes;
};

/* Decodes all blocks of the page that `tiff` stands at into *image, which has the page's size and is
 * allocated.  The page must be of a kind that image_tiff.c accepts. */
MUST_CHECK enum code image_tiff_blocks_read(TIFF *tiff, const struct image_tiff_stream *stream, struct image_tiff_page *page,
                                            enum image_mode mode, struct image *image, struct failure *why);

#endif
