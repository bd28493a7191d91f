/* Card and lineage of a model: see model_card.h.  Texts in the YAML stand as JSON strings, which YAML reads
 * as they are, so no name can break its structure; the spec stands as a literal block. */
#include "model_card.h"

#include <math.h>
#include <string.h>

#include "device.h"
#include "evaluation_report.h"
#include "window_views.h"

static const char *or_unknown(const char *text)
{
    return text && *text ? text : "unknown";
}

static void append_scores(const struct evaluation *evaluation, const char *title, const struct model_info *info,
                          struct buffer *out)
{
    if (evaluation->images == 0)
        return;
    buffer_printf(out, "\n## %s (%zu images)\n\n", title, evaluation->images);
    evaluation_report_markdown(evaluation, info, out);
}

static void append_classes(const struct model_info *info, struct buffer *out)
{
    buffer_append_text(out, "\n## Classes\n\n| class | threshold | threshold for counting |\n|---|---|---|\n");
    for (int k = 0; k < info->architecture.classes; k++)
        buffer_printf(out, "| %s | %.3f | %.3f |\n", info->class_names[k], info->thresholds.best_f1[k],
                      info->thresholds.unbiased[k]);
}

static void append_data(const struct training *training, struct buffer *out)
{
    const struct survey *survey = &training->survey;
    buffer_printf(out,
                  "\n## Data\n\n"
                  "- Dataset: %s, snapshot: %s, annotations: %s, split from: %s\n"
                  "- Training images: %zu with %zu objects; validation: %zu with %zu; test: %zu with %zu\n"
                  "- Images: %d bit, %s, median %.0f x %.0f pixels; median object %.1f pixels wide",
                  or_unknown(training->options->dataset_name), or_unknown(training->options->dataset_snapshot),
                  training->dataset->annotation_kind, training->dataset->split_source, survey->images[SPLIT_TRAIN],
                  survey->objects[SPLIT_TRAIN], survey->images[SPLIT_VAL], survey->objects[SPLIT_VAL],
                  survey->images[SPLIT_TEST], survey->objects[SPLIT_TEST], survey->bits, survey->is_grey ? "grey" : "colour",
                  survey->image_width, survey->image_height, survey->side_median);
    if (survey->pixel_um > 0)
        buffer_printf(out, "; %.4g um a pixel", survey->pixel_um);
    buffer_append_text(out, "\n");
}

void model_card_append(const struct training *training, const struct model_card_scores *scores, struct buffer *out)
{
    const struct training_plan *plan = &training->plan;
    buffer_printf(out, "# CellDet-%s detector\n\nFinds", model_file_size_name(plan->architecture.size));
    for (int k = 0; k < training->info.architecture.classes; k++)
        buffer_printf(out, "%s %s", k ? "," : "", training->info.class_names[k]);
    buffer_append_text(out, " in microscope images. For research use only; this is not a diagnostic device.\n");
    append_scores(&scores->test, "Test images", &training->info, out);
    append_scores(&scores->val, "Validation images", &training->info, out);
    buffer_append_text(
        out, "\nPrecision, recall, F1 and counts are those at the thresholds below, which were chosen on the"
             " validation images.\nAP is COCO's, with 101-point interpolation and no cap on detections. Probabilities"
             " were calibrated on the validation images.\n");
    append_classes(&training->info, out);
    append_data(training, out);
    buffer_printf(out,
                  "\n## Training\n\n"
                  "- %lld steps of %d crops of %d x %d working pixels (%.3g per image pixel), lr %g, weight decay %g,"
                  " seed %llu, %s\n"
                  "- On %s, by cytofs %s\n",
                  (long long)plan->steps, plan->batch, plan->side, plan->side, plan->preprocessing.scale, plan->lr,
                  plan->weight_decay, (unsigned long long)plan->seed, training->report->precision,
                  training->device->description, or_unknown(training->options->code_version));
    if (training->info.outline_factor != 1)
        buffer_printf(out,
                      "- Outlines are drawn %.3f times as large as the network says, as fits the validation images best\n",
                      training->info.outline_factor);
    if (plan->views > 1)
        buffer_printf(
            out,
            "- Looks at every window in %d views, as it lies and mirrored%s, and averages them: %s times the work of"
            " one. model.onnx is the network of one view\n",
            plan->views, plan->views == WINDOW_VIEWS_SIZES ? ", at its size and three quarters of it" : "",
            plan->views == WINDOW_VIEWS_SIZES ? "6.25" : "4");
    buffer_append_text(out, "\n## Limits\n\n"
                            "Scores hold for images like those of the dataset: same stain, microscope, magnification."
                            " Check a sample by eye before counting elsewhere.\n");
}

