/* What a finished training leaves: see training.h.
 *
 *     averaged weights -> validation images -> thresholds, calibration, outlines -> model/model.safetensors, model.onnx
 *                         that file, opened -> test images -> scores -> card, lineage, CSV files, overlays
 *
 * The test images are scored by the model file itself, as any later user will open it.  Looks on the way take
 * one view of an image, whatever the model will take: they only compare weights, and that is the faster way.
 */
#include "training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bioimage.h"
#include "digest.h"
#include "evaluation_report.h"
#include "file.h"
#include "mask_scoring.h"
#include "model_card.h"
#include "onnx_model.h"
#include "overlay.h"
#include "results.h"
#include "scope.h"

#define OVERLAYS_MAX    6
#define LOOK_IMAGES_MAX 64
#define DETECTION_ROOM  ((size_t)1 << 30) /* bytes of one CSV file */

static const char *const split_names[SPLIT_COUNT] = {"train", "val", "test", "none"};

static struct detector_options detector_options_of(const struct training *training)
{
    return (struct detector_options){.device = training->device, .precision = training->plan.precision};
}

/* The averaged weights, the last or the best ones, to be freed in any case.  Those of a training that ran away are
 * refused. */
static enum code read_averaged(const struct training *training, float **weights, struct failure *why)
{
    size_t floats = network_slab_floats(training->network);
    *weights = malloc(floats * sizeof **weights);
    if (!*weights)
        return failure_set(why, CODE_NO_MEMORY, "reading the trained weights: out of memory");
    struct best best;
    if (training->best_is_model)
        return best_read(training->best_path, training->plan.digest, &best, *weights, floats, why);
    network_read_slab(training->network, SLAB_EMA, *weights);
    for (size_t i = 0; i < floats; i++)
        if (!isfinite((*weights)[i]))
            return failure_set(why, CODE_INVALID,
                               "training: the weights are no numbers any more at step %lld: use a smaller lr"
                               " than %g",
                               (long long)training->step, training->plan.lr);
    return CODE_OK;
}

static enum code averaged_detector(const struct training *training, const struct model_info *info, struct detector **out,
                                   struct failure *why)
{
    SCOPE_FREE float *weights = NULL;
    enum code code = read_averaged(training, &weights, why);
    if (code != CODE_OK)
        return code;
    struct detector_options options = detector_options_of(training);
    return detector_create(info, weights, network_slab_floats(training->network), &options, out, why);
}

/* Every image of a split.  Those that cannot be read are named and counted; of the training images that was
 * done before the first step. */
static enum code score_split(struct training *training, struct detector *detector, enum dataset_split split,
                             struct scoring *out, struct failure *why)
{
    SCOPE_BUFFER warnings = {0};
    struct scoring_options options = {.split = split, .stop = training->options->stop, .warnings = &warnings};
    enum code code = scoring_run(detector, training->dataset, &options, out, why);
    if (code == CODE_OK && out->skipped > 0 && split != SPLIT_TRAIN) {
        training_say_lines(training, buffer_text(&warnings));
        training->report->skipped_images += out->skipped;
        training_say(training, "images that cannot be read: %zu in all, left out", training->report->skipped_images);
        code = training_bad_image(training, buffer_text(&warnings), why);
    }
    return code;
}

static void record_class(struct training *training, const char *split, int k, const struct evaluation_class *scores)
{
    char name[MODEL_CLASS_NAME_MAX], key[RUN_FILES_KEY_MAX];
    run_files_key_part(training->info.class_names[k], name, sizeof name);
    const struct {
        const char *key;
        double value;
    } values[] = {{"ap50", scores->ap[0]}, {"f1", scores->f1}, {"count_mae", scores->count_mae}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        snprintf(key, sizeof key, "%s/%s_%s", split, values[i].key, name);
        run_files_metric(training->files, key, values[i].value, training->step);
    }
}

static void record_scores(struct training *training, const char *split, const struct evaluation *scores)
{
    const struct {
        const char *key;
        double value;
    } values[] = {{"ap50", scores->ap50},
                  {"ap75", scores->ap75},
                  {"map", scores->map},
                  {"precision", scores->precision},
                  {"recall", scores->recall},
                  {"f1", scores->f1},
                  {"count_mae", scores->count_mae},
                  {"count_bias", scores->count_bias},
                  {"ece", scores->reliability.ece},
                  {"mask_ap50", scores->mask_ap50},
                  {"mask_f1", scores->mask_f1}};
    size_t count = sizeof values / sizeof *values - (scores->mask_images ? 0 : 2);
    for (size_t i = 0; i < count; i++) {
        char key[RUN_FILES_KEY_MAX];
        snprintf(key, sizeof key, "%s/%s", split, values[i].key);
        run_files_metric(training->files, key, values[i].value, training->step);
    }
    for (int k = 0; scores->class_count > 1 && k < scores->class_count; k++)
        record_class(training, split, k, &scores->classes[k]);
}

