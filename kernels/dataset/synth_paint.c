/* Painting cells, with the arithmetic of synth_layout.c.  A picture is first light (doubles, one plane a
 * channel), then gets noise, then becomes whole numbers.  Outlines are soft by some 10 % of the radius and
 * half as strong exactly where the mask ends, as a lens would show them.
 *
 *     fluo16   background 180-420 with a linear shading; a nucleus adds up to its peak, modulated by
 *              value noise of period 5 pixels; noise of sigma 8 + 1.2 sqrt(signal); 12 bits
 *     smear8   a light field; cells absorb: red cells with a pale centre, white cells with dark lobes in a
 *              pale body, platelets granular; noise of sigma 2.5; 8 bits a channel
 */
#include "synth_paint.h"

#include <math.h>
#include <stdlib.h>

#include "scope.h"

#define TEXTURE_PERIOD 5
#define FLUO_MAX       4095

/* Value noise: uniform numbers on a lattice, blended smoothly between its points. */
struct texture {
    double *lattice; /* (rows, columns) */
    int columns, rows;
};

static void free_texture(struct texture *texture)
{
    free(texture->lattice);
}

#define SCOPE_TEXTURE __attribute__((cleanup(free_texture))) struct texture

static enum code make_texture(const struct synth_request *request, size_t number, struct texture *out, struct failure *why)
{
    struct random random = synth_layout_stream(request->seed, number, SYNTH_LAYER_TEXTURE);
    out->columns = request->width / TEXTURE_PERIOD + 2;
    out->rows = request->height / TEXTURE_PERIOD + 2;
    size_t count = (size_t)out->columns * (size_t)out->rows;
    if (!(out->lattice = malloc(count * sizeof *out->lattice)))
        return failure_set(why, CODE_NO_MEMORY, "painting a synthetic image: out of memory");
    for (size_t i = 0; i < count; i++)
        out->lattice[i] = random_uniform(&random);
    return CODE_OK;
}

static double smooth(double t)
{
    return t * t * (3 - 2 * t);
}

/* In [0, 1). */
static double sample_texture(const struct texture *texture, int x, int y)
{
    int column = x / TEXTURE_PERIOD, row = y / TEXTURE_PERIOD;
    double u = smooth((double)(x % TEXTURE_PERIOD) / TEXTURE_PERIOD);
    double v = smooth((double)(y % TEXTURE_PERIOD) / TEXTURE_PERIOD);
    const double *at = texture->lattice + (size_t)row * (size_t)texture->columns + column;
    const double *below = at + texture->columns;
    double upper = at[0] + (at[1] - at[0]) * u;
    double lower = below[0] + (below[1] - below[0]) * u;
    return upper + (lower - upper) * v;
}

/* 1 well inside, 0 well outside, 1/2 where reach is 1. */
static double cover(double reach, double softness)
{
    double t = (1 + softness - reach) / (2 * softness);
    return t <= 0 ? 0 : t >= 1 ? 1 : smooth(t);
}

static void paint_nucleus(const struct synth_cell *cell, const struct texture *texture, int width, int height, double *light)
{
    struct synth_window window = synth_layout_window(&cell->shape, 1.15, width, height);
    for (int y = window.y0; y < window.y1; y++)
        for (int x = window.x0; x < window.x1; x++) {
            double reach = synth_layout_reach(&cell->shape, x, y);
            if (reach >= 1.2)
                continue;
            double dome = 0.6 + 0.4 * (reach < 1 ? 1 - reach : 0);
            double grain = 0.75 + 0.5 * sample_texture(texture, x, y);
            double added = cell->strength * dome * grain * cover(reach, 0.2);
            double *at = &light[(size_t)y * (size_t)width + (size_t)x];
            if (added > *at)
                *at = added;
        }
}

static void paint_fluo(const struct synth_request *request, size_t number, const struct synth_layout *layout,
                       const struct texture *texture, double *light, struct image *image)
{
    struct random random = synth_layout_stream(request->seed, number, SYNTH_LAYER_NOISE);
    double background = random_between(&random, 180, 420);
    double slope_x = random_between(&random, -0.25, 0.25), slope_y = random_between(&random, -0.25, 0.25);
    for (size_t i = 0; i < layout->count; i++)
        paint_nucleus(&layout->cells[i], texture, image->width, image->height, light);
    uint16_t *pixels = image->data;
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++) {
            size_t at = (size_t)y * (size_t)image->width + (size_t)x;
            double shading = 1 + slope_x * ((x + 0.5) / image->width - 0.5) + slope_y * ((y + 0.5) / image->height - 0.5);
            double signal = background * shading + light[at];
            signal += (8 + 1.2 * sqrt(signal)) * random_gaussian(&random);
            pixels[at] = (uint16_t)(signal < 0 ? 0 : signal > FLUO_MAX ? FLUO_MAX : (int)(signal + 0.5));
        }
}

