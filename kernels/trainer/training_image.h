/* A training image as the trainer keeps it: at working scale, 16 bits a sample. */
#ifndef CYTOFS_TRAINING_IMAGE_H
#define CYTOFS_TRAINING_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "augmentation.h"

/* A sample s stands for the value s / TRAINING_IMAGE_ONE - TRAINING_IMAGE_ZERO, i.e. -0.5 .. 1.5: percentile
 * scaling leaves a few samples outside of 0 .. 1. */
#define TRAINING_IMAGE_ONE  AUGMENTATION_ONE
#define TRAINING_IMAGE_ZERO AUGMENTATION_ZERO

struct training_image {
    int width, height, channels; /* of the working image */
    float across, down;          /* working pixels per image pixel, along x and y */
    uint16_t *samples;           /* (height, width, channels) */
    uint32_t *labels;            /* (height, width) nearest; NULL without masks or where not wanted */
    float median[3];             /* of each channel, as values: what lies outside of the image */
};

#endif
