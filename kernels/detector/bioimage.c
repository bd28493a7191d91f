/* rdf.yaml and its test tensors: see bioimage.h.  A tensor is numpy's .npy, version 1.0: a magic, the length
 * of a line, the line that names type and shape, padded so that numbers begin at a multiple of 64, and the
 * numbers. */
#include "bioimage.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "device.h"
#include "file.h"
#include "random.h"
#include "scope.h"

#define FORMAT_VERSION "0.5.3"
#define TEST_SIDE      64
#define TEST_SEED      UINT64_C(0xB10)
#define NPY_LINE_BYTES 118 /* 128 with the 10 bytes before it */

/* One tensor of the model, as (1, channels, height, width). */
struct tensor_file {
    const char *name; /* "image", "heat", "box", "rays" */
    int channels, side;
    float *values; /* (height, width, channels) */
};

static enum code write_in(const char *folder, const char *name, const struct buffer *content, struct failure *why)
{
    SCOPE_FREE char *path = file_join(folder, name);
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", name);
    enum code code = buffer_check(content, path, why);
    return code == CODE_OK ? file_replace(path, content->data, content->length, why) : code;
}

static enum code write_npy(const char *folder, const struct tensor_file *tensor, struct failure *why)
{
    static const uint8_t magic[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, NPY_LINE_BYTES, 0};
    char line[NPY_LINE_BYTES + 1], name[64];
    int length = snprintf(line, sizeof line, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, %d, %d, %d), }",
                          tensor->channels, tensor->side, tensor->side);
    memset(line + length, ' ', (size_t)(NPY_LINE_BYTES - length));
    line[NPY_LINE_BYTES - 1] = '\n';
    SCOPE_BUFFER content = {0};
    buffer_append(&content, magic, sizeof magic);
    buffer_append(&content, line, NPY_LINE_BYTES);
    size_t pixels = (size_t)tensor->side * (size_t)tensor->side, channels = (size_t)tensor->channels;
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < pixels; i++)
            buffer_append(&content, &tensor->values[i * channels + c], sizeof(float));
    snprintf(name, sizeof name, "test_%s.npy", tensor->name);
    return write_in(folder, name, &content, why);
}

/* Fills in what the network makes of `image`, whose values are 0 .. 1. */
static enum code compute(const struct bioimage_request *request, const struct tensor_file *image,
                         const struct tensor_file outputs[3], struct failure *why)
{
    const struct network_plan plan = {.batch = 1, .height = TEST_SIDE, .width = TEST_SIDE};
    size_t count = (size_t)TEST_SIDE * TEST_SIDE * (size_t)image->channels;
    SCOPE_FREE float *input = calloc(count, sizeof *input);
    struct network *network = NULL;
    if (!input)
        return failure_set(why, CODE_NO_MEMORY, "describing the model: out of memory");
    for (size_t i = 0; i < count; i++)
        input[i] = (image->values[i] - 0.5f) * 4;
    enum code code = network_create(request->device, &request->info->architecture, &plan, &network, why);
    if (code != CODE_OK)
        return code;
    network_write_slab(network, SLAB_WEIGHTS, request->weights);
    code = network_forward(network, input, why);
    if (code == CODE_OK)
        network_read_outputs(network, outputs[0].values, outputs[1].values, outputs[2].values);
    network_destroy(network);
    return code;
}

/* "Red Cell" -> "red_cell": names of channels are identifiers there; what cannot be one is called by its
 * number. */
static void append_identifier(struct buffer *out, const char *name, int number)
{
    bool usable = isalpha((unsigned char)name[0]);
    for (const char *at = name; *at; at++)
        usable = usable && (isalnum((unsigned char)*at) || *at == ' ' || *at == '_' || *at == '-');
    if (!usable) {
        buffer_printf(out, "class_%d", number);
        return;
    }
    for (const char *at = name; *at; at++) {
        char letter = isalnum((unsigned char)*at) ? (char)tolower((unsigned char)*at) : '_';
        buffer_append(out, &letter, 1);
    }
}

/* Names of one tensor's channels, told apart by a number where that is all there is. */
static void append_channels(struct buffer *out, const struct tensor_file *tensor, const struct model_info *info)
{
    static const char *const sides[4] = {"left", "top", "right", "bottom"};
    static const char *const colours[3] = {"red", "green", "blue"};
    buffer_append_text(out, "      - {type: channel, channel_names: [");
    for (int c = 0; c < tensor->channels; c++) {
        buffer_append_text(out, c ? ", " : "");
        if (strcmp(tensor->name, "heat") == 0)
            append_identifier(out, info->class_names[c], c);
        else if (strcmp(tensor->name, "box") == 0)
            buffer_append_text(out, sides[c]);
        else if (strcmp(tensor->name, "image") == 0)
            buffer_append_text(out, tensor->channels == 3 ? colours[c] : "intensity");
        else
            buffer_printf(out, "ray_%d", c);
    }
    buffer_append_text(out, "]}\n");
}

