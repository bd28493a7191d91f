/* A training crop, pixel by pixel: what the trainer draws at random for one example, and the function that makes a pixel of
 * the network's input from it.  The CPU's trainer and the GPU's kernel compile this same function, from + - * and
 * comparisons that both round alike (no fused multiply-add), so a crop is the same, bit for bit, wherever it is made.
 *
 *     image, 16 bits a sample --view--> linear interpolation --table--> value^gamma --gain, offset, noise--> (v - 0.5) * 4
 *
 * Powers are the one thing that libraries round differently: they are in a table, which the host fills.  Noise is a stream
 * of splitmix64 (random.h), whose n-th number follows from n alone: each pixel finds its own.
 */
#ifndef CYTOFS_AUGMENTATION_H
#define CYTOFS_AUGMENTATION_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "random.h"

#ifdef __CUDACC__
#define AUGMENTATION_FUNCTION __host__ __device__ static inline
#else
#define AUGMENTATION_FUNCTION static inline
#endif

/* A sample s stands for the value s / AUGMENTATION_ONE - AUGMENTATION_ZERO, i.e. -0.5 .. 1.5. */
#define AUGMENTATION_ONE  32768.0f
#define AUGMENTATION_ZERO 0.5f

/* value^gamma over -0.5 .. 1.5, interpolated; value itself below 0. */
#define AUGMENTATION_TABLE_SIZE   1024
#define AUGMENTATION_TABLE_FLOATS (AUGMENTATION_TABLE_SIZE + 2)

#define AUGMENTATION_CHANNELS_MAX 3

/* The crop's pixel (u, v) shows the working image at (x0 + step * a, y0 + step * b), where (a, b) is (u, v)
 * after the mirrorings and the transposition. */
struct augmentation_view {
    double x0, y0, step;
    int32_t side; /* of the square crop, px */
    int32_t flip_x, flip_y, transpose;
};

struct augmentation_crop {
    struct augmentation_view view;
    int32_t width, height, channels; /* of the working image */
    /* The part of it that `samples` holds, (.., window_width, channels): all of it, or what the crop sees. */
    int32_t window_x, window_y, window_width;
    const uint16_t *samples;                  /* memory of the device that makes the crop */
    const float *table;                       /* (AUGMENTATION_TABLE_FLOATS), likewise */
    float outside[AUGMENTATION_CHANNELS_MAX]; /* value beyond the image */
    float gain[AUGMENTATION_CHANNELS_MAX], offset;
    float noise;          /* sigma; 0 for none */
    uint64_t noise_state; /* of the stream, before its first number */
};

/* The crop pixel's place along the window's own axes, after transposition and mirroring. */
AUGMENTATION_FUNCTION void augmentation_axes(const struct augmentation_view *view, int u, int v, double *a, double *b)
{
    *a = view->transpose ? v : u;
    *b = view->transpose ? u : v;
    if (view->flip_x)
        *a = view->side - 1 - *a;
    if (view->flip_y)
        *b = view->side - 1 - *b;
}

/* Linear interpolation about (x, y), given in pixel centres' coordinates. */
AUGMENTATION_FUNCTION void augmentation_sample(const struct augmentation_crop *crop, double x, double y,
                                               float value[AUGMENTATION_CHANNELS_MAX])
{
    int channels = crop->channels;
    if (x < -0.5 || y < -0.5 || x > crop->width - 0.5 || y > crop->height - 0.5) {
        for (int c = 0; c < AUGMENTATION_CHANNELS_MAX; c++)
            value[c] = crop->outside[c];
        return;
    }
    x = fmin(fmax(x, 0.0), (double)(crop->width - 1));
    y = fmin(fmax(y, 0.0), (double)(crop->height - 1));
    int left = (int)x, top = (int)y;
    int right = left + 1 < crop->width ? left + 1 : left, bottom = top + 1 < crop->height ? top + 1 : top;
    float fx = (float)(x - left), fy = (float)(y - top);
    size_t row = (size_t)crop->window_width * (size_t)channels;
    const uint16_t *upper = crop->samples + (size_t)(top - crop->window_y) * row;
    const uint16_t *lower = crop->samples + (size_t)(bottom - crop->window_y) * row;
    int from = (left - crop->window_x) * channels, to = (right - crop->window_x) * channels;
    /* Up to a constant: so that the values stay in registers. */
    for (int c = 0; c < AUGMENTATION_CHANNELS_MAX; c++) {
        if (c >= channels)
            break;
        float above = (1 - fx) * upper[from + c] + fx * upper[to + c];
        float below = (1 - fx) * lower[from + c] + fx * lower[to + c];
        value[c] = ((1 - fy) * above + fy * below) / AUGMENTATION_ONE - AUGMENTATION_ZERO;
    }
}

AUGMENTATION_FUNCTION float augmentation_power(const float *table, float value)
{
    float at = (value + AUGMENTATION_ZERO) * (AUGMENTATION_TABLE_SIZE / 2);
    int index = (int)at;
    return table[index] + (at - (float)index) * (table[index + 1] - table[index]);
}

/* The Gaussian number of sample `index` of the crop; random_gaussian takes 3 numbers of the stream. */
AUGMENTATION_FUNCTION float augmentation_noise(uint64_t state, uint64_t index)
{
    int64_t sum = 0;
    for (uint64_t word = 1; word <= 3; word++) {
        uint64_t bits = random_mix(state + (3 * index + word) * RANDOM_INCREMENT);
        for (int part = 0; part < 4; part++)
            sum += (int64_t)(bits >> 16 * part & 0xFFFF);
    }
    return (float)((double)(sum - 393210) / 65536.0);
}

/* Pixel (u, v) of the crop into out (channels). */
AUGMENTATION_FUNCTION void augmentation_pixel(const struct augmentation_crop *crop, int u, int v, float *out)
{
    const struct augmentation_view *view = &crop->view;
    double a, b;
    float value[AUGMENTATION_CHANNELS_MAX];
    augmentation_axes(view, u, v, &a, &b);
    augmentation_sample(crop, view->x0 + (a + 0.5) * view->step - 0.5, view->y0 + (b + 0.5) * view->step - 0.5, value);
    for (int c = 0; c < AUGMENTATION_CHANNELS_MAX; c++) {
        if (c >= crop->channels)
            break;
        float changed = crop->gain[c] * augmentation_power(crop->table, value[c]) + crop->offset;
        if (crop->noise > 0) {
            uint64_t pixel = (uint64_t)v * (uint64_t)view->side + (uint64_t)u;
            changed += crop->noise * augmentation_noise(crop->noise_state, pixel * (uint64_t)crop->channels + (uint64_t)c);
        }
        out[c] = (changed - 0.5f) * 4;
    }
}

#endif
