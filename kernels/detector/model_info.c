/* A model's description as JSON: see model_info.h and FORMAT.md.
 *
 * Parsing is a straight line over a small reader that remembers the first thing that was wrong; a missing
 * member and a number out of its range are the same refusal, naming the member.
 */
#include "model_info.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "window_views.h"

struct reader {
    const char *wrong; /* the first member that was missing or out of range */
};

static double read_number(struct reader *reader, json_t *object, const char *key, double low, double high)
{
    json_t *value = json_object_get(object, key);
    double number = json_number_value(value);
    if (json_is_number(value) && number >= low && number <= high)
        return number;
    if (!reader->wrong)
        reader->wrong = key;
    return low;
}

static void read_text(struct reader *reader, json_t *object, const char *key, char *out, size_t room)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (text && strlen(text) < room) {
        strcpy(out, text);
        return;
    }
    if (!reader->wrong)
        reader->wrong = key;
}

static void read_pair(struct reader *reader, json_t *object, const char *key, double pair[2])
{
    json_t *list = json_object_get(object, key);
    for (size_t i = 0; i < 2; i++) {
        json_t *value = json_array_get(list, i);
        pair[i] = json_number_value(value);
        if ((!json_is_number(value) || !isfinite(pair[i])) && !reader->wrong)
            reader->wrong = key;
    }
}

static void read_classes(struct reader *reader, json_t *root, struct model_info *info)
{
    json_t *classes = json_object_get(root, "classes");
    size_t count = json_array_size(classes);
    if (count < 1 || count > DETECTION_CLASSES_MAX) {
        reader->wrong = "classes";
        return;
    }
    info->architecture.classes = (int)count;
    for (size_t k = 0; k < count; k++) {
        json_t *entry = json_array_get(classes, k);
        double fit[2];
        read_text(reader, entry, "name", info->class_names[k], MODEL_CLASS_NAME_MAX);
        info->thresholds.best_f1[k] = (float)read_number(reader, entry, "threshold", 0, 1);
        info->thresholds.unbiased[k] = (float)read_number(reader, entry, "count_threshold", 0, 1);
        read_pair(reader, entry, "calibration", fit);
        info->thresholds.calibration[k] = (struct calibration){fit[0], fit[1]};
    }
}

static void read_architecture(struct reader *reader, json_t *root, struct network_architecture *architecture)
{
    json_t *object = json_object_get(root, "architecture");
    char size[16] = "";
    read_text(reader, object, "size", size, sizeof size);
    int known = model_file_size_from_name(size);
    if (known < 0)
        reader->wrong = "size";
    architecture->size = known < 0 ? NETWORK_N : (enum network_size)known;
    architecture->input_channels = (int)read_number(reader, object, "input_channels", 1, 3);
    if (architecture->input_channels == 2)
        reader->wrong = "input_channels";
    architecture->rays = (int)read_number(reader, object, "rays", 0, NETWORK_RAYS_MAX);
}

static void read_preprocessing(struct reader *reader, json_t *root, struct preprocessing *recipe)
{
    json_t *object = json_object_get(root, "preprocessing");
    char intensity[16] = "";
    read_text(reader, object, "intensity", intensity, sizeof intensity);
    if (strcmp(intensity, "full") == 0)
        recipe->intensity = INTENSITY_FULL;
    else if (strcmp(intensity, "percentile") == 0)
        recipe->intensity = INTENSITY_PERCENTILE;
    else
        reader->wrong = "intensity";
    recipe->range_floor = read_number(reader, object, "range_floor", 0, 1);
    recipe->scale = read_number(reader, object, "scale", PREPROCESSING_SCALE_MIN, PREPROCESSING_SCALE_MAX);
}

/* What younger models tell; the older ones are without. */
static void read_drawing(struct reader *reader, json_t *root, struct model_info *info)
{
    info->views = json_object_get(root, "views") ? (int)read_number(reader, root, "views", 1, WINDOW_VIEWS_SIZES) : 1;
    info->outline_factor = json_object_get(root, "outline_factor") ? read_number(reader, root, "outline_factor", 0.5, 2) : 1;
    if (!window_views_are_possible(info->views, info->architecture.rays))
        reader->wrong = "views";
}