enum code training_outputs_keep(struct training *training, double ap50, struct failure *why)
{
    SCOPE_FREE float *weights = NULL;
    const struct best best = {training->step, ap50};
    enum code code = read_averaged(training, &weights, why);
    if (code == CODE_OK)
        code = best_write(training->best_path, &best, training->plan.digest, weights, network_slab_floats(training->network),
                          why);
    if (code == CODE_OK)
        training->best = best;
    return code;
}

enum code training_outputs_look(struct training *training, double *ap50, struct failure *why)
{
    *ap50 = NAN;
    if (training->survey.images[SPLIT_VAL] == 0)
        return CODE_OK;
    struct detector *detector = NULL;
    struct scoring scoring = {0};
    struct model_info info = training->info;
    info.views = 1;
    struct scoring_options options = {.split = SPLIT_VAL, .images_max = LOOK_IMAGES_MAX, .stop = training->options->stop};
    enum code code = averaged_detector(training, &info, &detector, why);
    if (code == CODE_OK)
        code = scoring_run(detector, training->dataset, &options, &scoring, why);
    detector_destroy(detector);
    if (code == CODE_INTERRUPTED)
        return CODE_OK; /* the loop itself sees the wish to stop, and keeps a checkpoint first */
    if (code != CODE_OK)
        return code;
    struct evaluation scores;
    code = evaluation_compute(scoring.images, scoring.count, training->plan.architecture.classes,
                              training->info.thresholds.best_f1, &scores, why);
    scoring_free(&scoring);
    if (code != CODE_OK)
        return code;
    *ap50 = scores.ap50;
    run_files_metric(training->files, "val/ap50", scores.ap50, training->step);
    return CODE_OK;
}

/* Whether the model is to be made of weights from on the way: asked with the same images as they were. */
static enum code choose_weights(struct training *training, struct failure *why)
{
    if (training->best.step == 0 || training->best.step == training->step)
        return CODE_OK;
    double last;
    enum code code = training_outputs_look(training, &last, why);
    if (code != CODE_OK || !isfinite(last) || !(training->best.ap50 > last + TRAINER_BEST_MARGIN))
        return code;
    training->best_is_model = true;
    training_say(training,
                 "the weights of step %lld did better on validation images (AP50 %.3f, now %.3f): they are the model",
                 (long long)training->best.step, training->best.ap50, last);
    return CODE_OK;
}

static enum code write_text(const struct training *training, const char *name, const struct buffer *text,
                            struct failure *why)
{
    SCOPE_FREE char *path = file_join(training->options->output_folder, name);
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", name);
    enum code code = buffer_check(text, name, why);
    return code == CODE_OK ? file_replace(path, buffer_text(text), text->length, why) : code;
}

/* Without the detections below their class's threshold, with calibrated probabilities. */
static enum code write_detections(struct training *training, struct scoring *scoring, enum dataset_split split,
                                  struct buffer *counts, struct failure *why)
{
    SCOPE_BUFFER text = {.max = DETECTION_ROOM};
    results_append_header(&text);
    for (size_t i = 0; i < scoring->count; i++) {
        struct detection_list *list = &scoring->lists[i];
        for (size_t k = 0; k < list->count; k++)
            list->items[k].probability = thresholds_probability(
                &training->info.thresholds.calibration[list->items[k].class_index], list->items[k].score);
        detection_list_keep_above(list, training->info.thresholds.best_f1);
        const struct dataset_image *entry = scoring->entries[i];
        struct results_image row = {entry->path, entry->width, entry->height, scoring->pixel_um[i]};
        results_append_detections(&text, &row, list, &training->info);
        results_append_counts(counts, entry->path, list, &training->info, NULL);
    }
    char name[64];
    snprintf(name, sizeof name, "artifacts/detections/%s.csv", split_names[split]);
    return write_text(training, name, &text, why);
}

static enum code write_overlay(const struct training *training, const struct dataset_image *entry,
                               const struct detection_list *list, struct failure *why)
{
    SCOPE_FREE char *path = file_join(training->dataset->folder, entry->path);
    SCOPE_IMAGE image = {0}, picture = {0};
    char key[RUN_FILES_KEY_MAX];
    run_files_key_part(entry->path, key, sizeof key - 4);
    SCOPE_FREE char *target = NULL;
    if (!path || asprintf(&target, "%s/artifacts/overlays/%s.png", training->options->output_folder, key) < 0)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", entry->path);
    enum code code = image_read(path, &image, why);
    if (code == CODE_OK)
        code = overlay_draw(&image, list, &picture, why);
    return code == CODE_OK ? image_write_png(target, &picture, why) : code;
}

