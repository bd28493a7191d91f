/* Reading and writing safetensors: see safetensors.h for the layout.
 *
 * The JSON tree stays alive as long as the parsed file, so names are borrowed from it.  Tensors are kept in
 * the order of their data, which is how gaps and overlaps are found: each must begin where the one before
 * ended.
 */
#include "safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "file.h"
#include "scope.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are written as they lie in memory");

struct safetensors {
    json_t *header;
    size_t count;
    struct safetensors_tensor *tensors; /* ordered by their data */
};

static enum code corrupt(const char *name, const char *what, struct failure *why)
{
    return failure_set(why, CODE_CORRUPT, "%s: not a sound safetensors file: %s", name, what);
}

static enum code parse_shape(json_t *shape, const char *name, struct safetensors_tensor *tensor, struct failure *why)
{
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || rank > SAFETENSORS_RANK_MAX)
        return corrupt(name, "a shape is not a list of at most 8 numbers", why);
    tensor->rank = (int)rank;
    tensor->count = 1;
    for (size_t i = 0; i < rank; i++) {
        json_t *side = json_array_get(shape, i);
        if (!json_is_integer(side) || json_integer_value(side) < 0)
            return corrupt(name, "a shape holds something else than natural numbers", why);
        tensor->shape[i] = json_integer_value(side);
        if (!bytes_multiply(tensor->count, (size_t)tensor->shape[i], &tensor->count))
            return corrupt(name, "a shape is too large", why);
    }
    return CODE_OK;
}

static enum code parse_tensor(json_t *entry, const char *name, size_t data_bytes, const uint8_t *data,
                              struct safetensors_tensor *tensor, struct failure *why)
{
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    if (!type)
        return corrupt(name, "a tensor has no dtype", why);
    if (strcmp(type, "F32") != 0)
        return failure_set(why, CODE_UNSUPPORTED, "%s: tensor %s is of type %.16s; only F32 is read", name, tensor->name,
                           type);
    enum code code = parse_shape(json_object_get(entry, "shape"), name, tensor, why);
    if (code != CODE_OK)
        return code;
    json_t *offsets = json_object_get(entry, "data_offsets");
    json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return corrupt(name, "a tensor's data_offsets are not two numbers", why);
    json_int_t begin = json_integer_value(first), end = json_integer_value(last);
    size_t bytes;
    if (begin < 0 || end < begin || (uint64_t)end > data_bytes || !bytes_multiply(tensor->count, 4, &bytes) ||
        bytes != (size_t)(end - begin))
        return corrupt(name, "a tensor's data_offsets do not fit its shape or the file", why);
    tensor->bytes = data + begin;
    return CODE_OK;
}

static int by_data(const void *left, const void *right)
{
    const struct safetensors_tensor *a = left, *b = right;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? -1 : 1;
    return (a->count > b->count) - (a->count < b->count);
}

static enum code check_contiguous(const struct safetensors *file, const char *name, const uint8_t *data, size_t data_bytes,
                                  struct failure *why)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < file->count; i++) {
        if (file->tensors[i].bytes != at)
            return corrupt(name, "tensors overlap or leave gaps", why);
        at += file->tensors[i].count * 4;
    }
    return at == data + data_bytes ? CODE_OK : corrupt(name, "bytes are left over behind the last tensor", why);
}

static enum code check_metadata(json_t *metadata, const char *name, struct failure *why)
{
    if (!metadata)
        return CODE_OK;
    if (!json_is_object(metadata))
        return corrupt(name, "__metadata__ is not an object", why);
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return corrupt(
        name, "__metadata__ holds something else than texts", why);
    return CODE_OK;
}

static enum code parse_entries(struct safetensors *file, const char *name, const uint8_t *data, size_t data_bytes,
                               struct failure *why)
{
    enum code code = check_metadata(json_object_get(file->header, "__metadata__"), name, why);
    if (code != CODE_OK)
        return code;
    if (json_object_size(file->header) > SAFETENSORS_TENSORS_MAX)
        return failure_set(why, CODE_TOO_LARGE, "%s: more than %d tensors", name, SAFETENSORS_TENSORS_MAX);
    file->tensors = calloc(json_object_size(file->header) + 1, sizeof *file->tensors);
    if (!file->tensors)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", name);
    const char *key;
    json_t *entry;
    json_object_foreach(file->header, key, entry)
    {
        if (strcmp(key, "__metadata__") == 0)
            continue;
        file->tensors[file->count].name = key;
        code = parse_tensor(entry, name, data_bytes, data, &file->tensors[file->count], why);
        if (code != CODE_OK)
            return code;
        file->count++;
    }
    qsort(file->tensors, file->count, sizeof *file->tensors, by_data);
    return check_contiguous(file, name, data, data_bytes, why);
}