static void append_yaml_text(struct buffer *out, const char *key, const char *value)
{
    buffer_printf(out, "%s: ", key);
    buffer_append_json(out, value ? value : "");
    buffer_append_text(out, "\n");
}

static void append_yaml_scores(const struct evaluation *e, const char *name, struct buffer *out)
{
    if (e->images == 0)
        return;
    const struct {
        const char *key;
        double value;
    } scores[] = {{"ap50", e->ap50},
                  {"ap75", e->ap75},
                  {"map", e->map},
                  {"precision", e->precision},
                  {"recall", e->recall},
                  {"f1", e->f1},
                  {"count_mae", e->count_mae},
                  {"count_bias", e->count_bias},
                  {"ece", e->reliability.ece}};
    buffer_printf(out, "  %s:\n    images: %zu\n", name, e->images);
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++)
        if (isfinite(scores[i].value))
            buffer_printf(out, "    %s: %.6f\n", scores[i].key, scores[i].value);
}

static void append_block(struct buffer *out, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        buffer_append_text(out, "  ");
        buffer_append(out, text, length);
        buffer_append_text(out, "\n");
        text += length + (text[length] == '\n');
    }
}

void model_card_append_lineage(const struct training *training, const struct model_card_scores *scores,
                               const char *model_digest, const char *spec_text, struct buffer *out)
{
    const struct trainer_options *options = training->options;
    const struct training_plan *plan = &training->plan;
    buffer_append_text(out, "lineage: 1\n");
    append_yaml_text(out, "model_sha256", model_digest);
    append_yaml_text(out, "code_version", options->code_version);
    append_yaml_text(out, "training_digest", plan->digest);
    buffer_append_text(out, "dataset:\n");
    append_yaml_text(out, "  path", options->dataset_name);
    append_yaml_text(out, "  snapshot", options->dataset_snapshot);
    append_yaml_text(out, "  digest", training->info.dataset_digest);
    buffer_append_text(out, "training:\n");
    buffer_printf(out, "  network: celldet-%s\n  rays: %d\n  views: %d\n  input_channels: %d\n",
                  model_file_size_name(plan->architecture.size), plan->architecture.rays, plan->views,
                  plan->architecture.input_channels);
    buffer_printf(out, "  steps: %lld\n  batch: %d\n  image_size: %d\n  scale: %.17g\n", (long long)plan->steps, plan->batch,
                  plan->side, plan->preprocessing.scale);
    buffer_printf(out, "  lr: %.17g\n  weight_decay: %.17g\n  seed: %llu\n", plan->lr, plan->weight_decay,
                  (unsigned long long)plan->seed);
    buffer_printf(out, "  validations: %d\n  patience: %d\n", plan->validations, plan->patience);
    append_yaml_text(out, "  precision", training->report->precision);
    append_yaml_text(out, "  device", training->device->name);
    append_yaml_text(out, "  device_description", training->device->description);
    buffer_printf(out, "  threads: %d\n", training->device->threads);
    if (scores->val.images + scores->test.images > 0)
        buffer_append_text(out, "metrics:\n");
    append_yaml_scores(&scores->val, "val", out);
    append_yaml_scores(&scores->test, "test", out);
    if (spec_text && *spec_text) {
        buffer_append_text(out, "spec: |2\n");
        append_block(out, spec_text);
    }
}