/* How much of each channel's light a cell's substances take at full strength. */
static const double red_cell_stain[3] = {0.12, 0.38, 0.30};
static const double body_stain[3] = {0.20, 0.26, 0.10};
static const double lobe_stain[3] = {0.55, 0.72, 0.36};
static const double platelet_stain[3] = {0.34, 0.50, 0.22};

/* Weakens the light at one pixel by the share `amount` of the stain. */
static void absorb(double *light, const double stain[3], double amount)
{
    for (int c = 0; c < 3; c++)
        light[c] *= 1 - stain[c] * amount;
}

static double lobes_cover(const struct synth_cell *cell, int x, int y)
{
    double most = 0;
    for (int i = 0; i < cell->lobe_count; i++) {
        double part = cover(synth_layout_reach(&cell->lobes[i], x, y), 0.15);
        most = part > most ? part : most;
    }
    return most;
}

static void paint_blood_cell(const struct synth_cell *cell, const struct texture *texture, int width, int height,
                             double *light)
{
    struct synth_window window = synth_layout_window(&cell->shape, 1.1, width, height);
    for (int y = window.y0; y < window.y1; y++)
        for (int x = window.x0; x < window.x1; x++) {
            double reach = synth_layout_reach(&cell->shape, x, y);
            double amount = cover(reach, 0.1) * cell->strength;
            if (amount <= 0)
                continue;
            double *at = &light[3 * ((size_t)y * (size_t)width + (size_t)x)];
            double grain = sample_texture(texture, x, y);
            if (cell->class_index == SYNTH_RBC) {
                double pale = reach < 0.4 ? smooth(1 - reach / 0.4) : 0;
                absorb(at, red_cell_stain, amount * (1 - 0.6 * pale) * (0.94 + 0.12 * grain));
            } else if (cell->class_index == SYNTH_WBC) {
                double lobe = lobes_cover(cell, x, y);
                absorb(at, body_stain, amount * (1 - lobe) * (0.8 + 0.4 * grain));
                absorb(at, lobe_stain, amount * lobe * (0.85 + 0.3 * grain));
            } else {
                absorb(at, platelet_stain, amount * (0.6 + 0.8 * grain));
            }
        }
}

static void paint_smear(const struct synth_request *request, size_t number, const struct synth_layout *layout,
                        const struct texture *texture, double *light, struct image *image)
{
    struct random random = synth_layout_stream(request->seed, number, SYNTH_LAYER_NOISE);
    double field[3] = {random_between(&random, 218, 238), random_between(&random, 208, 232),
                       random_between(&random, 212, 236)};
    size_t pixel_count = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < 3 * pixel_count; i++)
        light[i] = field[i % 3];
    for (size_t i = 0; i < layout->count; i++)
        paint_blood_cell(&layout->cells[i], texture, image->width, image->height, light);
    uint8_t *pixels = image->data;
    for (size_t i = 0; i < 3 * pixel_count; i++) {
        double value = light[i] + 2.5 * random_gaussian(&random);
        pixels[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : (int)(value + 0.5));
    }
}

enum code synth_paint_image(const struct synth_request *request, size_t number, const struct synth_layout *layout,
                            struct image *out, struct failure *why)
{
    bool fluo = request->kind == SYNTH_FLUO16;
    SCOPE_IMAGE image = {0};
    SCOPE_TEXTURE texture = {0};
    enum code code = image_create(request->width, request->height, fluo ? 1 : 3, fluo ? 16 : 8, &image, why);
    if (code == CODE_OK)
        code = make_texture(request, number, &texture, why);
    if (code != CODE_OK)
        return code;
    SCOPE_FREE double *light = calloc((size_t)image.width * (size_t)image.height * (size_t)image.channels, sizeof *light);
    if (!light)
        return failure_set(why, CODE_NO_MEMORY, "painting a synthetic image: out of memory");
    if (fluo)
        paint_fluo(request, number, layout, &texture, light, &image);
    else
        paint_smear(request, number, layout, &texture, light, &image);
    *out = image;
    image.data = NULL;
    return CODE_OK;
}
