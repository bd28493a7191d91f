/* The memory of devices that compute where the program runs: three operations that they share (device.h says
 * what each promises).  Any thread. */
#ifndef CYTOFS_HOST_MEMORY_H
#define CYTOFS_HOST_MEMORY_H

#include "device.h"

/* Zeroed, at a multiple of 64 bytes; NULL where there is none. */
void *host_memory_allocate(const struct device *device, size_t bytes);
void host_memory_release(const struct device *device, void *memory);

/* Upload, download and copy are the same here. */
void host_memory_copy(const struct device *device, void *to, const void *from, size_t bytes);

#endif
