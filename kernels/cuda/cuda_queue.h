/* The operations of "cuda" for steps queued ahead of the host; contracts in device.h.  Internal to this folder. */
#ifndef CYTOFS_CUDA_QUEUE_H
#define CYTOFS_CUDA_QUEUE_H

#include "cuda_internal.h"

extern const struct device_queue_operations cuda_queue_operations;

MUST_CHECK enum code cuda_queue_open(struct cuda_device *gpu, struct failure *why);
void cuda_queue_close(struct cuda_device *gpu); /* half-opened is fine */

#endif
