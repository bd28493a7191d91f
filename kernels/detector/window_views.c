/* Views of a window: see window_views.h.
 *
 * Probabilities and logarithms of distances are averaged; what is seen of the smaller window is first spread over the
 * cells of the larger one, its distances made longer.  Both sizes are whole numbers of cells: a window's side is a
 * multiple of 32, three quarters of it one of 24.  Where the network wants more, the smaller window is continued with what
 * lies beyond the image, and what is said of that is dropped.
 */
#include "window_views.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "preprocessing.h"
#include "resample.h"
#include "targets.h"

bool window_views_are_possible(int views, int ray_count)
{
    return views == 1 || ((views == WINDOW_VIEWS_MIRRORED || views == WINDOW_VIEWS_SIZES) && ray_count % 2 == 0);
}

static int smaller(int side)
{
    return side / 4 * 3;
}

static enum code no_memory(struct failure *why)
{
    return failure_set(why, CODE_NO_MEMORY, "detecting objects: out of memory");
}

static size_t channels_of(const struct decode_outputs *shape)
{
    return (size_t)shape->classes + 4 + (size_t)shape->ray_count;
}

static size_t sight_values(const struct decode_outputs *shape)
{
    return (size_t)shape->rows * (size_t)shape->columns * channels_of(shape);
}

static enum code sight_create(const struct network_architecture *architecture, const struct window_input *window,
                              struct sight *out, struct failure *why)
{
    struct decode_outputs *shape = &out->outputs;
    *shape = (struct decode_outputs){.rows = window->height / TARGETS_STRIDE,
                                     .columns = window->width / TARGETS_STRIDE,
                                     .classes = architecture->classes,
                                     .ray_count = architecture->rays};
    out->values = calloc(sight_values(shape), sizeof *out->values);
    if (!out->values)
        return no_memory(why);
    size_t cells = (size_t)shape->rows * (size_t)shape->columns;
    shape->heat = out->values;
    shape->box = shape->heat + cells * (size_t)shape->classes;
    shape->rays = shape->ray_count ? shape->box + cells * 4 : NULL;
    return CODE_OK;
}

void window_views_free(struct sight *seen)
{
    free(seen->values);
    *seen = (struct sight){0};
}

/* The grids that one block of outputs consists of. */
struct grids {
    struct mirrored_grid items[3];
};

static struct grids grids_of(const struct decode_outputs *shape)
{
    return (struct grids){{{MIRRORED_PLAIN, shape->rows, shape->columns, shape->classes},
                           {MIRRORED_BOX, shape->rows, shape->columns, 4},
                           {MIRRORED_RAYS, shape->rows, shape->columns, shape->ray_count}}};
}

static size_t heat_values(const struct decode_outputs *shape)
{
    return (size_t)shape->rows * (size_t)shape->columns * (size_t)shape->classes;
}

static void heat_to_probabilities(struct sight *seen)
{
    for (size_t i = 0; i < heat_values(&seen->outputs); i++)
        seen->values[i] = 1 / (1 + expf(-seen->values[i]));
}

static void heat_to_logits(struct sight *mean)
{
    const float least = 1e-6f;
    for (size_t i = 0; i < heat_values(&mean->outputs); i++) {
        float p = fminf(fmaxf(mean->values[i], least), 1 - least);
        mean->values[i] = logf(p / (1 - p));
    }
}

static enum code look(struct network *network, const float *input, struct sight *seen, struct failure *why)
{
    const struct decode_outputs *outputs = &seen->outputs;
    enum code code = network_forward(network, input, why);
    if (code == CODE_OK)
        network_read_outputs(network, seen->values, seen->values + (outputs->box - outputs->heat),
                             outputs->rays ? seen->values + (outputs->rays - outputs->heat) : NULL);
    return code;
}

/* Adds what was seen in one view to the sum of all. */
static void add_view(const struct sight *seen, int view, struct sight *sum)
{
    struct grids grids = grids_of(&seen->outputs);
    size_t at = 0;
    for (size_t i = 0; i < sizeof grids.items / sizeof *grids.items; i++) {
        mirrored_add(&grids.items[i], view, seen->values + at, sum->values + at);
        at += mirrored_values(&grids.items[i]);
    }
}

/* Looks in the mirrored views that are left; *sum holds what was seen in the first, and then the sum of all, the heat as
 * probabilities. */
static enum code look_mirrored(struct network *network, const struct network_architecture *architecture,
                               const struct window_input *window, struct sight *sum, struct failure *why)
{
    const struct mirrored_grid grid = {MIRRORED_PLAIN, window->height, window->width, window->channels};
    size_t bytes = mirrored_values(&grid) * sizeof *window->values;
    struct sight seen = {0};
    float *mirrored = malloc(bytes);
    enum code code = mirrored ? sight_create(architecture, window, &seen, why) : no_memory(why);
    heat_to_probabilities(sum);
    for (int view = 1; view < MIRRORED_VIEWS && code == CODE_OK; view++) {
        memset(mirrored, 0, bytes);
        mirrored_add(&grid, view, window->values, mirrored);
        code = look(network, mirrored, &seen, why);
        if (code != CODE_OK)
            break;
        heat_to_probabilities(&seen);
        add_view(&seen, view, sum);
    }
    window_views_free(&seen);
    free(mirrored);
    return code;
}

