/* Detection in one image: see detector.h.
 *
 * image -> working plane (preprocessing.h) -> windows (tiling.h) -> network, in as many views as the model
 * wants (window_views.h), averaged -> peaks (decode.h) -> those in the window's core -> image pixels -> outlines
 * as large as fits best (model_file.h) -> suppression -> probabilities.
 *
 * A network plan serves one input size.  The detector keeps the plans_max last used ones, so a folder of
 * images of a few sizes builds each plan once.  Invariant: every kept plan holds the same weights.
 */
#include "detector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "scope.h"
#include "tiling.h"
#include "window_views.h"

#define PLANS_MAX 6

static const double tile_overlap_sides = 1.25; /* of the 99th percentile object */

struct plan {
    struct network *network;
    int width, height;
    uint64_t last_used;
};

struct detector {
    struct model_info info;
    struct detector_options options;
    float *weights; /* the slab; NULL until known */
    struct plan plans[PLANS_MAX];
    uint64_t uses;
};

static enum code plan_create(struct detector *detector, int width, int height, struct plan *plan, struct failure *why)
{
    struct network_plan shape = {
        .batch = 1, .height = height, .width = width, .precision = detector->options.precision, .training = false};
    enum code code = network_create(detector->options.device, &detector->info.architecture, &shape, &plan->network, why);
    if (code != CODE_OK)
        return code;
    plan->width = width;
    plan->height = height;
    if (detector->weights)
        network_write_slab(plan->network, SLAB_WEIGHTS, detector->weights);
    return CODE_OK;
}

/* The plan for a window of this size; the least recently used one makes room. */
static enum code plan_for(struct detector *detector, int width, int height, struct network **out, struct failure *why)
{
    struct plan *victim = &detector->plans[0];
    for (int i = 0; i < PLANS_MAX; i++) {
        struct plan *plan = &detector->plans[i];
        if (plan->network && plan->width == width && plan->height == height) {
            plan->last_used = ++detector->uses;
            *out = plan->network;
            return CODE_OK;
        }
        if (plan->last_used < victim->last_used)
            victim = plan;
    }
    network_destroy(victim->network);
    *victim = (struct plan){0};
    enum code code = plan_create(detector, width, height, victim, why);
    if (code != CODE_OK)
        return code;
    victim->last_used = ++detector->uses;
    *out = victim->network;
    return CODE_OK;
}

static enum code detector_new(const struct model_info *info, const struct detector_options *options, struct detector **out,
                              struct network **network, struct failure *why)
{
    struct detector *detector = calloc(1, sizeof *detector);
    if (!detector)
        return failure_set(why, CODE_NO_MEMORY, "opening a detector: out of memory");
    detector->info = *info;
    if (detector->info.views < 1)
        detector->info.views = 1;
    if (!(detector->info.outline_factor > 0))
        detector->info.outline_factor = 1;
    detector->options = *options;
    *out = detector;
    return plan_for(detector, 64, 64, network, why);
}

static enum code adopt_weights(struct detector *detector, const struct network *network, struct failure *why)
{
    detector->weights = malloc(network_slab_floats(network) * sizeof(float));
    if (!detector->weights)
        return failure_set(why, CODE_NO_MEMORY, "opening a detector: out of memory");
    return CODE_OK;
}

enum code detector_create(const struct model_info *info, const float *weights, size_t weight_count,
                          const struct detector_options *options, struct detector **out, struct failure *why)
{
    struct detector *detector = NULL;
    struct network *network = NULL;
    enum code code = detector_new(info, options, &detector, &network, why);
    if (code == CODE_OK && weight_count != network_slab_floats(network))
        code = failure_set(why, CODE_INVALID, "opening a detector: %zu weights given, its network has %zu", weight_count,
                           network_slab_floats(network));
    if (code == CODE_OK)
        code = adopt_weights(detector, network, why);
    if (code != CODE_OK) {
        detector_destroy(detector);
        return code;
    }
    memcpy(detector->weights, weights, weight_count * sizeof *weights);
    network_write_slab(network, SLAB_WEIGHTS, detector->weights);
    *out = detector;
    return CODE_OK;
}

enum code detector_open(const char *model_path, const struct detector_options *options, struct detector **out,
                        struct failure *why)
{
    struct model_file *file = NULL;
    enum code code = model_file_open(model_path, &file, why);
    if (code != CODE_OK)
        return code;
    struct detector *detector = NULL;
    struct network *network = NULL;
    code = detector_new(model_file_info(file), options, &detector, &network, why);
    if (code == CODE_OK)
        code = adopt_weights(detector, network, why);
    if (code == CODE_OK)
        code = model_file_weights(file, network, detector->weights, why);
    model_file_close(file);
    if (code != CODE_OK) {
        detector_destroy(detector);
        return code;
    }
    network_write_slab(network, SLAB_WEIGHTS, detector->weights);
    *out = detector;
    return CODE_OK;
}

void detector_destroy(struct detector *detector)
{
    if (!detector)
        return;
    for (int i = 0; i < PLANS_MAX; i++)
        network_destroy(detector->plans[i].network);
    free(detector->weights);
    free(detector);
}

const struct model_info *detector_info(const struct detector *detector)
{
    return &detector->info;
}

static enum code find_network(void *detector, int width, int height, struct network **out, struct failure *why)
{
    return plan_for(detector, width, height, out, why);
}

