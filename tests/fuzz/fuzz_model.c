/* Model files on hostile bytes: the safetensors container and the description in its metadata. */
#include "fuzzing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "model_info.h"
#include "safetensors.h"

/* Every value of every tensor must be there to be read. */
static void read_all(const struct safetensors *file)
{
    for (size_t i = 0; i < safetensors_count(file); i++) {
        const struct safetensors_tensor *tensor = safetensors_at(file, i);
        float *values = malloc(tensor->count * sizeof *values + 1);
        if (values)
            safetensors_copy(tensor, values);
        free(values);
        assert(safetensors_find(file, tensor->name) == tensor);
    }
}

/* What is accepted must be usable as it is: in range, and the same after writing and reading. */
static void check_info(const struct model_info *info)
{
    static struct model_info again;
    struct buffer json = {0};
    assert(info->architecture.classes >= 1 && info->architecture.classes <= DETECTION_CLASSES_MAX);
    assert(info->preprocessing.scale >= PREPROCESSING_SCALE_MIN);
    model_info_format(info, &json);
    enum code code = model_info_parse(buffer_text(&json), "again", &again, NULL);
    assert(code == CODE_OK);
    (void)code;
    buffer_free(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct model_info info;
    struct failure why;
    struct safetensors *file;
    if (safetensors_parse(bytes, count, "input", &file, &why) != CODE_OK)
        return 0;
    read_all(file);
    const char *json = safetensors_metadata(file, "cytofs.model");
    if (json && model_info_parse(json, "input", &info, &why) == CODE_OK)
        check_info(&info);
    safetensors_destroy(file);
    return 0;
}

static void make_header(struct buffer *header)
{
    static struct model_info info = {.architecture = {NETWORK_S, 3, 2, 32},
                                     .class_names = {"RBC", "WBC"},
                                     .preprocessing = {INTENSITY_PERCENTILE, 0.01, 0.5, 3},
                                     .image_bits = 16,
                                     .software = "0.1.0",
                                     .dataset_digest = "abc"};
    struct buffer json = {0};
    model_info_format(&info, &json);
    buffer_append_text(header, "{\"__metadata__\":{\"cytofs.version\":\"1\",\"cytofs.model\":");
    buffer_append_json(header, buffer_text(&json));
    buffer_append_text(header, "},\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
                               "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[16,20]}}");
    buffer_free(&json);
}

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    if (index > 0)
        return NULL;
    struct buffer header = {0}, file = {0};
    uint8_t length[8];
    make_header(&header);
    bytes_store64(length, header.length);
    buffer_append(&file, length, sizeof length);
    buffer_append(&file, header.data, header.length);
    for (int i = 0; i < 20; i++)
        buffer_append(&file, "", 1);
    buffer_free(&header);
    *count = file.length;
    return (uint8_t *)file.data;
}
