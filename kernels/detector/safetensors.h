/* The safetensors format: named f32 tensors and text metadata in one file.
 *
 *     0      8              8 + n                     end
 *     +------+--------------+-------------------------+
 *     | n    | JSON, n byte | tensor data, contiguous |
 *     +------+--------------+-------------------------+
 *
 * n is a little-endian 64-bit number.  The JSON object maps each tensor's name to {"dtype": "F32", "shape":
 * [...], "data_offsets": [begin, end]}, offsets from byte 8 + n, and "__metadata__" to an object of strings.
 * (https://github.com/huggingface/safetensors, format section.)  The reader takes the file as hostile: every
 * number is bounded and checked, overlaps and gaps are refused.
 */
#ifndef CYTOFS_SAFETENSORS_H
#define CYTOFS_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "failure.h"

#define SAFETENSORS_HEADER_MAX  ((size_t)4 << 20)
#define SAFETENSORS_FILE_MAX    ((size_t)2 << 30)
#define SAFETENSORS_TENSORS_MAX 4096
#define SAFETENSORS_RANK_MAX    8

struct safetensors_tensor {
    const char *name;
    int rank;
    int64_t shape[SAFETENSORS_RANK_MAX];
    size_t count;      /* floats: the product of shape */
    const void *bytes; /* count little-endian f32, not necessarily aligned; read with safetensors_copy */
};

struct safetensors; /* a parsed file; opaque */

/* Parses `count` bytes, which must outlive the result; `name` stands in texts.  A malformed file is
 * CODE_CORRUPT, a tensor of another type than F32 CODE_UNSUPPORTED. */
MUST_CHECK enum code safetensors_parse(const void *bytes, size_t count, const char *name, struct safetensors **out,
                                       struct failure *why);
void safetensors_destroy(struct safetensors *file);

size_t safetensors_count(const struct safetensors *file);
const struct safetensors_tensor *safetensors_at(const struct safetensors *file, size_t index);

/* NULL where there is no such tensor, or no such metadata. */
const struct safetensors_tensor *safetensors_find(const struct safetensors *file, const char *name);
const char *safetensors_metadata(const struct safetensors *file, const char *key);

/* Copies a tensor's values into out[0 .. count-1]. */
void safetensors_copy(const struct safetensors_tensor *tensor, float *out);

/* What a file is written from; nothing is owned. */
struct safetensors_entry {
    const char *name;
    int rank;
    int64_t shape[SAFETENSORS_RANK_MAX];
    const float *values;
};
struct safetensors_note {
    const char *key, *value;
};
struct safetensors_content {
    const struct safetensors_entry *entries;
    size_t entry_count;
    const struct safetensors_note *notes;
    size_t note_count;
};

/* Replaces the file atomically. */
MUST_CHECK enum code safetensors_write(const char *path, const struct safetensors_content *content, struct failure *why);

#endif
