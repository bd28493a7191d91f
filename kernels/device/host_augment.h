/* Crops for devices that compute where the program runs (device.h says what the operation promises). */
#ifndef CYTOFS_HOST_AUGMENT_H
#define CYTOFS_HOST_AUGMENT_H

#include "device.h"

void host_augment(const struct device *device, const struct augmentation_crop *crops, const struct tensor *x);

#endif
