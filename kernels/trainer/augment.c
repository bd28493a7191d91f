/* Random crops and changes of intensity: see augment.h.
 *
 * Geometry first: a square of side / zoom working pixels is placed at random, half of the time so that it
 * holds some object where the image is much larger than the crop; then mirrored and transposed.  One affine
 * map (struct view) describes all of it and serves pixels, labels and boxes, so they cannot disagree.
 * Intensities next: gamma, gain, offset, gain per channel, noise; each drawn once a crop.
 *
 * Invariant: the numbers are drawn in one fixed order, whatever the image, so an example is a function of
 * (image, random stream) and nothing else.
 */
#include "augment.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static const double zoom_low = 0.7, zoom_high = 1.4;
static const double gamma_range = 0.3, gain_range = 0.2, offset_range = 0.06, channel_range = 0.06;
static const double noise_probability = 0.3, noise_max = 0.04;
static const double visible_part_min = 0.25;
static const double focus_area_ratio =
    2; /* image larger than this many crops: look for objects half of the time */

/* The crop's pixel (u, v) shows the working image at (x0 + step * a, y0 + step * b), where (a, b) is (u, v)
 * after the mirrorings and the transposition. */
struct view {
    double x0, y0, step;
    int side;
    bool flip_x, flip_y, transpose;
};

/* value -> gain[c] * value^gamma + offset, plus noise. */
struct tint {
    float gamma, gain[3], offset, noise;
};

/* Random place of a window of `extent` over a length: inside where it fits, else around it. */
static double place(double length, double extent, double uniform)
{
    return (length - extent) * uniform;
}

static struct view draw_view(const struct training_image *image, const struct dataset_object *objects,
                             size_t object_count, int side, struct random *random)
{
    double zoom = exp(random_between(random, log(zoom_low), log(zoom_high)));
    double u = random_uniform(random), v = random_uniform(random), focus = random_uniform(random);
    uint32_t pick = random_below(random, (uint32_t)(object_count ? object_count : 1));
    uint64_t bits = random_next(random);
    double extent = side / zoom;
    struct view view = {.x0 = place(image->width, extent, u),
                        .y0 = place(image->height, extent, v),
                        .step = 1 / zoom,
                        .side = side,
                        .flip_x = bits & 1,
                        .flip_y = bits & 2,
                        .transpose = bits & 4};
    bool is_large = (double)image->width * image->height > focus_area_ratio * extent * extent;
    if (is_large && object_count > 0 && focus < 0.5) {
        const struct dataset_object *object = &objects[pick];
        double x = (object->x0 + object->x1) / 2 * (double)image->across;
        double y = (object->y0 + object->y1) / 2 * (double)image->down;
        if (image->width > extent)
            view.x0 = fmin(fmax(x - extent * u, 0), image->width - extent);
        if (image->height > extent)
            view.y0 = fmin(fmax(y - extent * v, 0), image->height - extent);
    }
    return view;
}

static struct tint draw_tint(struct random *random)
{
    struct tint tint;
    tint.gamma = (float)exp(random_between(random, -gamma_range, gamma_range));
    float gain = (float)exp(random_between(random, -gain_range, gain_range));
    tint.offset = (float)random_between(random, -offset_range, offset_range);
    for (int c = 0; c < 3; c++)
        tint.gain[c] = gain * (float)random_between(random, 1 - channel_range, 1 + channel_range);
    double chance = random_uniform(random), sigma = random_between(random, 0, noise_max);
    tint.noise = chance < noise_probability ? (float)sigma : 0;
    return tint;
}

/* The crop pixel's place along the window's own axes, after transposition and mirroring. */
static void window_axes(const struct view *view, int u, int v, double *a, double *b)
{
    *a = view->transpose ? v : u;
    *b = view->transpose ? u : v;
    if (view->flip_x)
        *a = view->side - 1 - *a;
    if (view->flip_y)
        *b = view->side - 1 - *b;
}

/* Linear interpolation about (x, y), given in pixel centres' coordinates; the median outside. */
static void sample_image(const struct training_image *image, double x, double y, float value[3])
{
    int channels = image->channels;
    if (x < -0.5 || y < -0.5 || x > image->width - 0.5 || y > image->height - 0.5) {
        memcpy(value, image->median, sizeof image->median);
        return;
    }
    x = fmin(fmax(x, 0), image->width - 1);
    y = fmin(fmax(y, 0), image->height - 1);
    int left = (int)x, top = (int)y;
    int right = left + 1 < image->width ? left + 1 : left, bottom = top + 1 < image->height ? top + 1 : top;
    float fx = (float)(x - left), fy = (float)(y - top);
    const uint16_t *upper = image->samples + (size_t)top * (size_t)image->width * (size_t)channels;
    const uint16_t *lower = image->samples + (size_t)bottom * (size_t)image->width * (size_t)channels;
    for (int c = 0; c < channels; c++) {
        float above = (1 - fx) * upper[left * channels + c] + fx * upper[right * channels + c];
        float below = (1 - fx) * lower[left * channels + c] + fx * lower[right * channels + c];
        value[c] = ((1 - fy) * above + fy * below) / TRAINING_IMAGE_ONE - TRAINING_IMAGE_ZERO;
    }
}