enum code safetensors_parse(const void *bytes, size_t count, const char *name, struct safetensors **out, struct failure *why)
{
    if (count < 8)
        return corrupt(name, "shorter than its first number", why);
    uint64_t header_bytes = bytes_load64(bytes);
    if (header_bytes > SAFETENSORS_HEADER_MAX || header_bytes > count - 8)
        return corrupt(name, "its header is longer than the file or than 4 MiB", why);
    json_error_t error;
    json_t *header = json_loadb((const char *)bytes + 8, (size_t)header_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(header)) {
        json_decref(header);
        return corrupt(name, "its header is not a JSON object", why);
    }
    struct safetensors *file = calloc(1, sizeof *file);
    if (!file) {
        json_decref(header);
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", name);
    }
    file->header = header;
    enum code code = parse_entries(file, name, (const uint8_t *)bytes + 8 + header_bytes, count - 8 - header_bytes, why);
    if (code != CODE_OK) {
        safetensors_destroy(file);
        return code;
    }
    *out = file;
    return CODE_OK;
}

void safetensors_destroy(struct safetensors *file)
{
    if (!file)
        return;
    json_decref(file->header);
    free(file->tensors);
    free(file);
}

size_t safetensors_count(const struct safetensors *file)
{
    return file->count;
}

const struct safetensors_tensor *safetensors_at(const struct safetensors *file, size_t index)
{
    return &file->tensors[index];
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

const char *safetensors_metadata(const struct safetensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

void safetensors_copy(const struct safetensors_tensor *tensor, float *out)
{
    const uint8_t *at = tensor->bytes;
    for (size_t i = 0; i < tensor->count; i++) {
        uint32_t bits = bytes_load32(at + 4 * i);
        memcpy(&out[i], &bits, sizeof bits);
    }
}

static size_t entry_floats(const struct safetensors_entry *entry)
{
    size_t count = 1;
    for (int i = 0; i < entry->rank; i++)
        count *= (size_t)entry->shape[i];
    return count;
}

static void write_header(const struct safetensors_content *content, struct buffer *header)
{
    buffer_append_text(header, "{\"__metadata__\":{");
    for (size_t i = 0; i < content->note_count; i++) {
        buffer_append_text(header, i ? "," : "");
        buffer_append_json(header, content->notes[i].key);
        buffer_append_text(header, ":");
        buffer_append_json(header, content->notes[i].value);
    }
    buffer_append_text(header, "}");
    size_t offset = 0;
    for (size_t i = 0; i < content->entry_count; i++) {
        const struct safetensors_entry *entry = &content->entries[i];
        buffer_append_text(header, ",");
        buffer_append_json(header, entry->name);
        buffer_append_text(header, ":{\"dtype\":\"F32\",\"shape\":[");
        for (int k = 0; k < entry->rank; k++)
            buffer_printf(header, k ? ",%lld" : "%lld", (long long)entry->shape[k]);
        size_t end = offset + entry_floats(entry) * 4;
        buffer_printf(header, "],\"data_offsets\":[%zu,%zu]}", offset, end);
        offset = end;
    }
    buffer_append_text(header, "}");
    while (header->length % 8 != 0 && !header->failed)
        buffer_append_text(header, " ");
}

enum code safetensors_write(const char *path, const struct safetensors_content *content, struct failure *why)
{
    SCOPE_BUFFER header = {0};
    SCOPE_BUFFER file = {.max = SAFETENSORS_FILE_MAX};
    write_header(content, &header);
    enum code code = buffer_check(&header, path, why);
    if (code != CODE_OK)
        return code;
    uint8_t length[8];
    bytes_store64(length, header.length);
    buffer_append(&file, length, sizeof length);
    buffer_append(&file, header.data, header.length);
    for (size_t i = 0; i < content->entry_count; i++)
        buffer_append(&file, content->entries[i].values, entry_floats(&content->entries[i]) * 4);
    code = buffer_check(&file, path, why);
    return code == CODE_OK ? file_replace(path, file.data, file.length, why) : code;
}