static void read_training(struct reader *reader, json_t *root, struct model_info *info)
{
    json_t *object = json_object_get(root, "training");
    info->image_bits = (int)read_number(reader, object, "image_bits", 8, 16);
    info->pixel_um = read_number(reader, object, "pixel_um", 0, 1e6);
    info->object_side_px = read_number(reader, object, "object_side_px", 0, 65535);
    info->object_side_p99 = read_number(reader, object, "object_side_p99", 0, 65535);
    read_pair(reader, object, "range_low", info->range_low);
    read_pair(reader, object, "range_high", info->range_high);
    read_text(reader, object, "software", info->software, sizeof info->software);
    read_text(reader, object, "dataset_digest", info->dataset_digest, sizeof info->dataset_digest);
}

enum code model_info_parse(const char *json, const char *name, struct model_info *out, struct failure *why)
{
    json_error_t error;
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return failure_set(why, CODE_CORRUPT, "%s: its description is not JSON: %s", name, error.text);
    *out = (struct model_info){0};
    struct reader reader = {0};
    read_classes(&reader, root, out);
    read_architecture(&reader, root, &out->architecture);
    read_preprocessing(&reader, root, &out->preprocessing);
    out->preprocessing.channels = out->architecture.input_channels;
    out->thresholds.best_f1_all = (float)read_number(&reader, root, "threshold_all", 0, 1);
    read_drawing(&reader, root, out);
    read_training(&reader, root, out);
    json_decref(root);
    if (reader.wrong)
        return failure_set(why, CODE_CORRUPT, "%s: its description lacks a sensible \"%s\"", name, reader.wrong);
    return CODE_OK;
}

static void format_classes(const struct model_info *info, struct buffer *out)
{
    for (int k = 0; k < info->architecture.classes; k++) {
        buffer_append_text(out, k ? ",{\"name\":" : "{\"name\":");
        buffer_append_json(out, info->class_names[k]);
        buffer_printf(out, ",\"threshold\":%.9g,\"count_threshold\":%.9g,\"calibration\":[%.17g,%.17g]}",
                      info->thresholds.best_f1[k], info->thresholds.unbiased[k], info->thresholds.calibration[k].slope,
                      info->thresholds.calibration[k].offset);
    }
}

void model_info_format(const struct model_info *info, struct buffer *out)
{
    buffer_printf(out, "{\"architecture\":{\"size\":\"%s\",\"input_channels\":%d,\"rays\":%d},\"classes\":[",
                  model_file_size_name(info->architecture.size), info->architecture.input_channels, info->architecture.rays);
    format_classes(info, out);
    buffer_printf(out,
                  "],\"threshold_all\":%.9g,\"views\":%d,\"outline_factor\":%.17g,"
                  "\"preprocessing\":{\"intensity\":\"%s\",\"range_floor\":%.17g,\"scale\":%.17g},",
                  info->thresholds.best_f1_all, info->views > 1 ? info->views : 1,
                  info->outline_factor > 0 ? info->outline_factor : 1,
                  info->preprocessing.intensity == INTENSITY_PERCENTILE ? "percentile" : "full",
                  info->preprocessing.range_floor, info->preprocessing.scale);
    buffer_printf(out,
                  "\"training\":{\"image_bits\":%d,\"pixel_um\":%.17g,\"object_side_px\":%.9g,"
                  "\"object_side_p99\":%.9g,\"range_low\":[%.9g,%.9g],\"range_high\":[%.9g,%.9g],\"software\":",
                  info->image_bits, info->pixel_um, info->object_side_px, info->object_side_p99, info->range_low[0],
                  info->range_low[1], info->range_high[0], info->range_high[1]);
    buffer_append_json(out, info->software);
    buffer_append_text(out, ",\"dataset_digest\":");
    buffer_append_json(out, info->dataset_digest);
    buffer_append_text(out, "}}");
}
