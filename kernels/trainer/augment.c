/* Random crops and changes of intensity: see augment.h.
 *
 * Geometry first: a square of side / zoom working pixels is placed at random, half of the time so that it
 * holds some object where the image is much larger than the crop; then mirrored and transposed.  One affine
 * map (struct augmentation_view) describes all of it and serves pixels, labels and boxes, so they cannot disagree.
 * Intensities next: gamma, gain, offset, gain per channel, noise; each drawn once a crop.  Pixels are made by
 * augmentation_pixel, here or on a GPU.
 *
 * Invariant: the numbers are drawn in one fixed order, whatever the image, so an example is a function of
 * (image, random stream) and nothing else.
 */
#include "augment.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const double zoom_low = 0.7, zoom_high = 1.4;
static const double gamma_range = 0.3, gain_range = 0.2, offset_range = 0.06, channel_range = 0.06;
static const double noise_probability = 0.3, noise_max = 0.04;
static const double visible_part_min = 0.25; /* of a box: less of it says too little */
static const float visible_side_min = 5;     /* px of what labels show: thinner slivers people leave out as well */
static const double focus_area_ratio = 2;    /* image larger than this many crops: look for objects half of the time */

/* value -> gain[c] * value^gamma + offset, plus noise. */
struct tint {
    float gamma, gain[3], offset, noise;
};

/* Random place of a window of `extent` over a length: inside where it fits, else around it. */
static double place(double length, double extent, double uniform)
{
    return (length - extent) * uniform;
}

