/* What image.c asks of each format.  Private to this folder: the rest of the program includes image.h. */
#ifndef CYTOFS_IMAGE_FORMATS_H
#define CYTOFS_IMAGE_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "failure.h"
#include "image.h"

/* No compression that we read makes more than this many bytes from one (LZW of TIFF: about 2,600; deflate:
 * 1,032). A header that promises more lies, and is refused before anything is allocated for it. */
#define IMAGE_EXPANSION_MAX 4096

/* The largest file that is read: the largest picture, uncompressed, and room for its metadata. */
#define IMAGE_FILE_MAX (IMAGE_BYTES_MAX + ((size_t)64 << 20))

/* A density of more than this many micrometres a pixel describes paper or a screen (72 dpi is 353), not a
 * microscope. */
#define IMAGE_PIXEL_UM_MAX 50.0

/* An encoded file in memory. */
struct image_source {
    const uint8_t *bytes;
    size_t count;
    const char *name; /* for failure texts */
};

/* How samples are to be understood. */
enum image_mode {
    IMAGE_PICTURE, /* as light: palettes resolved, fewer than 8 bits stretched to 8, "min is white" inverted
                    */
    IMAGE_NUMBERS  /* as labels: the stored number; TIFF may give 32 bits, which only image.c ever sees */
};

enum code image_png_decode(const struct image_source *source, enum image_mode mode, struct image *out, struct failure *why);
enum code image_png_encode(const struct image *image, struct buffer *out, struct failure *why);

/* JPEG has no numbers: there is one mode. */
enum code image_jpeg_decode(const struct image_source *source, struct image *out, struct failure *why);

enum code image_tiff_decode(const struct image_source *source, enum image_mode mode, struct image *out, struct failure *why);
enum code image_tiff_encode(const struct image *image, struct buffer *out, struct failure *why);

/* Width and height of the first page of an open file of `size` bytes, and whether all its pixels lie within
 * the file. */
enum code image_tiff_measure(int fd, const char *name, uint64_t size, int *width, int *height, struct failure *why);

/* image_create for a decoder: refuses sizes that `source` cannot possibly hold. */
enum code image_create_for(const struct image_source *source, uint64_t width, uint64_t height, int channels, int bits,
                           struct image *out, struct failure *why);

/* um when it can be a microscope's pixel size, else 0. */
double image_plausible_um(double um);

#endif
