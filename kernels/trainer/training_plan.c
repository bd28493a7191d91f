/* Choosing what the options leave open: see training_plan.h.  Where a number stands here without a reason
 * beside it, it is what reached the best validation score in least time on blood smears and fluorescent
 * nuclei. */
#include "training_plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "device.h"
#include "window_views.h"

_Static_assert(TRAINER_VIEWS_MAX == WINDOW_VIEWS_SIZES, "every view that can be asked for exists");
_Static_assert(DATASET_CLASSES_MAX <= DETECTION_CLASSES_MAX, "a model holds every class of a dataset");

static const double object_side_target = 42; /* px at working scale: what a stride-4 output sees best */
static const double object_side_least = 16;  /* px: smaller objects are enlarged, at most scale_largest times */
static const double scale_largest = 2;
/* Outlines of small objects want more; but the larger the scale, the less of an image a crop shows and the longer everything
 * takes.  Nuclei of 14.5 px (DSB 2018, CellDet-N), mask AP50 of the test images: after 1000 steps 0.778 at 1.5 and at 2;
 * after 2000 steps 0.793 at 1.5, 0.794 at 2; after 2145 steps 0.777 at 2.9. */
static const double outlined_side_least = 20, outlined_scale_largest = 2;
static const int batch_default = 8;
static const int side_least = 128, side_most = 256;
static const double lr_per_root_batch = 2e-3; /* at a batch of 8 */
static const double weight_decay_default = 1e-2;
static const double epochs_default = 60;
static const int64_t steps_least = 500, steps_most = 3000; /* of a chosen length */
static const int rays_default = 32;
static const double range_floor_part = 0.25; /* of the median training range */

double training_plan_scale(double side_px, bool outlined)
{
    if (outlined && side_px < outlined_side_least)
        return fmin(object_side_target / side_px, outlined_scale_largest);
    if (side_px < object_side_least)
        return fmin(object_side_least / side_px, scale_largest);
    return fmax(fmin(object_side_target / side_px, 1), PREPROCESSING_SCALE_MIN);
}

static enum code check_range(const char *name, double value, double low, double high, struct failure *why)
{
    if (value >= low && value <= high)
        return CODE_OK;
    return failure_set(why, CODE_INVALID, "training: %s is %g (write %g to %g)", name, value, low, high);
}

static enum code check_options(const struct trainer_options *options, struct failure *why)
{
    enum code code = check_range("steps", (double)options->steps, 0, TRAINER_STEPS_MAX, why);
    if (code == CODE_OK)
        code = check_range("epochs", options->epochs, 0, 1e6, why);
    if (code == CODE_OK)
        code = check_range("batch", options->batch, 0, TRAINER_BATCH_MAX, why);
    if (code == CODE_OK)
        code = check_range("image_size", options->image_size, 0, TRAINER_IMAGE_SIDE_MAX, why);
    if (code == CODE_OK && (options->image_size % 32 != 0 || options->image_size == 32))
        code = failure_set(why, CODE_INVALID, "training: image_size is %d (write a multiple of 32, at least 64)",
                           options->image_size);
    if (code == CODE_OK)
        code = check_range("lr", options->lr, 0, 1, why);
    if (code == CODE_OK)
        code = check_range("weight_decay", options->weight_decay, -1, 1, why);
    if (code == CODE_OK)
        code = check_range("validations", options->validations, 0, TRAINER_LOOKS_MAX, why);
    if (code == CODE_OK)
        code = check_range("patience", options->patience, 0, TRAINER_LOOKS_MAX, why);
    if (code == CODE_OK && options->scale != 0)
        code = check_range("scale", options->scale, PREPROCESSING_SCALE_MIN, PREPROCESSING_SCALE_MAX, why);
    if (code == CODE_OK && options->rays > 0)
        code = check_range("rays", options->rays, 4, NETWORK_RAYS_MAX, why);
    return code;
}

static enum code check_class_names(const struct dataset *dataset, struct failure *why)
{
    for (int k = 0; k < dataset->class_count; k++)
        if (strlen(dataset->class_names[k]) >= MODEL_CLASS_NAME_MAX)
            return failure_set(why, CODE_INVALID, "%s: the class \"%s\" has a name longer than %d bytes: shorten it",
                               dataset->folder, dataset->class_names[k], MODEL_CLASS_NAME_MAX - 1);
    return CODE_OK;
}

