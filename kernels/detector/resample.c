/* Separable resampling: see resample.h.
 *
 * Along each axis an output sample is a weighted mean of a run of input samples.  Shrinking: each input
 * weighs by the length it shares with the output pixel (exact area averaging, no aliasing).  Growing: the two
 * nearest centres, linearly.  The runs of one axis are computed once and used for every row or column.
 */
#include "resample.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "scope.h"

/* Output sample i is sum over k < count[i] of weight[i * stride + k] * input[start[i] + k]. */
struct axis {
    int length, stride;
    int *start, *count;
    float *weight;
};

enum code resample_create(int width, int height, int channels, struct plane *out, struct failure *why)
{
    size_t samples;
    *out = (struct plane){width, height, channels, NULL};
    if (!bytes_multiply((size_t)width, (size_t)height, &samples) || !bytes_multiply(samples, (size_t)channels, &samples))
        return failure_set(why, CODE_TOO_LARGE, "an image of %d x %d pixels is too large", width, height);
    out->data = calloc(samples, sizeof *out->data);
    if (!out->data)
        return failure_set(why, CODE_NO_MEMORY, "an image of %d x %d pixels: out of memory", width, height);
    return CODE_OK;
}

void resample_free(struct plane *plane)
{
    free(plane->data);
    *plane = (struct plane){0};
}

static void axis_free(struct axis *axis)
{
    free(axis->start);
    free(axis->count);
    free(axis->weight);
}

static void weigh_area(struct axis *axis, int i, int in_length)
{
    double scale = (double)in_length / axis->length;
    double from = i * scale, to = (i + 1) * scale;
    int first = (int)from, last = (int)ceil(to - 1e-9);
    if (last > in_length)
        last = in_length;
    axis->start[i] = first;
    axis->count[i] = last - first;
    for (int k = 0; k < axis->count[i]; k++) {
        double shared = fmin(to, first + k + 1) - fmax(from, first + k);
        axis->weight[i * axis->stride + k] = (float)(shared / scale);
    }
}

static void weigh_linear(struct axis *axis, int i, int in_length)
{
    double at = (i + 0.5) * in_length / axis->length - 0.5;
    at = fmin(fmax(at, 0), in_length - 1);
    int first = (int)at;
    axis->start[i] = first;
    axis->count[i] = first + 1 < in_length ? 2 : 1;
    float behind = axis->count[i] == 2 ? (float)(at - first) : 0;
    axis->weight[i * axis->stride] = 1 - behind;
    axis->weight[i * axis->stride + 1] = behind;
}

static enum code axis_create(int in_length, int length, struct axis *axis, struct failure *why)
{
    axis->length = length;
    axis->stride = length < in_length ? in_length / length + 3 : 2;
    axis->start = calloc((size_t)length, sizeof *axis->start);
    axis->count = calloc((size_t)length, sizeof *axis->count);
    axis->weight = calloc((size_t)length * (size_t)axis->stride, sizeof *axis->weight);
    if (!axis->start || !axis->count || !axis->weight) {
        axis_free(axis);
        return failure_set(why, CODE_NO_MEMORY, "resizing an image: out of memory");
    }
    for (int i = 0; i < length; i++) {
        if (length < in_length)
            weigh_area(axis, i, in_length);
        else
            weigh_linear(axis, i, in_length);
    }
    return CODE_OK;
}

static void resample_rows(const struct plane *in, const struct axis *axis, struct plane *out)
{
    int channels = in->channels;
    for (int y = 0; y < in->height; y++) {
        const float *row = in->data + (size_t)y * (size_t)in->width * (size_t)channels;
        float *to = out->data + (size_t)y * (size_t)out->width * (size_t)channels;
        for (int x = 0; x < axis->length; x++) {
            const float *weight = axis->weight + (size_t)x * (size_t)axis->stride;
            const float *from = row + (size_t)axis->start[x] * (size_t)channels;
            for (int k = 0; k < axis->count[x]; k++)
                for (int c = 0; c < channels; c++)
                    to[x * channels + c] += weight[k] * from[k * channels + c];
        }
    }
}

static void resample_columns(const struct plane *in, const struct axis *axis, struct plane *out)
{
    size_t row_samples = (size_t)in->width * (size_t)in->channels;
    for (int y = 0; y < axis->length; y++) {
        float *to = out->data + (size_t)y * row_samples;
        for (int k = 0; k < axis->count[y]; k++) {
            const float *from = in->data + (size_t)(axis->start[y] + k) * row_samples;
            float weight = axis->weight[(size_t)y * (size_t)axis->stride + (size_t)k];
            for (size_t i = 0; i < row_samples; i++)
                to[i] += weight * from[i];
        }
    }
}

static enum code resample_both(const struct plane *in, const struct axis *across, const struct axis *down, struct plane *out,
                               struct failure *why)
{
    SCOPE_PLANE narrowed = {0};
    enum code code = resample_create(across->length, in->height, in->channels, &narrowed, why);
    if (code == CODE_OK)
        code = resample_create(across->length, down->length, in->channels, out, why);
    if (code != CODE_OK)
        return code;
    resample_rows(in, across, &narrowed);
    resample_columns(&narrowed, down, out);
    return CODE_OK;
}

enum code resample_plane(const struct plane *in, int width, int height, struct plane *out, struct failure *why)
{
    struct axis across = {0}, down = {0};
    enum code code = axis_create(in->width, width, &across, why);
    if (code != CODE_OK)
        return code;
    code = axis_create(in->height, height, &down, why);
    if (code == CODE_OK) {
        code = resample_both(in, &across, &down, out, why);
        axis_free(&down);
    }
    axis_free(&across);
    return code;
}
