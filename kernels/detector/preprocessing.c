/* Intensities, working scale and padding: see preprocessing.h.  Pure functions of their arguments. */
#include "preprocessing.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MEDIAN_BINS 4096

static const double percentile_low = 0.01, percentile_high = 0.998;
static const float median_low = -0.5f, median_high = 1.5f; /* where medians of working images lie */

static uint32_t sample_at(const struct image *image, size_t index)
{
    return image->bits == 8 ? ((const uint8_t *)image->data)[index] : ((const uint16_t *)image->data)[index];
}

static double sample_max(const struct image *image)
{
    return image->bits == 8 ? 255 : 65535;
}

/* The smallest value with at least `part` of all samples at or below it. */
static uint32_t rank_value(const uint64_t *histogram, uint64_t total, double part)
{
    uint64_t wanted = (uint64_t)ceil(part * (double)total), seen = 0;
    for (uint32_t value = 0; value < 65536; value++) {
        seen += histogram[value];
        if (seen >= wanted && seen > 0)
            return value;
    }
    return 65535;
}

void preprocessing_percentiles(const struct image *image, double *low, double *high)
{
    static _Thread_local uint64_t histogram[65536];
    memset(histogram, 0, sizeof histogram);
    size_t total = (size_t)image->width * (size_t)image->height * (size_t)image->channels;
    for (size_t i = 0; i < total; i++)
        histogram[sample_at(image, i)]++;
    *low = rank_value(histogram, total, percentile_low) / sample_max(image);
    *high = rank_value(histogram, total, percentile_high) / sample_max(image);
}

/* Width or height of the working image. */
static int working_side(int image_side, double scale)
{
    int side = (int)lrint(image_side * scale);
    return side < 1 ? 1 : side;
}

static void intensity_range(const struct preprocessing *recipe, const struct image *image, double *low, double *gain)
{
    *low = 0;
    double high = 1;
    if (recipe->intensity == INTENSITY_PERCENTILE) {
        preprocessing_percentiles(image, low, &high);
        high = fmax(high, *low + fmax(recipe->range_floor, 1 / sample_max(image)));
    }
    *gain = 1 / (high - *low);
}

static void convert_samples(const struct image *image, struct plane *plane, double low, double gain)
{
    size_t pixels = (size_t)image->width * (size_t)image->height;
    float scale = (float)(gain / sample_max(image)), shift = (float)(low * gain);
    for (size_t i = 0; i < pixels; i++) {
        float value[3];
        for (int c = 0; c < image->channels; c++)
            value[c] = (float)sample_at(image, i * (size_t)image->channels + (size_t)c) * scale - shift;
        if (image->channels == 1)
            value[1] = value[2] = value[0];
        if (plane->channels == 3)
            memcpy(&plane->data[i * 3], value, sizeof value);
        else if (image->channels == 1)
            plane->data[i] = value[0];
        else
            plane->data[i] = 0.299f * value[0] + 0.587f * value[1] + 0.114f * value[2];
    }
}

enum code preprocessing_apply(const struct preprocessing *recipe, const struct image *image, struct plane *out,
                              struct failure *why)
{
    SCOPE_PLANE full = {0};
    enum code code = resample_create(image->width, image->height, recipe->channels, &full, why);
    if (code != CODE_OK)
        return code;
    double low, gain;
    intensity_range(recipe, image, &low, &gain);
    convert_samples(image, &full, low, gain);
    int width = working_side(image->width, recipe->scale);
    int height = working_side(image->height, recipe->scale);
    if (width == image->width && height == image->height) {
        *out = full;
        full.data = NULL;
        return CODE_OK;
    }
    return resample_plane(&full, width, height, out, why);
}

int preprocessing_padded(int side)
{
    int step = side <= 256 ? 32 : side <= 512 ? 64 : 128;
    return (side + step - 1) / step * step;
}

void preprocessing_medians(const struct plane *plane, float median[3])
{
    static _Thread_local uint32_t histogram[MEDIAN_BINS];
    size_t pixels = (size_t)plane->width * (size_t)plane->height, channels = (size_t)plane->channels;
    for (size_t c = 0; c < channels; c++) {
        memset(histogram, 0, sizeof histogram);
        for (size_t i = 0; i < pixels; i++) {
            float part = (plane->data[i * channels + c] - median_low) / (median_high - median_low);
            histogram[(int)(fminf(fmaxf(part, 0), 1) * (MEDIAN_BINS - 1))]++;
        }
        size_t seen = 0;
        int bin = 0;
        while ((seen += histogram[bin]) * 2 < pixels)
            bin++;
        median[c] = median_low + ((float)bin + 0.5f) / (MEDIAN_BINS - 1) * (median_high - median_low);
    }
}

void preprocessing_copy_window(const struct plane *plane, const struct preprocessing_window *window, float *input)
{
    size_t channels = (size_t)plane->channels;
    for (int v = 0; v < window->height; v++) {
        for (int u = 0; u < window->width; u++) {
            int x = window->x + u, y = window->y + v;
            bool is_inside = x >= 0 && y >= 0 && x < plane->width && y < plane->height;
            const float *pixel =
                is_inside ? plane->data + ((size_t)y * (size_t)plane->width + (size_t)x) * channels : window->outside;
            for (size_t c = 0; c < channels; c++)
                *input++ = preprocessing_input(pixel[c]);
        }
    }
}
