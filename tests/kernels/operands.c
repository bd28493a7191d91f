#include "operands.h"

#include <math.h>

#include "testing.h"

void operands_open(struct operands *operands)
{
    struct failure why;
    assert_code_ok(device_open("cpu", &(struct device_options){.threads = 2}, &operands->cpu, &why), why);
    assert_code_ok(device_open("ref", NULL, &operands->ref, &why), why);
    operands->random = random_stream(7, 1);
}

void operands_close(struct operands *operands)
{
    device_close(operands->cpu);
    device_close(operands->ref);
}

const struct device *operands_device(const struct operands *operands, int side)
{
    return side == 0 ? operands->cpu : operands->ref;
}

static float get(const struct tensor *tensor, size_t index)
{
    return tensor->dtype == DTYPE_F32 ? ((const float *)tensor->data)[index]
                                      : bf16_to_f32(((const uint16_t *)tensor->data)[index]);
}

/* Both devices compute in the host's memory, which these helpers use. */
struct pair operands_tensor(struct operands *operands, enum dtype dtype, const int shape[4], double low,
                            double high)
{
    struct pair pair;
    for (int side = 0; side < 2; side++) {
        const struct device *device = operands_device(operands, side);
        pair.on[side] = (struct tensor){dtype, shape[0], shape[1], shape[2], shape[3], NULL};
        pair.on[side].data = device->operations->allocate(device, tensor_bytes(&pair.on[side]));
        assert_non_null(pair.on[side].data);
    }
    for (size_t i = 0; i < tensor_count(&pair.on[0]); i++) {
        float value = (float)random_between(&operands->random, low, high);
        for (int side = 0; side < 2; side++)
            if (dtype == DTYPE_F32)
                ((float *)pair.on[side].data)[i] = value;
            else
                ((uint16_t *)pair.on[side].data)[i] = bf16_from_f32(value);
    }
    return pair;
}

struct pair operands_vector(struct operands *operands, int count, double low, double high)
{
    return operands_tensor(operands, DTYPE_F32, (const int[4]){1, 1, 1, count}, low, high);
}

void operands_release(struct operands *operands, struct pair *pair)
{
    for (int side = 0; side < 2; side++)
        operands_device(operands, side)
            ->operations->release(operands_device(operands, side), pair->on[side].data);
}

double operands_distance(const struct pair *pair)
{
    double largest = 1e-6, difference = 0;
    for (size_t i = 0; i < tensor_count(&pair->on[1]); i++) {
        double plain = (double)get(&pair->on[1], i), other = (double)get(&pair->on[0], i);
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