static enum code run_window(struct detector *detector, const struct plane *plane, const struct preprocessing_window *shape,
                            struct detection_list *list, struct failure *why)
{
    struct preprocessing_window window = *shape;
    window.width = preprocessing_padded(shape->width);
    window.height = preprocessing_padded(shape->height);
    struct window_input input = {.width = window.width, .height = window.height, .channels = plane->channels};
    SCOPE_FREE float *values =
        malloc((size_t)window.width * (size_t)window.height * (size_t)plane->channels * sizeof *values);
    if (!values)
        return failure_set(why, CODE_NO_MEMORY, "detecting objects: out of memory");
    input.values = values;
    preprocessing_copy_window(plane, &window, input.values);
    for (int c = 0; c < plane->channels; c++)
        input.outside[c] = preprocessing_input(window.outside[c]);
    const struct window_networks networks = {find_network, detector};
    struct sight seen = {0};
    enum code code = window_views_look(&networks, &detector->info.architecture, detector->info.views, &input, &seen, why);
    if (code == CODE_OK)
        code = decode_peaks(&seen.outputs, list, why);
    window_views_free(&seen);
    return code;
}

/* Moves a window's detections into the image's list, in working pixels, where their centre lies in the core.
 */
static enum code take_core(const struct tile *tile, const struct detection_list *found, struct detection_list *list,
                           struct failure *why)
{
    for (size_t i = 0; i < found->count; i++) {
        struct detection item = found->items[i];
        item.box.x0 += (float)tile->x;
        item.box.x1 += (float)tile->x;
        item.box.y0 += (float)tile->y;
        item.box.y1 += (float)tile->y;
        item.origin_x += (float)tile->x;
        item.origin_y += (float)tile->y;
        float x = item.origin_x, y = item.origin_y;
        if (x < (float)tile->core_x0 || x >= (float)tile->core_x1 || y < (float)tile->core_y0 || y >= (float)tile->core_y1)
            continue;
        enum code code = detection_list_add(list, &item, why);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

static enum code detect_tiles(struct detector *detector, const struct plane *plane, struct detection_list *list,
                              struct failure *why)
{
    /* In working pixels objects are as large as in training, whatever a pixel of this image measures. */
    double object_side = detector->info.object_side_p99 * detector->info.preprocessing.scale;
    int overlap = (int)ceil(tile_overlap_sides * object_side);
    struct tiling tiling;
    enum code code = tiling_create(plane->width, plane->height, TILING_SIDE, overlap, &tiling, why);
    if (code != CODE_OK)
        return code;
    struct preprocessing_window window;
    preprocessing_medians(plane, window.outside);
    for (int i = 0; i < tiling.count && code == CODE_OK; i++) {
        SCOPE_DETECTIONS found = {0};
        const struct tile *tile = &tiling.tiles[i];
        window.x = tile->x;
        window.y = tile->y;
        window.width = tile->width;
        window.height = tile->height;
        code = run_window(detector, plane, &window, &found, why);
        if (code == CODE_OK)
            code = take_core(tile, &found, list, why);
    }
    tiling_free(&tiling);
    return code;
}

static float clip(float value, float high)
{
    return fminf(fmaxf(value, 0), high);
}

/* From working pixels to the image's, clipped; what is left without area goes. */
static void place_in_image(struct detection_list *list, const struct plane *plane, const struct image *image)
{
    float across = (float)image->width / (float)plane->width, down = (float)image->height / (float)plane->height;
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct detection item = list->items[i];
        item.box.x0 = clip(item.box.x0 * across, (float)image->width);
        item.box.x1 = clip(item.box.x1 * across, (float)image->width);
        item.box.y0 = clip(item.box.y0 * down, (float)image->height);
        item.box.y1 = clip(item.box.y1 * down, (float)image->height);
        item.origin_x *= across;
        item.origin_y *= down;
        for (int k = 0; k < list->ray_count; k++)
            item.rays[k] *= (across + down) / 2;
        if (item.box.x1 > item.box.x0 && item.box.y1 > item.box.y0)
            list->items[kept++] = item;
    }
    list->count = kept;
}

static double working_scale(const struct detector *detector, const struct image *image)
{
    const struct model_info *info = &detector->info;
    double pixel_um = detector->options.pixel_um > 0 ? detector->options.pixel_um : image->pixel_um;
    double scale = info->preprocessing.scale;
    if (pixel_um > 0 && info->pixel_um > 0)
        scale *= pixel_um / info->pixel_um;
    return fmin(fmax(scale, PREPROCESSING_SCALE_MIN), PREPROCESSING_SCALE_MAX);
}

enum code detector_detect(struct detector *detector, const struct image *image, struct detection_list *list,
                          struct failure *why)
{
    struct preprocessing recipe = detector->info.preprocessing;
    recipe.scale = working_scale(detector, image);
    SCOPE_PLANE plane = {0};
    enum code code = preprocessing_apply(&recipe, image, &plane, why);
    if (code != CODE_OK)
        return code;
    list->ray_count = detector->info.architecture.rays;
    code = detect_tiles(detector, &plane, list, why);
    if (code != CODE_OK)
        return code;
    place_in_image(list, &plane, image);
    detection_list_enlarge(list, detector->info.outline_factor);
    detection_list_suppress(list, DECODE_IOU);
    for (size_t i = 0; i < list->count; i++) {
        struct detection *item = &list->items[i];
        item->probability = thresholds_probability(&detector->info.thresholds.calibration[item->class_index], item->score);
    }
    return CODE_OK;
}