/* The sum over all views of one size, or what is seen in the first alone. */
static enum code look_at_size(const struct window_networks *networks, const struct network_architecture *architecture,
                              bool mirrored, const struct window_input *window, struct sight *out, struct failure *why)
{
    struct network *network = NULL;
    enum code code = networks->find(networks->context, window->width, window->height, &network, why);
    if (code == CODE_OK)
        code = sight_create(architecture, window, out, why);
    if (code == CODE_OK)
        code = look(network, window->values, out, why);
    if (code == CODE_OK && mirrored)
        code = look_mirrored(network, architecture, window, out, why);
    return code;
}

/* The window at three quarters of its size, continued to a size that the network takes. */
static enum code make_smaller(const struct window_input *window, struct window_input *out, struct failure *why)
{
    const struct plane whole = {window->width, window->height, window->channels, window->values};
    int width = smaller(window->width), height = smaller(window->height), channels = window->channels;
    SCOPE_PLANE shrunk = {0};
    enum code code = resample_plane(&whole, width, height, &shrunk, why);
    if (code != CODE_OK)
        return code;
    *out = *window;
    out->width = preprocessing_padded(width);
    out->height = preprocessing_padded(height);
    out->values = malloc((size_t)out->width * (size_t)out->height * (size_t)channels * sizeof *out->values);
    if (!out->values)
        return no_memory(why);
    float *to = out->values;
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++, to += channels)
            memcpy(to,
                   x < width && y < height ? shrunk.data + ((size_t)y * (size_t)width + (size_t)x) * (size_t)channels
                                           : out->outside,
                   (size_t)channels * sizeof *to);
    return CODE_OK;
}

/* Adds a grid of the smaller window, without what is beyond `columns` and `rows`, to the larger one's; `longer` to each
 * value. */
static enum code spread(const struct mirrored_grid *from, const float *values, int columns, int rows, float longer,
                        const struct mirrored_grid *to, float *sum, struct failure *why)
{
    SCOPE_PLANE inside = {0}, grown = {0};
    enum code code = resample_create(columns, rows, from->channels, &inside, why);
    if (code != CODE_OK)
        return code;
    size_t row_values = (size_t)columns * (size_t)from->channels;
    for (int row = 0; row < rows; row++)
        memcpy(inside.data + (size_t)row * row_values, values + (size_t)row * (size_t)from->columns * (size_t)from->channels,
               row_values * sizeof *values);
    code = resample_plane(&inside, to->columns, to->rows, &grown, why);
    for (size_t i = 0; code == CODE_OK && i < mirrored_values(to); i++)
        sum[i] += grown.data[i] + longer;
    return code;
}

/* Adds the sum over the views of the smaller window to that over the views of the larger one. */
static enum code add_smaller(const struct sight *seen, struct sight *sum, struct failure *why)
{
    struct grids from = grids_of(&seen->outputs), to = grids_of(&sum->outputs);
    const float *values = seen->values;
    float *sums = sum->values;
    enum code code = CODE_OK;
    for (size_t i = 0; i < sizeof to.items / sizeof *to.items && code == CODE_OK; i++) {
        if (to.items[i].channels > 0) {
            float longer = to.items[i].kind == MIRRORED_PLAIN ? 0 : MIRRORED_VIEWS * logf(4.0f / 3);
            code = spread(&from.items[i], values, smaller(sum->outputs.columns), smaller(sum->outputs.rows), longer,
                          &to.items[i], sums, why);
        }
        values += mirrored_values(&from.items[i]);
        sums += mirrored_values(&to.items[i]);
    }
    return code;
}

static enum code look_smaller(const struct window_networks *networks, const struct network_architecture *architecture,
                              const struct window_input *window, struct sight *sum, struct failure *why)
{
    struct window_input small = {0};
    struct sight seen = {0};
    enum code code = make_smaller(window, &small, why);
    if (code == CODE_OK)
        code = look_at_size(networks, architecture, true, &small, &seen, why);
    if (code == CODE_OK)
        code = add_smaller(&seen, sum, why);
    window_views_free(&seen);
    free(small.values);
    return code;
}

enum code window_views_look(const struct window_networks *networks, const struct network_architecture *architecture,
                            int views, const struct window_input *window, struct sight *out, struct failure *why)
{
    enum code code = look_at_size(networks, architecture, views >= WINDOW_VIEWS_MIRRORED, window, out, why);
    if (code == CODE_OK && views == WINDOW_VIEWS_SIZES)
        code = look_smaller(networks, architecture, window, out, why);
    if (code != CODE_OK || views == 1)
        return code;
    for (size_t i = 0; i < sight_values(&out->outputs); i++)
        out->values[i] /= (float)views;
    heat_to_logits(out);
    return CODE_OK;
}