static enum code write_overlays(const struct training *training, const struct scoring *scoring, struct failure *why)
{
    size_t wanted = scoring->count < OVERLAYS_MAX ? scoring->count : OVERLAYS_MAX;
    enum code code = CODE_OK;
    for (size_t k = 0; k < wanted && code == CODE_OK; k++) {
        size_t i = k * scoring->count / wanted;
        code = write_overlay(training, scoring->entries[i], &scoring->lists[i], why);
    }
    return code;
}

/* Validation images only: on those that it learnt from the network is surer than it will be. */
static enum code fit_outlines(struct training *training, struct scoring *val, struct failure *why)
{
    struct model_info *info = &training->info;
    struct thresholds *thresholds = &info->thresholds;
    double shift = 0;
    enum code code = mask_scoring_fit(val, training->dataset, thresholds->best_f1, &info->outline_factor, why);
    if (code != CODE_OK)
        return code;
    for (size_t i = 0; i < val->count; i++)
        detection_list_enlarge(&val->lists[i], info->outline_factor);
    code = mask_scoring_fit_thresholds(val, training->dataset, thresholds->best_f1, &shift, why);
    for (int k = 0; k < info->architecture.classes; k++)
        thresholds->best_f1[k] = thresholds_moved(thresholds->best_f1[k], shift);
    thresholds->best_f1_all = thresholds_moved(thresholds->best_f1_all, shift);
    return code;
}

/* Chooses thresholds by the validation images; by the training images where there are none. */
static enum code choose_thresholds(struct training *training, struct scoring *val, struct evaluation *scores,
                                   struct failure *why)
{
    struct detector *detector = NULL;
    bool has_val = training->survey.images[SPLIT_VAL] > 0;
    int classes = training->plan.architecture.classes;
    enum code code = averaged_detector(training, &training->info, &detector, why);
    if (code == CODE_OK)
        code = score_split(training, detector, has_val ? SPLIT_VAL : SPLIT_TRAIN, val, why);
    detector_destroy(detector);
    if (code == CODE_OK)
        code = thresholds_choose(val->images, val->count, classes, &training->info.thresholds, why);
    if (code == CODE_OK && has_val)
        code = fit_outlines(training, val, why);
    if (code == CODE_OK && has_val)
        code = scoring_evaluate(val, training->dataset, &training->info, scores, why);
    return code;
}

/* For ourselves, and for programs that know ONNX only. */
static enum code write_model(struct training *training, const char *path, struct failure *why)
{
    SCOPE_FREE float *weights = NULL;
    SCOPE_FREE char *onnx_path = file_join(training->options->output_folder, "model/model.onnx");
    if (!onnx_path)
        return failure_set(why, CODE_NO_MEMORY, "writing the model: out of memory");
    enum code code = read_averaged(training, &weights, why);
    if (code == CODE_OK)
        code = model_file_write(path, &training->info, training->network, weights, why);
    return code == CODE_OK ? onnx_model_write(onnx_path, &training->info, weights, why) : code;
}

static enum code score_test(struct training *training, const char *model_path, struct scoring *test,
                            struct evaluation *scores, struct failure *why)
{
    struct detector *detector = NULL;
    struct detector_options options = detector_options_of(training);
    enum code code = detector_open(model_path, &options, &detector, why);
    if (code == CODE_OK && training->survey.images[SPLIT_TEST] > 0)
        code = score_split(training, detector, SPLIT_TEST, test, why);
    detector_destroy(detector);
    if (code == CODE_OK && test->count > 0)
        code = scoring_evaluate(test, training->dataset, &training->info, scores, why);
    return code;
}

static enum code digest_file(const char *path, char text[DIGEST_TEXT_BYTES], struct failure *why)
{
    SCOPE_BUFFER bytes = {.max = SAFETENSORS_FILE_MAX};
    enum code code = file_read(path, SAFETENSORS_FILE_MAX - 1, &bytes, why);
    if (code != CODE_OK)
        return code;
    struct digest digest;
    uint8_t result[DIGEST_BYTES];
    digest_begin(&digest);
    digest_add(&digest, bytes.data, bytes.length);
    digest_end(&digest, result);
    digest_to_text(result, text);
    return CODE_OK;
}

/* rdf.yaml beside model.onnx. */
static enum code describe_for_bioimage(struct training *training, struct failure *why)
{
    SCOPE_FREE float *weights = NULL;
    SCOPE_FREE char *folder = file_join(training->options->output_folder, "model");
    SCOPE_FREE char *onnx_path = file_join(training->options->output_folder, "model/model.onnx");
    char digest[DIGEST_TEXT_BYTES];
    if (!folder || !onnx_path)
        return failure_set(why, CODE_NO_MEMORY, "describing the model: out of memory");
    enum code code = digest_file(onnx_path, digest, why);
    if (code == CODE_OK)
        code = read_averaged(training, &weights, why);
    if (code != CODE_OK)
        return code;
    return bioimage_write(&(struct bioimage_request){.folder = folder,
                                                     .onnx_sha256 = digest,
                                                     .info = &training->info,
                                                     .weights = weights,
                                                     .device = training->device},
                          why);
}

