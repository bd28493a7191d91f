/* The device "cuda": an NVIDIA GPU through cuDNN 9 and our own kernels, on one stream. */
#ifndef CYTOFS_CUDA_DEVICE_H
#define CYTOFS_CUDA_DEVICE_H

#include "device.h"

/* Opens the first GPU that the process may use (CUDA_VISIBLE_DEVICES decides).  CODE_UNSUPPORTED where there is none, or no
 * driver, or an older one than the program needs. */
MUST_CHECK enum code cuda_device_open(const struct device_options *options, struct device **out, struct failure *why);

#endif