static void append_tensor(struct buffer *out, const struct tensor_file *tensor, const char *description,
                          const struct model_info *info)
{
    bool is_input = strcmp(tensor->name, "image") == 0;
    buffer_printf(out, "  - id: %s\n    description: \"%s\"\n    axes:\n      - {type: batch}\n", tensor->name, description);
    append_channels(out, tensor, info);
    for (const char *axis = "yx"; *axis; axis++) {
        if (is_input)
            buffer_printf(out, "      - {type: space, id: %c, size: {min: 64, step: 32}}\n", *axis);
        else
            buffer_printf(out, "      - {type: space, id: %c, scale: 4.0, size: {tensor_id: image, axis_id: %c}}\n", *axis,
                          *axis);
    }
    buffer_printf(out, "    data: {type: float32}\n    test_tensor: {source: test_%s.npy}\n", tensor->name);
}

static void append_head(struct buffer *out, const struct model_info *info)
{
    buffer_printf(out,
                  "# A description of model.onnx for programs around https://bioimage.io.  Before publishing, say "
                  "under authors who\n"
                  "# made the model, and under license on what terms it and its training images may be used.\n"
                  "format_version: %s\ntype: model\nname: CellDet-%s detector\n",
                  FORMAT_VERSION, model_file_size_name(info->architecture.size));
    buffer_printf(out,
                  "description: \"Finds %d kind%s of cells in microscope images as boxes%s. Research use "
                  "only, not a diagnostic"
                  " device.%s\"\n",
                  info->architecture.classes, info->architecture.classes == 1 ? "" : "s",
                  info->architecture.rays ? " and outlines" : "",
                  info->views > 1 ? " One view: the scores in card.md are of the mean over several." : "");
    buffer_append_text(out, "authors:\n  - name: not told\ncite:\n  - text: \"Zhou, Wang, Kraehenbuehl: "
                            "Objects as Points, 2019\"\n"
                            "    doi: 10.48550/arXiv.1904.07850\n"
                            "documentation: card.md\ntags: [detection, cells, microscopy, celldet]\n");
}

static enum code write_description(const struct bioimage_request *request, const struct tensor_file *image,
                                   const struct tensor_file outputs[3], struct failure *why)
{
    const struct model_info *info = request->info;
    SCOPE_BUFFER out = {0};
    char input[128], rays[160];
    append_head(&out, info);
    snprintf(input, sizeof input, "0 .. 1, %s, %.3g working pixels per image pixel",
             info->preprocessing.intensity == INTENSITY_PERCENTILE ? "percentiles 1 and 99.8 of the image"
                                                                   : "parts of the sample type's maximum",
             info->preprocessing.scale);
    buffer_append_text(&out, "inputs:\n");
    append_tensor(&out, image, input, info);
    buffer_append_text(&out, "outputs:\n");
    append_tensor(&out, &outputs[0],
                  "logits, one map a class; an object is a maximum of 3 x 3 above the threshold in card.md", info);
    append_tensor(&out, &outputs[1], "ln of the distance to the box's sides / 4 working pixels", info);
    snprintf(rays, sizeof rays, "ln of the distance to the outline / %.4g working pixels, directions from the x axis on",
             4 * (info->outline_factor > 0 ? info->outline_factor : 1));
    if (outputs[2].channels)
        append_tensor(&out, &outputs[2], rays, info);
    buffer_printf(&out, "weights:\n  onnx:\n    source: model.onnx\n    sha256: %s\n    opset_version: 13\n",
                  request->onnx_sha256);
    return write_in(request->folder, "rdf.yaml", &out, why);
}

enum code bioimage_write(const struct bioimage_request *request, struct failure *why)
{
    const struct network_architecture *architecture = &request->info->architecture;
    const int side = TEST_SIDE / 4;
    const size_t cells = (size_t)side * (size_t)side, pixels = (size_t)TEST_SIDE * TEST_SIDE;
    SCOPE_FREE float *input = calloc(pixels * (size_t)architecture->input_channels, sizeof *input);
    SCOPE_FREE float *heat = calloc(cells * (size_t)architecture->classes, sizeof *heat);
    SCOPE_FREE float *box = calloc(cells * 4, sizeof *box);
    SCOPE_FREE float *rays = calloc(cells * (size_t)architecture->rays + 1, sizeof *rays);
    if (!input || !heat || !box || !rays)
        return failure_set(why, CODE_NO_MEMORY, "describing the model: out of memory");
    struct random random = random_stream(TEST_SEED, 1);
    for (size_t i = 0; i < pixels * (size_t)architecture->input_channels; i++)
        input[i] = (float)random_uniform(&random);
    const struct tensor_file image = {"image", architecture->input_channels, TEST_SIDE, input};
    const struct tensor_file outputs[3] = {{"heat", architecture->classes, side, heat},
                                           {"box", 4, side, box},
                                           {"rays", architecture->rays, side, architecture->rays ? rays : NULL}};
    enum code code = compute(request, &image, outputs, why);
    if (code == CODE_OK)
        code = write_npy(request->folder, &image, why);
    for (int k = 0; k < 3 && code == CODE_OK; k++)
        if (outputs[k].channels)
            code = write_npy(request->folder, &outputs[k], why);
    return code == CODE_OK ? write_description(request, &image, outputs, why) : code;
}