/* About the working image's side, so that little of a crop lies outside of it. */
static int choose_side(const struct survey *survey, double scale)
{
    double side = sqrt(survey->image_width * survey->image_height) * scale;
    int rounded = (int)lrint(side / 32) * 32;
    return rounded < side_least ? side_least : rounded > side_most ? side_most : rounded;
}

static int64_t choose_steps(const struct trainer_options *options, size_t epoch_length, int batch)
{
    if (options->steps > 0)
        return options->steps;
    double epochs = options->epochs > 0 ? options->epochs : epochs_default;
    int64_t steps = (int64_t)ceil(epochs * (double)epoch_length / batch);
    if (options->epochs > 0)
        return steps < TRAINER_STEPS_MAX ? steps : TRAINER_STEPS_MAX;
    return steps < steps_least ? steps_least : steps > steps_most ? steps_most : steps;
}

static bool has_masks(const struct dataset *dataset)
{
    for (size_t i = 0; i < dataset->image_count; i++)
        if (dataset->images[i].split == SPLIT_TRAIN && dataset->images[i].object_count > 0 &&
            dataset->images[i].mask_count == 0)
            return false;
    return true;
}

static enum code choose_rays(const struct trainer_options *options, const struct dataset *dataset, int *rays,
                             struct failure *why)
{
    bool possible = has_masks(dataset);
    if (options->rays > 0 && !possible)
        return failure_set(why, CODE_INVALID,
                           "training: outlines (rays) need instance masks for every training image, and %s has boxes only",
                           dataset->folder);
    *rays = options->rays >= 0 ? options->rays : possible ? rays_default : 0;
    return CODE_OK;
}

/* Outlines gain by more views (kernels/detector/README.md has the figures); boxes keep the speed of one. */
static enum code choose_views(const struct trainer_options *options, int rays, int *views, struct failure *why)
{
    bool possible = window_views_are_possible(WINDOW_VIEWS_SIZES, rays);
    *views = options->views > 0 ? options->views : rays > 0 && possible ? WINDOW_VIEWS_SIZES : 1;
    if (window_views_are_possible(*views, rays))
        return CODE_OK;
    if (!possible)
        return failure_set(why, CODE_INVALID,
                           "training: %d views of outlines by %d rays (write views: 1, or an even number of rays)", *views,
                           rays);
    return failure_set(why, CODE_INVALID, "training: views is %d (write 1, %d or %d)", *views, WINDOW_VIEWS_MIRRORED,
                       WINDOW_VIEWS_SIZES);
}

static enum code choose_precision(const struct trainer_options *options, const struct device *device,
                                  enum network_precision *precision, struct failure *why)
{
    if (options->precision == TRAINER_PRECISION_BF16 && !device->bf16)
        return failure_set(why, CODE_UNSUPPORTED, "training: %s cannot compute in bf16 (write precision: auto or f32)",
                           device->description);
    bool is_bf16 =
        options->precision == TRAINER_PRECISION_BF16 || (options->precision == TRAINER_PRECISION_AUTO && device->bf16);
    *precision = is_bf16 ? PRECISION_BF16 : PRECISION_F32;
    return CODE_OK;
}

static void digest_double(struct digest *digest, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    digest_add_number(digest, bits);
}

static void make_digest(struct training_plan *plan, const struct dataset *dataset, const struct device *device)
{
    struct digest digest;
    uint8_t result[DIGEST_BYTES];
    digest_begin(&digest);
    digest_add_text(&digest, "cytofs training 3");
    digest_add(&digest, dataset->digest, sizeof dataset->digest);
    digest_add_text(&digest, device->name);
    const int64_t numbers[] = {device->threads,
                               plan->architecture.size,
                               plan->architecture.input_channels,
                               plan->architecture.classes,
                               plan->architecture.rays,
                               plan->precision,
                               plan->preprocessing.intensity,
                               plan->batch,
                               plan->side,
                               plan->steps,
                               plan->validations,
                               plan->patience,
                               (int64_t)plan->seed};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        digest_add_number(&digest, (uint64_t)numbers[i]);
    digest_double(&digest, plan->preprocessing.scale);
    digest_double(&digest, plan->preprocessing.range_floor);
    digest_double(&digest, plan->lr);
    digest_double(&digest, plan->weight_decay);
    digest_end(&digest, result);
    digest_to_text(result, plan->digest);
}

