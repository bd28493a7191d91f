/* Model files: see model_file.h.  The file's bytes stay in memory while it is open; tensors are views into
 * them. */
#include "model_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "model_info.h"
#include "scope.h"

static const char *const size_names[] = {[NETWORK_N] = "n", [NETWORK_S] = "s", [NETWORK_M] = "m"};

struct model_file {
    struct buffer bytes;
    struct safetensors *tensors;
    struct model_info info;
    char *path;
};

const char *model_file_size_name(enum network_size size)
{
    return size_names[size];
}

int model_file_size_from_name(const char *name)
{
    for (int size = NETWORK_N; size <= NETWORK_M; size++)
        if (strcmp(name, size_names[size]) == 0)
            return size;
    return -1;
}

static enum code check_version(const struct model_file *file, struct failure *why)
{
    const char *version = safetensors_metadata(file->tensors, "cytofs.version");
    if (!version)
        return failure_set(why, CODE_INVALID, "%s: a safetensors file, but not a cytofs detector", file->path);
    if (strtol(version, NULL, 10) > MODEL_FILE_VERSION)
        return failure_set(why, CODE_NEWER_FORMAT,
                           "%s: written by a newer version of cytofs (format %.8s, this one reads up to %d): update",
                           file->path, version, MODEL_FILE_VERSION);
    return CODE_OK;
}

static enum code load(struct model_file *file, struct failure *why)
{
    enum code code = file_read(file->path, SAFETENSORS_FILE_MAX - 1, &file->bytes, why);
    if (code == CODE_OK)
        code = safetensors_parse(file->bytes.data, file->bytes.length, file->path, &file->tensors, why);
    if (code == CODE_OK)
        code = check_version(file, why);
    if (code != CODE_OK)
        return code;
    const char *json = safetensors_metadata(file->tensors, "cytofs.model");
    if (!json)
        return failure_set(why, CODE_CORRUPT, "%s: has no description (metadata cytofs.model)", file->path);
    return model_info_parse(json, file->path, &file->info, why);
}

enum code model_file_open(const char *path, struct model_file **out, struct failure *why)
{
    struct model_file *file = calloc(1, sizeof *file);
    if (file)
        file->path = strdup(path);
    if (!file || !file->path) {
        free(file);
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    }
    file->bytes.max = SAFETENSORS_FILE_MAX;
    enum code code = load(file, why);
    if (code != CODE_OK) {
        model_file_close(file);
        return code;
    }
    *out = file;
    return CODE_OK;
}

void model_file_close(struct model_file *file)
{
    if (!file)
        return;
    safetensors_destroy(file->tensors);
    buffer_free(&file->bytes);
    free(file->path);
    free(file);
}

const struct model_info *model_file_info(const struct model_file *file)
{
    return &file->info;
}

enum code model_file_weights(const struct model_file *file, const struct network *network, float *slab, struct failure *why)
{
    for (size_t i = 0; i < network_parameter_count(network); i++) {
        const struct network_parameter *parameter = network_parameter(network, i);
        const struct safetensors_tensor *tensor = safetensors_find(file->tensors, parameter->name);
        if (!tensor)
            return failure_set(why, CODE_CORRUPT, "%s: the tensor %s is missing", file->path, parameter->name);
        bool fits = tensor->rank == parameter->rank && tensor->count == parameter->count;
        for (int k = 0; fits && k < parameter->rank; k++)
            fits = tensor->shape[k] == parameter->shape[k];
        if (!fits)
            return failure_set(why, CODE_CORRUPT, "%s: the tensor %s has another shape than its network's", file->path,
                               parameter->name);
        safetensors_copy(tensor, slab + parameter->offset);
        for (size_t k = 0; k < parameter->count; k++)
            if (!isfinite(slab[parameter->offset + k]))
                return failure_set(why, CODE_CORRUPT, "%s: the tensor %s holds what is no number", file->path,
                                   parameter->name);
    }
    return CODE_OK;
}

enum code model_file_write(const char *path, const struct model_info *info, const struct network *network, const float *slab,
                           struct failure *why)
{
    size_t count = network_parameter_count(network);
    SCOPE_FREE struct safetensors_entry *entries = calloc(count, sizeof *entries);
    if (!entries)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    for (size_t i = 0; i < count; i++) {
        const struct network_parameter *parameter = network_parameter(network, i);
        entries[i] =
            (struct safetensors_entry){.name = parameter->name, .rank = parameter->rank, .values = slab + parameter->offset};
        for (int k = 0; k < parameter->rank; k++)
            entries[i].shape[k] = parameter->shape[k];
    }
    SCOPE_BUFFER json = {0};
    SCOPE_BUFFER version = {0};
    model_info_format(info, &json);
    buffer_printf(&version, "%d", MODEL_FILE_VERSION);
    enum code code = buffer_check(&json, path, why);
    if (code != CODE_OK)
        return code;
    struct safetensors_note notes[] = {
        {"format", "cytofs"}, {"cytofs.version", buffer_text(&version)}, {"cytofs.model", json.data}};
    struct safetensors_content content = {entries, count, notes, sizeof notes / sizeof *notes};
    return safetensors_write(path, &content, why);
}
