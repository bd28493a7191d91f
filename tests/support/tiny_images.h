/* Small image files of every kind that cytofs reads, made by the format libraries themselves, with pixels
 * known by a formula. For tests of the readers, of the import that cleans files, and as seeds for fuzzing. */
#ifndef CYTOFS_TINY_IMAGES_H
#define CYTOFS_TINY_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"

#define TINY_WIDTH  37
#define TINY_HEIGHT 19

/* Stands in every text, tag and comment of a file made with `planted`. */
#define TINY_SECRET "PATIENT"

enum tiny_format { TINY_PNG, TINY_JPEG, TINY_TIFF };

struct tiny_image {
    const char *name; /* as in "png, grey, 16 bit" */
    enum tiny_format format;
    int channels, bits; /* as image_decode must give them */
    int label_bits;     /* of the numbers that image_decode_labels must give; 0 where labels make no sense */
    int tolerance;      /* of a decoded sample (JPEG) */
};

/* File number `index` (from 0) into *out; NULL behind the last. */
const struct tiny_image *tiny_images_make(size_t index, bool planted, struct buffer *out);

/* The sample that image_decode must give at (x, y, channel), and the number that image_decode_labels must
 * give. */
unsigned tiny_images_sample(const struct tiny_image *image, int x, int y, int channel);
uint32_t tiny_images_label(const struct tiny_image *image, int x, int y);

#endif