static struct augmentation_view draw_view(const struct training_image *image, const struct dataset_object *objects,
                                          size_t object_count, int side, struct random *random)
{
    double zoom = exp(random_between(random, log(zoom_low), log(zoom_high)));
    double u = random_uniform(random), v = random_uniform(random), focus = random_uniform(random);
    uint32_t pick = random_below(random, (uint32_t)(object_count ? object_count : 1));
    uint64_t bits = random_next(random);
    double extent = side / zoom;
    struct augmentation_view view = {.x0 = place(image->width, extent, u),
                                     .y0 = place(image->height, extent, v),
                                     .step = 1 / zoom,
                                     .side = side,
                                     .flip_x = bits & 1,
                                     .flip_y = (bits & 2) != 0,
                                     .transpose = (bits & 4) != 0};
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

/* value^gamma for 0 <= value, with the sign kept below: samples a little under black exist. */
static float apply_gamma(float value, float gamma)
{
    return value > 0 ? powf(value, gamma) : value;
}

static void fill_table(float *table, float gamma)
{
    for (int i = 0; i < AUGMENTATION_TABLE_FLOATS; i++)
        table[i] = apply_gamma((float)i * 2 / AUGMENTATION_TABLE_SIZE - AUGMENTATION_ZERO, gamma);
}

/* The crop of the whole image; its table is the caller's to fill in. */
static struct augmentation_crop make_crop(const struct training_image *image, const struct augmentation_view *view,
                                          const struct tint *tint, const struct random *random)
{
    struct augmentation_crop crop = {.view = *view,
                                     .width = image->width,
                                     .height = image->height,
                                     .channels = image->channels,
                                     .window_width = image->width,
                                     .samples = image->samples,
                                     .offset = tint->offset,
                                     .noise = tint->noise,
                                     .noise_state = random->state};
    memcpy(crop.outside, image->median, sizeof crop.outside);
    memcpy(crop.gain, tint->gain, sizeof crop.gain);
    return crop;
}

static void fill_input(const struct augmentation_crop *crop, float *input)
{
    for (int v = 0; v < crop->view.side; v++)
        for (int u = 0; u < crop->view.side; u++, input += crop->channels)
            augmentation_pixel(crop, u, v, input);
}

/* The first pixel and the number of pixels of a line of `length` that the crop reads, whose pixels show `from` + step * a.
 */
static void window_of(double from, double step, int side, int length, int *first, int *count)
{
    double low = floor(from + 0.5 * step - 0.5), high = floor(from + (side - 0.5) * step - 0.5) + 1;
    low = fmin(fmax(low, 0), length - 1);
    high = fmin(fmax(high, 0), length - 1);
    *first = (int)low;
    *count = (int)high - (int)low + 1;
}

struct augment_window augment_window(const struct augmentation_crop *crop)
{
    const struct augmentation_view *view = &crop->view;
    struct augment_window window;
    window_of(view->x0, view->step, view->side, crop->width, &window.x, &window.width);
    window_of(view->y0, view->step, view->side, crop->height, &window.y, &window.height);
    return window;
}

size_t augment_window_samples_max(int side, int channels)
{
    size_t most = (size_t)ceil(side / zoom_low) + 3;
    return most * most * (size_t)channels;
}

void augment_copy_window(const struct training_image *image, struct augmentation_crop *crop, uint16_t *samples)
{
    const struct augment_window window = augment_window(crop);
    size_t channels = (size_t)image->channels, row = (size_t)window.width * channels;
    for (int y = 0; y < window.height; y++)
        memcpy(samples + (size_t)y * row,
               image->samples + ((size_t)(window.y + y) * (size_t)image->width + (size_t)window.x) * channels,
               row * sizeof *samples);
    crop->window_x = window.x;
    crop->window_y = window.y;
    crop->window_width = window.width;
}

static void fill_labels(const struct training_image *image, const struct augmentation_view *view, uint32_t *labels)
{
    for (int v = 0; v < view->side; v++) {
        for (int u = 0; u < view->side; u++) {
            double a, b;
            augmentation_axes(view, u, v, &a, &b);
            int x = (int)floor(view->x0 + (a + 0.5) * view->step), y = (int)floor(view->y0 + (b + 0.5) * view->step);
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
static struct target_object view_object(const struct training_image *image, const struct augmentation_view *view,
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

/* The objects are sorted by label. */
static struct target_object *find_labelled(struct augmented *out, uint32_t label)
{
    size_t low = 0, high = out->object_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (out->objects[middle].label < label)
            low = middle + 1;
        else
            high = middle;
    }
    return low < out->object_count && out->objects[low].label == label ? &out->objects[low] : NULL;
}

static void grow(struct target_object *object, int u, int end, int v)
{
    object->x0 = fminf(object->x0, (float)u);
    object->x1 = fmaxf(object->x1, (float)end);
    object->y0 = fminf(object->y0, (float)v);
    object->y1 = fmaxf(object->y1, (float)v + 1);
}

static int by_label(const void *left, const void *right)
{
    const struct target_object *a = left, *b = right;
    return (a->label > b->label) - (a->label < b->label);
}

/* Boxes become what the crop's labels show of the objects; those of which nothing is to be seen, or only a sliver, go. */
static void fit_to_labels(struct augmented *out)
{
    qsort(out->objects, out->object_count, sizeof *out->objects, by_label);
    for (size_t i = 0; i < out->object_count; i++) {
        struct target_object *object = &out->objects[i];
        object->x0 = object->y0 = (float)out->side;
        object->x1 = object->y1 = 0;
    }
    for (int v = 0; v < out->side; v++) {
        const uint32_t *row = out->labels + (size_t)v * (size_t)out->side;
        for (int u = 0, end; u < out->side; u = end) {
            for (end = u + 1; end < out->side && row[end] == row[u]; end++) {
            }
            struct target_object *object = row[u] ? find_labelled(out, row[u]) : NULL;
            if (object)
                grow(object, u, end, v);
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < out->object_count; i++) {
        const struct target_object *object = &out->objects[i];
        if (fminf(object->x1 - object->x0, object->y1 - object->y0) >= visible_side_min)
            out->objects[kept++] = *object;
    }
    out->object_count = kept;
}

void augment_example(const struct training_image *image, const struct dataset_object *objects, size_t object_count,
                     struct random *random, struct augmented *out)
{
    struct augmentation_view view = draw_view(image, objects, object_count, out->side, random);
    struct tint tint = draw_tint(random);
    float table[AUGMENTATION_TABLE_FLOATS];
    out->crop = make_crop(image, &view, &tint, random);
    fill_table(out->table ? out->table : table, tint.gamma);
    if (out->input) {
        out->crop.table = out->table ? out->table : table;
        fill_input(&out->crop, out->input);
    }
    out->crop.table = out->table;
    if (out->labels)
        fill_labels(image, &view, out->labels);
    out->object_count = 0;
    for (size_t i = 0; i < object_count; i++) {
        struct target_object seen = view_object(image, &view, &objects[i]);
        if (out->labels || clip_object(&seen, (float)out->side))
            out->objects[out->object_count++] = seen;
    }
    if (out->labels)
        fit_to_labels(out);
}
