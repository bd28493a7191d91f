/* Random tensors in a device's memory, and comparison of what two devices made of them. */
#ifndef CYTOFS_OPERANDS_H
#define CYTOFS_OPERANDS_H

#include "device.h"
#include "random.h"

/* The device that $CYTOFS_TEST_DEVICE names ("cpu" without), and the one that tells the truth; opened once for a test
 * program, which exits 77 where this machine lacks the former. */
struct operands {
    struct device *tested, *ref;
    struct random random;
};

void operands_open(struct operands *operands);
void operands_close(struct operands *operands);

const char *operands_tested_name(void);

/* The same values in both devices' memory: index 0 is the tested one's, 1 the plain one's. */
struct pair {
    struct tensor on[2];
};

/* Uniform in [low, high), rounded to dtype.  Released by operands_release. */
struct pair operands_tensor(struct operands *operands, enum dtype dtype, const int shape[4], double low, double high);
struct pair operands_vector(struct operands *operands, int count, double low, double high);
void operands_release(struct operands *operands, struct pair *pair);

const struct device *operands_device(const struct operands *operands, int side);

/* Largest difference between the two sides, relative to the plain side's largest magnitude (at least 1e-6).
 */
double operands_distance(const struct operands *operands, const struct pair *pair);

/* One side's tensor to and from host memory. */
void operands_fetch(const struct operands *operands, const struct pair *pair, int side, void *to);
void operands_send(const struct operands *operands, const struct pair *pair, int side, const void *from);

/* What rounding may do to a result of that type. */
double operands_tolerance(enum dtype dtype);

#endif