enum code training_plan_make(const struct trainer_options *options, const struct training_facts *facts,
                             struct training_plan *out, struct failure *why)
{
    const struct dataset *dataset = facts->dataset;
    const struct survey *survey = facts->survey;
    *out = (struct training_plan){0};
    enum code code = check_options(options, why);
    if (code == CODE_OK)
        code = check_class_names(dataset, why);
    if (code == CODE_OK)
        code = choose_precision(options, facts->device, &out->precision, why);
    if (code == CODE_OK)
        code = choose_rays(options, dataset, &out->architecture.rays, why);
    if (code == CODE_OK)
        code = choose_views(options, out->architecture.rays, &out->views, why);
    if (code != CODE_OK)
        return code;
    out->architecture.size = options->size;
    out->architecture.input_channels = survey->is_grey ? 1 : 3;
    out->architecture.classes = dataset->class_count;
    bool by_percentile = survey->bits > 8 || survey->is_grey;
    out->preprocessing = (struct preprocessing){
        .intensity = by_percentile ? INTENSITY_PERCENTILE : INTENSITY_FULL,
        .range_floor = by_percentile ? range_floor_part * survey->range_median : 0,
        .scale = options->scale > 0 ? options->scale : training_plan_scale(survey->side_median, out->architecture.rays > 0),
        .channels = out->architecture.input_channels,
    };
    out->batch = options->batch > 0 ? options->batch : batch_default;
    out->side = options->image_size > 0 ? options->image_size : choose_side(survey, out->preprocessing.scale);
    out->steps = choose_steps(options, facts->epoch_length, out->batch);
    out->lr = options->lr > 0 ? options->lr : lr_per_root_batch * sqrt(out->batch / 8.0);
    out->weight_decay = options->weight_decay >= 0 ? options->weight_decay : weight_decay_default;
    out->seed = options->seed;
    out->validations = options->validations;
    out->patience = options->patience;
    make_digest(out, dataset, facts->device);
    return CODE_OK;
}

static enum code record_number(struct run_files *files, const char *key, double value, struct failure *why)
{
    char text[64];
    snprintf(text, sizeof text, "%.10g\n", value);
    return run_files_param(files, key, text, why);
}

enum code training_plan_record(const struct training_plan *plan, struct run_files *files, struct failure *why)
{
    char network[32], seed[32];
    snprintf(network, sizeof network, "celldet-%s\n", model_file_size_name(plan->architecture.size));
    snprintf(seed, sizeof seed, "%llu\n", (unsigned long long)plan->seed);
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        {"batch", plan->batch},
        {"image_size", plan->side},
        {"steps", (double)plan->steps},
        {"lr", plan->lr},
        {"weight_decay", plan->weight_decay},
        {"scale", plan->preprocessing.scale},
        {"rays", plan->architecture.rays},
        {"views", plan->views},
        {"input_channels", plan->architecture.input_channels},
    };
    enum code code = run_files_param(files, "network", network, why);
    if (code == CODE_OK)
        code = run_files_param(files, "seed", seed, why);
    if (code == CODE_OK)
        code = run_files_param(files, "precision", plan->precision == PRECISION_BF16 ? "bf16\n" : "f32\n", why);
    if (code == CODE_OK)
        code = run_files_param(files, "intensity",
                               plan->preprocessing.intensity == INTENSITY_PERCENTILE ? "percentile\n" : "full\n", why);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && code == CODE_OK; i++)
        code = record_number(files, numbers[i].key, numbers[i].value, why);
    return code;
}

struct model_info training_plan_model(const struct training_plan *plan, const struct trainer_options *options,
                                      const struct dataset *dataset, const struct survey *survey)
{
    struct model_info info = {
        .architecture = plan->architecture,
        .preprocessing = plan->preprocessing,
        .views = plan->views,
        .outline_factor = 1,
        .image_bits = survey->bits,
        .pixel_um = survey->pixel_um,
        .object_side_px = survey->side_median,
        .object_side_p99 = survey->side_p99,
        .range_low = {survey->range_low[0], survey->range_low[1]},
        .range_high = {survey->range_high[0], survey->range_high[1]},
    };
    snprintf(info.software, sizeof info.software, "%s", options->code_version ? options->code_version : "");
    digest_to_text(dataset->digest, info.dataset_digest);
    for (int k = 0; k < dataset->class_count; k++)
        snprintf(info.class_names[k], MODEL_CLASS_NAME_MAX, "%s", dataset->class_names[k]);
    info.thresholds.best_f1_all = THRESHOLDS_DEFAULT;
    for (int k = 0; k < DETECTION_CLASSES_MAX; k++) {
        info.thresholds.best_f1[k] = info.thresholds.unbiased[k] = THRESHOLDS_DEFAULT;
        info.thresholds.calibration[k] = (struct calibration){1, 0};
    }
    return info;
}