/* value^gamma for 0 <= value, with the sign kept below: samples a little under black exist. */
static float apply_gamma(float value, float gamma)
{
    return value > 0 ? powf(value, gamma) : value;
}

/* value^gamma is the dear part: a table over -0.5 .. 1.5, interpolated, serves a whole crop. */
#define GAMMA_TABLE_SIZE 1024
struct gamma_table {
    float values[GAMMA_TABLE_SIZE + 2];
};

static void fill_gamma_table(struct gamma_table *table, float gamma)
{
    for (int i = 0; i < GAMMA_TABLE_SIZE + 2; i++)
        table->values[i] = apply_gamma((float)i * 2 / GAMMA_TABLE_SIZE - TRAINING_IMAGE_ZERO, gamma);
}

static float look_up_gamma(const struct gamma_table *table, float value)
{
    float at = (value + TRAINING_IMAGE_ZERO) * (GAMMA_TABLE_SIZE / 2);
    int index = (int)at;
    return table->values[index] + (at - (float)index) * (table->values[index + 1] - table->values[index]);
}

static void fill_input(const struct training_image *image, const struct view *view, const struct tint *tint,
                       struct random *random, float *input)
{
    struct gamma_table table;
    fill_gamma_table(&table, tint->gamma);
    for (int v = 0; v < view->side; v++) {
        for (int u = 0; u < view->side; u++) {
            double a, b;
            float value[3];
            window_axes(view, u, v, &a, &b);
            sample_image(image, view->x0 + (a + 0.5) * view->step - 0.5,
                         view->y0 + (b + 0.5) * view->step - 0.5, value);
            for (int c = 0; c < image->channels; c++) {
                float changed = tint->gain[c] * look_up_gamma(&table, value[c]) + tint->offset;
                if (tint->noise > 0)
                    changed += tint->noise * (float)random_gaussian(random);
                *input++ = (changed - 0.5f) * 4;
            }
        }
    }
}

static void fill_labels(const struct training_image *image, const struct view *view, uint32_t *labels)
{
    for (int v = 0; v < view->side; v++) {
        for (int u = 0; u < view->side; u++) {
            double a, b;
            window_axes(view, u, v, &a, &b);
            int x = (int)floor(view->x0 + (a + 0.5) * view->step),
                y = (int)floor(view->y0 + (b + 0.5) * view->step);
            bool is_inside = x >= 0 && x < image->width && y >= 0 && y < image->height;
            *labels++ = is_inside ? image->labels[(size_t)y * (size_t)image->width + (size_t)x] : 0;
        }
    }
}

static void swap(float *a, float *b)
{
    float kept = *a;
    *a = *b;
    *b = kept;
}

/* An object's box in the crop's pixels. */
static struct target_object view_object(const struct training_image *image, const struct view *view,
                                        const struct dataset_object *object)
{
    struct target_object seen = {
        .x0 = (float)((object->x0 * image->across - view->x0) / view->step),
        .x1 = (float)((object->x1 * image->across - view->x0) / view->step),
        .y0 = (float)((object->y0 * image->down - view->y0) / view->step),
        .y1 = (float)((object->y1 * image->down - view->y0) / view->step),
        .class_index = object->class_index,
        .label = object->label,
    };
    float side = (float)view->side;
    if (view->flip_x) {
        swap(&seen.x0, &seen.x1);
        seen.x0 = side - seen.x0;
        seen.x1 = side - seen.x1;
    }
    if (view->flip_y) {
        swap(&seen.y0, &seen.y1);
        seen.y0 = side - seen.y0;
        seen.y1 = side - seen.y1;
    }
    if (view->transpose) {
        swap(&seen.x0, &seen.y0);
        swap(&seen.x1, &seen.y1);
    }
    return seen;
}

/* Clips to the crop; false where too little stays visible. */
static bool clip_object(struct target_object *object, float side)
{
    double whole = (double)(object->x1 - object->x0) * (object->y1 - object->y0);
    object->x0 = fmaxf(object->x0, 0);
    object->y0 = fmaxf(object->y0, 0);
    object->x1 = fminf(object->x1, side);
    object->y1 = fminf(object->y1, side);
    if (object->x1 <= object->x0 || object->y1 <= object->y0)
        return false;
    return (double)(object->x1 - object->x0) * (object->y1 - object->y0) >= visible_part_min * whole;
}

void augment_example(const struct training_image *image, const struct dataset_object *objects,
                     size_t object_count, struct random *random, struct augmented *out)
{
    struct view view = draw_view(image, objects, object_count, out->side, random);
    struct tint tint = draw_tint(random);
    fill_input(image, &view, &tint, random, out->input);
    if (out->labels)
        fill_labels(image, &view, out->labels);
    out->object_count = 0;
    for (size_t i = 0; i < object_count; i++) {
        struct target_object seen = view_object(image, &view, &objects[i]);
        if (clip_object(&seen, (float)out->side))
            out->objects[out->object_count++] = seen;
    }
}
