/* The plain device "ref": every operation as the loops of its definition, sums in double, one thread.  Slow;
 * it is the truth that the other devices are tested against. */
#ifndef CYTOFS_REF_DEVICE_H
#define CYTOFS_REF_DEVICE_H

#include "device.h"

MUST_CHECK enum code ref_device_open(const struct device_options *options, struct device **out, struct failure *why);

#endif
