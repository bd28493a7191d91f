/* Evaluations as text: see evaluation_report.h.  One row format serves both tables; its columns are the same.
 */
#include "evaluation_report.h"

#include <math.h>

/* A line of a table: all classes together, or one. */
struct row {
    const char *name;
    size_t objects;
    double values[8]; /* ap50 ap75 map precision recall f1 count_mae count_bias */
};

static const char *const value_names[8] = {"ap50", "ap75", "map", "precision", "recall", "f1", "count_mae", "count_bias"};

static struct row total_row(const struct evaluation *e)
{
    return (struct row){
        "all", e->objects, {e->ap50, e->ap75, e->map, e->precision, e->recall, e->f1, e->count_mae, e->count_bias}};
}

static struct row class_row(const struct evaluation *evaluation, const struct model_info *info, int k)
{
    const struct evaluation_class *c = &evaluation->classes[k];
    return (struct row){info->class_names[k],
                        c->objects,
                        {c->ap[0], c->ap[5], c->map, c->precision, c->recall, c->f1, c->count_mae, c->count_bias}};
}

static struct row row_at(const struct evaluation *evaluation, const struct model_info *info, int index)
{
    return index == 0 ? total_row(evaluation) : class_row(evaluation, info, index - 1);
}

static void append_value(struct buffer *out, double value, int width)
{
    if (isfinite(value))
        buffer_printf(out, " %*.3f", width, value);
    else
        buffer_printf(out, " %*s", width, "-");
}

static void append_masks(const struct evaluation *evaluation, struct buffer *out)
{
    if (evaluation->mask_images)
        buffer_printf(out,
                      "\nOutlines against label maps (%zu images): AP50 = TP / (TP + FP + FN) %.3f (mean of images %.3f), "
                      "F1 at IoU 0.5 %.3f\n",
                      evaluation->mask_images, evaluation->mask_ap50, evaluation->mask_image_ap50, evaluation->mask_f1);
}

static void append_reliability(const struct evaluation *evaluation, struct buffer *out)
{
    const struct reliability *r = &evaluation->reliability;
    if (r->detections)
        buffer_printf(out,
                      "\nCalibrated probabilities (%zu detections): expected calibration error (ECE) %.3f; of the %zu above"
                      " their threshold %.3f\n",
                      r->detections, r->ece, r->found, r->ece_found);
}

/* What the probabilities said, and what came of it. */
static void append_reliability_bins(const struct evaluation *evaluation, struct buffer *out)
{
    const struct reliability *r = &evaluation->reliability;
    if (!r->detections)
        return;
    buffer_append_text(out, "\n| probability | detections | mean probability | true |\n|---|---|---|---|\n");
    for (int k = 0; k < RELIABILITY_BINS; k++)
        if (r->bins[k].count)
            buffer_printf(out, "| %.1f .. %.1f | %zu | %.3f | %.3f |\n", (double)k / RELIABILITY_BINS,
                          (double)(k + 1) / RELIABILITY_BINS, r->bins[k].count, r->bins[k].predicted, r->bins[k].observed);
}

static void append_reliability_json(const struct evaluation *evaluation, struct buffer *out)
{
    const struct reliability *r = &evaluation->reliability;
    if (!r->detections)
        return;
    buffer_printf(out, ",\"calibration\":{\"detections\":%zu,\"ece\":%.6f,\"found\":%zu,\"ece_found\":%.6f,\"bins\":[",
                  r->detections, r->ece, r->found, r->ece_found);
    for (int k = 0; k < RELIABILITY_BINS; k++)
        buffer_printf(out, "%s{\"from\":%.1f,\"detections\":%zu,\"predicted\":%.6f,\"observed\":%.6f}", k ? "," : "",
                      (double)k / RELIABILITY_BINS, r->bins[k].count, r->bins[k].predicted, r->bins[k].observed);
    buffer_append_text(out, "]}");
}

void evaluation_report_table(const struct evaluation *evaluation, const struct model_info *info, struct buffer *out)
{
    buffer_printf(out, "%-20s %7s %6s %6s %6s %9s %6s %6s %9s %10s\n", "class", "objects", "AP50", "AP75", "mAP",
                  "precision", "recall", "F1", "count MAE", "count bias");
    static const int widths[8] = {6, 6, 6, 9, 6, 6, 9, 10};
    for (int i = 0; i <= evaluation->class_count; i++) {
        struct row row = row_at(evaluation, info, i);
        buffer_printf(out, "%-20s %7zu", row.name, row.objects);
        for (int v = 0; v < 8; v++)
            append_value(out, row.values[v], widths[v]);
        buffer_append_text(out, "\n");
    }
    append_masks(evaluation, out);
    append_reliability(evaluation, out);
}

void evaluation_report_markdown(const struct evaluation *evaluation, const struct model_info *info, struct buffer *out)
{
    buffer_append_text(out, "| class | objects | AP50 | AP75 | mAP 0.50:0.95 | precision | recall | F1 | count MAE |"
                            " count bias |\n|---|---|---|---|---|---|---|---|---|---|\n");
    for (int i = 0; i <= evaluation->class_count; i++) {
        struct row row = row_at(evaluation, info, i);
        buffer_printf(out, "| %s | %zu |", row.name, row.objects);
        for (int v = 0; v < 8; v++) {
            append_value(out, row.values[v], 0);
            buffer_append_text(out, " |");
        }
        buffer_append_text(out, "\n");
    }
    append_masks(evaluation, out);
    append_reliability(evaluation, out);
    append_reliability_bins(evaluation, out);
}

static void append_json_row(struct buffer *out, const struct row *row)
{
    buffer_append_text(out, "{\"name\":");
    buffer_append_json(out, row->name);
    buffer_printf(out, ",\"objects\":%zu", row->objects);
    for (int v = 0; v < 8; v++) {
        if (isfinite(row->values[v]))
            buffer_printf(out, ",\"%s\":%.6f", value_names[v], row->values[v]);
        else
            buffer_printf(out, ",\"%s\":null", value_names[v]);
    }
    buffer_append_text(out, "}");
}

void evaluation_report_json(const struct evaluation *evaluation, const struct model_info *info, struct buffer *out)
{
    struct row all = total_row(evaluation);
    buffer_printf(out, "{\"images\":%zu,\"all\":", evaluation->images);
    append_json_row(out, &all);
    if (evaluation->mask_images)
        buffer_printf(out, ",\"masks\":{\"images\":%zu,\"ap50\":%.6f,\"ap50_mean_of_images\":%.6f,\"f1\":%.6f}",
                      evaluation->mask_images, evaluation->mask_ap50, evaluation->mask_image_ap50, evaluation->mask_f1);
    append_reliability_json(evaluation, out);
    buffer_append_text(out, ",\"classes\":[");
    for (int k = 0; k < evaluation->class_count; k++) {
        struct row row = class_row(evaluation, info, k);
        buffer_append_text(out, k ? "," : "");
        append_json_row(out, &row);
    }
    buffer_append_text(out, "]}\n");
}
