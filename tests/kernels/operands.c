#include "operands.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "scope.h"
#include "testing.h"

const char *operands_tested_name(void)
{
    const char *name = getenv("CYTOFS_TEST_DEVICE");
    return name ? name : "cpu";
}

/* A machine without such a device skips the whole program. */
static struct device *open_tested(void)
{
    struct device *device;
    struct failure why;
    enum code code = device_open(operands_tested_name(), &(struct device_options){.threads = 2}, &device, &why);
    if (code == CODE_UNSUPPORTED) {
        printf("skipped: device %s: %s\n", operands_tested_name(), why.text);
        exit(77);
    }
    assert_code_ok(code, why);
    return device;
}

void operands_open(struct operands *operands)
{
    struct failure why;
    operands->tested = open_tested();
    assert_code_ok(device_open("ref", NULL, &operands->ref, &why), why);
    operands->random = random_stream(7, 1);
}

void operands_close(struct operands *operands)
{
    device_close(operands->tested);
    device_close(operands->ref);
}

const struct device *operands_device(const struct operands *operands, int side)
{
    return side == 0 ? operands->tested : operands->ref;
}

void operands_fetch(const struct operands *operands, const struct pair *pair, int side, void *to)
{
    const struct device *device = operands_device(operands, side);
    struct failure why;
    device->operations->download(device, to, pair->on[side].data, tensor_bytes(&pair->on[side]));
    assert_code_ok(device->operations->synchronize(device, &why), why);
}

void operands_send(const struct operands *operands, const struct pair *pair, int side, const void *from)
{
    const struct device *device = operands_device(operands, side);
    device->operations->upload(device, pair->on[side].data, from, tensor_bytes(&pair->on[side]));
}

static float get(enum dtype dtype, const void *values, size_t index)
{
    return dtype == DTYPE_F32 ? ((const float *)values)[index] : bf16_to_f32(((const uint16_t *)values)[index]);
}

struct pair operands_tensor(struct operands *operands, enum dtype dtype, const int shape[4], double low, double high)
{
    struct pair pair;
    for (int side = 0; side < 2; side++) {
        const struct device *device = operands_device(operands, side);
        pair.on[side] = (struct tensor){dtype, shape[0], shape[1], shape[2], shape[3], NULL};
        pair.on[side].data = device->operations->allocate(device, tensor_bytes(&pair.on[side]));
        assert_non_null(pair.on[side].data);
    }
    SCOPE_FREE void *values = malloc(tensor_bytes(&pair.on[0]));
    assert_non_null(values);
    for (size_t i = 0; i < tensor_count(&pair.on[0]); i++) {
        float value = (float)random_between(&operands->random, low, high);
        if (dtype == DTYPE_F32)
            ((float *)values)[i] = value;
        else
            ((uint16_t *)values)[i] = bf16_from_f32(value);
    }
    for (int side = 0; side < 2; side++)
        operands_send(operands, &pair, side, values);
    return pair;
}

struct pair operands_vector(struct operands *operands, int count, double low, double high)
{
    return operands_tensor(operands, DTYPE_F32, (const int[4]){1, 1, 1, count}, low, high);
}

void operands_release(struct operands *operands, struct pair *pair)
{
    for (int side = 0; side < 2; side++)
        operands_device(operands, side)->operations->release(operands_device(operands, side), pair->on[side].data);
}

double operands_distance(const struct operands *operands, const struct pair *pair)
{
    double largest = 1e-6, difference = 0;
    enum dtype dtype = pair->on[0].dtype;
    SCOPE_FREE void *tested = malloc(tensor_bytes(&pair->on[0])), *ref = malloc(tensor_bytes(&pair->on[1]));
    assert_true(tested && ref);
    operands_fetch(operands, pair, 0, tested);
    operands_fetch(operands, pair, 1, ref);
    for (size_t i = 0; i < tensor_count(&pair->on[1]); i++) {
        double plain = (double)get(dtype, ref, i), other = (double)get(dtype, tested, i);
        if (!isfinite(plain) || !isfinite(other))
            return INFINITY;
        largest = fmax(largest, fabs(plain));
        difference = fmax(difference, fabs(plain - other));
    }
    return difference / largest;
}

double operands_tolerance(enum dtype dtype)
{
    return dtype == DTYPE_F32 ? 2e-5 : 0x1p-7; /* bf16: two half-way roundings */
}