static enum code write_card(struct training *training, const char *model_path, const struct model_card_scores *scores,
                            struct failure *why)
{
    SCOPE_BUFFER card = {0}, lineage = {0};
    char digest[DIGEST_TEXT_BYTES];
    enum code code = digest_file(model_path, digest, why);
    if (code == CODE_OK)
        code = describe_for_bioimage(training, why);
    if (code != CODE_OK)
        return code;
    model_card_append(training, scores, &card);
    model_card_append_lineage(training, scores, digest, buffer_text(&training->spec), &lineage);
    code = write_text(training, "model/card.md", &card, why);
    return code == CODE_OK ? write_text(training, "model/lineage.yaml", &lineage, why) : code;
}

static enum code make_folders(const struct training *training, struct failure *why)
{
    static const char *const names[] = {"artifacts/detections", "artifacts/overlays", "model"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        SCOPE_FREE char *path = file_join(training->options->output_folder, names[i]);
        enum code code = path ? file_make_folders(path, why) : failure_set(why, CODE_NO_MEMORY, "out of memory");
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

static void say_scores(const struct training *training, const char *title, const struct evaluation *scores)
{
    if (scores->images == 0)
        return;
    SCOPE_BUFFER table = {0};
    buffer_printf(&table, "%s (%zu images):\n", title, scores->images);
    evaluation_report_table(scores, &training->info, &table);
    training_say_lines(training, buffer_text(&table));
}

static enum code write_artifacts(struct training *training, struct scoring *val, struct scoring *test, struct failure *why)
{
    SCOPE_BUFFER counts = {0};
    results_append_counts_header(&counts, &training->info);
    bool has_val = training->survey.images[SPLIT_VAL] > 0;
    enum code code = CODE_OK;
    if (has_val)
        code = write_detections(training, val, SPLIT_VAL, &counts, why);
    if (code == CODE_OK && test->count > 0)
        code = write_detections(training, test, SPLIT_TEST, &counts, why);
    if (code == CODE_OK)
        code = write_text(training, "artifacts/counts.csv", &counts, why);
    return code == CODE_OK ? write_overlays(training, test->count > 0 ? test : val, why) : code;
}

/* A training that was killed here before has recorded these scores already: they are replaced. */
static enum code record_all_scores(struct training *training, const struct model_card_scores *scores, struct failure *why)
{
    enum code code = run_files_rewind(training->files, "val", training->step - 1, why);
    if (code == CODE_OK)
        code = run_files_rewind(training->files, "test", training->step - 1, why);
    if (code != CODE_OK)
        return code;
    if (scores->val.images > 0)
        record_scores(training, "val", &scores->val);
    if (scores->test.images > 0)
        record_scores(training, "test", &scores->test);
    return run_files_flush(training->files, true, why);
}

static enum code finish(struct training *training, struct scoring *val, struct scoring *test, struct failure *why)
{
    struct model_card_scores scores = {0};
    SCOPE_FREE char *model_path = file_join(training->options->output_folder, "model/model.safetensors");
    if (!model_path)
        return failure_set(why, CODE_NO_MEMORY, "writing the model: out of memory");
    enum code code = make_folders(training, why);
    if (code == CODE_OK)
        code = choose_weights(training, why);
    if (code == CODE_OK)
        code = choose_thresholds(training, val, &scores.val, why);
    if (code == CODE_OK)
        code = write_model(training, model_path, why);
    if (code == CODE_OK)
        code = score_test(training, model_path, test, &scores.test, why);
    if (code != CODE_OK)
        return code;
    training->report->val_ap50 = scores.val.images ? scores.val.ap50 : NAN;
    training->report->test_ap50 = scores.test.images ? scores.test.ap50 : NAN;
    training->report->test_map = scores.test.images ? scores.test.map : NAN;
    training->report->test_f1 = scores.test.images ? scores.test.f1 : NAN;
    say_scores(training, "validation", &scores.val);
    say_scores(training, "test", &scores.test);
    code = record_all_scores(training, &scores, why);
    if (code == CODE_OK)
        code = write_artifacts(training, val, test, why);
    return code == CODE_OK ? write_card(training, model_path, &scores, why) : code;
}

enum code training_outputs_write(struct training *training, struct failure *why)
{
    struct scoring val = {0}, test = {0};
    enum code code = finish(training, &val, &test, why);
    scoring_free(&val);
    scoring_free(&test);
    return code;
}
