/* The device "cpu": convolutions by oneDNN, everything else by loops of our own, both over OpenMP threads. */
#ifndef CYTOFS_CPU_DEVICE_H
#define CYTOFS_CPU_DEVICE_H

#include "device.h"

MUST_CHECK enum code cpu_device_open(const struct device_options *options, struct device **out, struct failure *why);

#endif
