/* Pixels in memory, as decoded from a file.
 *
 * Rows are contiguous and interleaved: pixel (x, y), channel c is data[(y * width + x) * channels + c], in
 * uint8_t for 8-bit images and in uint16_t (host order) for 16-bit ones.  channels is 1 (grey) or 3 (RGB);
 * alpha and palettes are resolved at decoding.
 */
#ifndef CYTOFS_IMAGE_H
#define CYTOFS_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

/* What a hostile header may make us allocate, at most. */
#define IMAGE_SIDE_MAX  65535
#define IMAGE_BYTES_MAX ((size_t)2 << 30)

enum image_format { IMAGE_UNKNOWN, IMAGE_PNG, IMAGE_JPEG, IMAGE_TIFF };

struct image {
    int width, height; /* pixels, 1 .. IMAGE_SIDE_MAX */
    int channels;      /* 1 or 3 */
    int bits;          /* 8 or 16 */
    void *data;        /* owned */
    double pixel_um;   /* micrometres a pixel, from the file's own metadata; 0 where it does not say */
};

#define SCOPE_IMAGE __attribute__((cleanup(image_free))) struct image

/* The format by the first bytes of the file, whatever its name says. */
enum image_format image_sniff(const void *bytes, size_t count);

/* Decodes a PNG, JPEG or TIFF (first page; 8 or 16 bit, grey, palette, RGB, with or without alpha).  *out is
 * the caller's to free.  Truncated, unsupported or hostile input: CODE_INVALID / CODE_UNSUPPORTED /
 * CODE_TOO_LARGE with `name` in the text. */
MUST_CHECK enum code image_decode(const void *bytes, size_t count, const char *name, struct image *out, struct failure *why);
MUST_CHECK enum code image_read(const char *path, struct image *out, struct failure *why);

/* A label image: the same, but every sample is kept as the number it is (palette indices are not resolved, no
 * scaling), channels folded into one 32-bit label a pixel; labels is width*height, owned by the caller. */
MUST_CHECK enum code image_read_labels(const char *path, int *width, int *height, uint32_t **labels, struct failure *why);

/* The same from memory. */
struct image_labels {
    int width, height;
    uint32_t *labels; /* (height, width); owned */
};

MUST_CHECK enum code image_decode_labels(const void *bytes, size_t count, const char *name, struct image_labels *out,
                                         struct failure *why);
void image_labels_free(struct image_labels *labels);

/* Width and height from the file's header; no pixel is decoded unless the file looks cut short.  A file that
 * is not whole, or that image_read would refuse by its header, fails here too. */
MUST_CHECK enum code image_read_size(const char *path, int *width, int *height, struct failure *why);

/* Allocates zeroed pixels. */
MUST_CHECK enum code image_create(int width, int height, int channels, int bits, struct image *out, struct failure *why);
void image_free(struct image *image);

/* Writers: PNG for pictures that people look at; uncompressed TIFF (baseline, little-endian) for data. */
MUST_CHECK enum code image_write_png(const char *path, const struct image *image, struct failure *why);
MUST_CHECK enum code image_write_tiff(const char *path, const struct image *image, struct failure *why);

#endif
