/* A training from a folder to a model: see trainer.h.
 *
 *     dataset -> survey -> plan -> images -> network (fresh, or from the checkpoint) -> loop -> outputs
 *
 * struct training carries what the steps share; trainer_run owns all of it and releases it on every path. One
 * thread runs everything but the making of batches (prefetch.h).
 */
#include "trainer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "device.h"
#include "file.h"
#include "scope.h"
#include "timing.h"
#include "training.h"

#define LINE_MAX_BYTES 2048
#define SPEC_TEXT_MAX  ((size_t)1 << 20)

struct trainer_options trainer_defaults(void)
{
    return (struct trainer_options){
        .size = NETWORK_N,
        .weight_decay = -1,
        .seed = 1,
        .precision = TRAINER_PRECISION_AUTO,
        .device = "auto",
        .rays = -1,
        .checkpoint_interval_ms = 20000,
        .validations = 3,
    };
}

void training_say(const struct training *training, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (training->options->on_line) {
        training->options->on_line(training->options->context, line);
        return;
    }
    puts(line);
    fflush(stdout);
}

void training_say_lines(const struct training *training, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        training_say(training, "%.*s", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

bool training_is_stopped(const struct training *training)
{
    return training->options->stop && atomic_load(training->options->stop);
}

/* At the beginning: a file that is missing must not show after hours of training. */
static enum code read_spec(struct training *training, struct failure *why)
{
    const char *path = training->options->spec_path;
    return path ? file_read(path, SPEC_TEXT_MAX, &training->spec, why) : CODE_OK;
}

enum code training_bad_image(const struct training *training, const char *reason, struct failure *why)
{
    if (!training->options->bad_image_fails)
        return CODE_OK;
    return failure_set(why, CODE_CORRUPT, "%s (on_bad_image: fail; with skip the training goes on without it)", reason);
}

static enum code load_dataset(struct training *training, struct failure *why)
{
    SCOPE_BUFFER warnings = {0};
    enum code code = dataset_load(training->options->dataset_folder, &training->dataset, &warnings, why);
    training_say_lines(training, buffer_text(&warnings));
    if (code == CODE_OK && training->dataset->unreadable > 0) {
        training->report->skipped_images = training->dataset->unreadable;
        code = training_bad_image(training, training->dataset->unreadable_first, why);
    }
    if (code == CODE_OK)
        code = survey_dataset(training->dataset, &training->survey, why);
    if (code != CODE_OK)
        return code;
    const size_t *images = training->survey.images;
    training_say(training, "dataset: %zu training, %zu validation, %zu test images; %d classes; annotations: %s",
                 images[SPLIT_TRAIN], images[SPLIT_VAL], images[SPLIT_TEST], training->dataset->class_count,
                 training->dataset->annotation_kind);
    training->report->val_images = images[SPLIT_VAL];
    training->report->test_images = images[SPLIT_TEST];
    return CODE_OK;
}

static enum code open_device(struct training *training, struct failure *why)
{
    struct device_options options = {.threads = training->options->threads};
    const char *name = training->options->device ? training->options->device : "auto";
    enum code code = device_open(name, &options, &training->device, why);
    if (code == CODE_OK)
        snprintf(training->report->device, sizeof training->report->device, "%s", training->device->description);
    return code;
}

/* Decodes every training image once: those that cannot be read are left out here, with a warning, so that the
 * order of the others is settled before the first step. */
static enum code read_images(struct training *training, size_t *indices, size_t *count, struct failure *why)
{
    struct image_store_options options = {.recipe = training->plan.preprocessing,
                                          .with_labels = training->plan.architecture.rays > 0};
    enum code code = image_store_create(training->dataset, &options, &training->store, why);
    *count = 0;
    for (size_t i = 0; i < training->dataset->image_count && code == CODE_OK; i++) {
        if (training->dataset->images[i].split != SPLIT_TRAIN)
            continue;
        if (training_is_stopped(training))
            return failure_set(why, CODE_INTERRUPTED, "training: stopped before the first step");
        const struct training_image *image;
        struct failure unreadable;
        enum code read = image_store_get(training->store, i, &image, &unreadable);
        if (read == CODE_OK) {
            indices[(*count)++] = i;
            continue;
        }
        if (read == CODE_NO_MEMORY || read == CODE_IO)
            return failure_set(why, read, "%s", unreadable.text);
        training_say(training, "left out: %s", unreadable.text);
        training->report->skipped_images++;
        code = training_bad_image(training, unreadable.text, why);
    }
    if (code == CODE_OK && training->report->skipped_images > 0)
        training_say(training, "images that cannot be read: %zu, left out (on_bad_image: skip)",
                     training->report->skipped_images);
    if (code == CODE_OK && *count == 0)
        code =
            failure_set(why, CODE_INVALID, "%s: none of the training images can be read", training->options->dataset_folder);
    training->report->train_images = *count;
    return code;
}

/* Epochs are counted in draws, which depend on the readable images, which depend on the plan's preprocessing:
 * so the plan is made twice, first for reading, then with the true length of an epoch. */
static enum code make_plan(struct training *training, struct failure *why)
{
    training->indices = calloc(training->dataset->image_count + 1, sizeof *training->indices);
    if (!training->indices)
        return failure_set(why, CODE_NO_MEMORY, "training: out of memory");
    struct training_facts facts = {training->dataset, &training->survey, training->device,
                                   training->survey.images[SPLIT_TRAIN]};
    enum code code = training_plan_make(training->options, &facts, &training->plan, why);
    if (code == CODE_OK)
        code = read_images(training, training->indices, &training->index_count, why);
    if (code == CODE_OK)
        code = sampler_create(training->dataset, training->indices, training->index_count, training->plan.seed,
                              &training->sampler, why);
    if (code == CODE_OK) {
        facts.epoch_length = sampler_epoch_length(training->sampler);
        code = training_plan_make(training->options, &facts, &training->plan, why);
    }
    if (code != CODE_OK)
        return code;
    training->info = training_plan_model(&training->plan, training->options, training->dataset, &training->survey);
    snprintf(training->report->precision, sizeof training->report->precision, "%s",
             training->plan.precision == PRECISION_BF16 ? "bf16" : "f32");
    return CODE_OK;
}

static enum code record_tags(struct training *training, struct failure *why)
{
    const struct {
        const char *key, *value;
    } tags[] = {
        {"device", training->device->description},         {"code_version", training->options->code_version},
        {"dataset", training->options->dataset_name},      {"dataset_snapshot", training->options->dataset_snapshot},
        {"dataset_digest", training->info.dataset_digest}, {"training_digest", training->plan.digest},
    };
    enum code code = CODE_OK;
    for (size_t i = 0; i < sizeof tags / sizeof *tags && code == CODE_OK; i++) {
        char value[512];
        snprintf(value, sizeof value, "%s\n", tags[i].value ? tags[i].value : "");
        if (tags[i].value)
            code = run_files_tag(training->files, tags[i].key, value, why);
    }
    return code == CODE_OK ? training_plan_record(&training->plan, training->files, why) : code;
}

/* Goes on from the checkpoint where there is one of this very training; starts afresh otherwise. */
static enum code resume(struct training *training, struct failure *why)
{
    struct failure unusable;
    struct checkpoint checkpoint = {.digest = training->plan.digest};
    enum code code = checkpoint_read(training->checkpoint_path, training->network, &checkpoint, &unusable);
    if (code == CODE_NO_MEMORY || code == CODE_IO)
        return failure_set(why, code, "%s", unusable.text);
    if (code == CODE_OK) {
        training->step = training->report->resumed_at = checkpoint.step;
        training->best = checkpoint.best;
        training_say(training, "going on from the checkpoint at step %lld", (long long)checkpoint.step);
    } else {
        network_initialize(training->network, training->plan.seed);
        if (code != CODE_NOT_FOUND)
            training_say(training, "starting afresh: %s", unusable.text);
    }
    return run_files_rewind(training->files, "", training->step, why);
}

static enum code make_network(struct training *training, struct failure *why)
{
    const struct training_plan *plan = &training->plan;
    struct network_plan shape = {
        .batch = plan->batch, .height = plan->side, .width = plan->side, .precision = plan->precision, .training = true};
    enum code code = network_create(training->device, &plan->architecture, &shape, &training->network, why);
    if (code == CODE_OK)
        code = resume(training, why);
    if (code != CODE_OK)
        return code;
    training_say(training, "CellDet-%s, %s: %lld steps of %d crops of %d px at %.3g working pixels per image pixel, %s",
                 model_file_size_name(plan->architecture.size), training->report->precision, (long long)plan->steps,
                 plan->batch, plan->side, plan->preprocessing.scale, training->device->description);
    return CODE_OK;
}

static enum code run(struct training *training, struct failure *why)
{
    training->checkpoint_path = file_join(training->options->output_folder, "artifacts/checkpoint.safetensors");
    training->best_path = file_join(training->options->output_folder, "artifacts/best.safetensors");
    if (!training->checkpoint_path || !training->best_path)
        return failure_set(why, CODE_NO_MEMORY, "training: out of memory");
    enum code code = read_spec(training, why);
    if (code == CODE_OK)
        code = run_files_create(training->options->output_folder, &training->files, why);
    if (code == CODE_OK)
        code = load_dataset(training, why);
    if (code == CODE_OK)
        code = open_device(training, why);
    if (code == CODE_OK)
        code = make_plan(training, why);
    if (code == CODE_OK)
        code = record_tags(training, why);
    if (code == CODE_OK)
        code = make_network(training, why);
    if (code == CODE_OK)
        code = training_loop_run(training, why);
    training->report->steps = training->step;
    return code == CODE_OK ? training_outputs_write(training, why) : code;
}

static void release(struct training *training)
{
    network_destroy(training->network);
    sampler_destroy(training->sampler);
    free(training->indices);
    image_store_destroy(training->store);
    device_close(training->device);
    dataset_destroy(training->dataset);
    run_files_destroy(training->files);
    buffer_free(&training->spec);
    free(training->checkpoint_path);
    free(training->best_path);
}

enum code trainer_run(const struct trainer_options *options, struct trainer_report *report, struct failure *why)
{
    *report = (struct trainer_report){.val_ap50 = NAN, .test_ap50 = NAN, .test_map = NAN, .test_f1 = NAN};
    int64_t began_ns = timing_monotonic_ns();
    struct training training = {.options = options, .report = report};
    enum code code = run(&training, why);
    release(&training);
    report->total_seconds = (double)(timing_monotonic_ns() - began_ns) / 1e9;
    return code;
}
