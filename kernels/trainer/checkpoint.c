/* Checkpoints: see checkpoint.h.  A safetensors file with one flat tensor for each slab; metadata
 * cytofs.checkpoint (version), step, digest.  FORMAT.md draws it. */
#include "checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "safetensors.h"
#include "scope.h"

#define SLABS 4

static const struct {
    enum network_slab slab;
    const char *name;
} slabs[SLABS] = {
    {SLAB_WEIGHTS, "weights"}, {SLAB_EMA, "ema"}, {SLAB_MOMENT1, "moment1"}, {SLAB_MOMENT2, "moment2"}};

enum code checkpoint_write(const char *path, const struct network *network, int64_t step, const char *digest,
                           struct failure *why)
{
    size_t floats = network_slab_floats(network);
    SCOPE_FREE float *values = malloc(SLABS * floats * sizeof *values);
    if (!values)
        return failure_set(why, CODE_NO_MEMORY, "writing a checkpoint: out of memory");
    struct safetensors_entry entries[SLABS];
    for (int i = 0; i < SLABS; i++) {
        network_read_slab(network, slabs[i].slab, values + (size_t)i * floats);
        entries[i] = (struct safetensors_entry){.name = slabs[i].name,
                                                .rank = 1,
                                                .shape = {(int64_t)floats},
                                                .values = values + (size_t)i * floats};
    }
    char version[16], step_text[24];
    snprintf(version, sizeof version, "%d", CHECKPOINT_VERSION);
    snprintf(step_text, sizeof step_text, "%lld", (long long)step);
    const struct safetensors_note notes[] = {
        {"cytofs.checkpoint", version}, {"step", step_text}, {"digest", digest}};
    struct safetensors_content content = {entries, SLABS, notes, sizeof notes / sizeof *notes};
    enum code code = safetensors_write(path, &content, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "writing a checkpoint");
}

static enum code check_notes(const struct safetensors *file, const char *path, const char *digest,
                             int64_t *step, struct failure *why)
{
    const char *version = safetensors_metadata(file, "cytofs.checkpoint");
    const char *step_text = safetensors_metadata(file, "step");
    const char *found = safetensors_metadata(file, "digest");
    if (!version || !step_text || !found)
        return failure_set(why, CODE_CORRUPT, "%s: not a checkpoint", path);
    if (strtol(version, NULL, 10) != CHECKPOINT_VERSION || strcmp(found, digest) != 0)
        return failure_set(why, CODE_INVALID, "%s: belongs to a training with other data or options", path);
    *step = strtoll(step_text, NULL, 10);
    return *step > 0 ? CODE_OK : failure_set(why, CODE_CORRUPT, "%s: names no step", path);
}

static enum code restore(const struct safetensors *file, const char *path, struct network *network,
                         struct failure *why)
{
    size_t floats = network_slab_floats(network);
    const struct safetensors_tensor *tensors[SLABS];
    for (int i = 0; i < SLABS; i++) {
        tensors[i] = safetensors_find(file, slabs[i].name);
        if (!tensors[i] || tensors[i]->count != floats)
            return failure_set(why, CODE_CORRUPT, "%s: the network has another size", path);
    }
    SCOPE_FREE float *values = malloc(floats * sizeof *values);
    if (!values)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    for (int i = 0; i < SLABS; i++) {
        safetensors_copy(tensors[i], values);
        network_write_slab(network, slabs[i].slab, values);
    }
    return CODE_OK;
}

enum code checkpoint_read(const char *path, struct network *network, const char *digest, int64_t *step,
                          struct failure *why)
{
    SCOPE_BUFFER bytes = {.max = SAFETENSORS_FILE_MAX};
    enum code code = file_read(path, SAFETENSORS_FILE_MAX - 1, &bytes, why);
    if (code != CODE_OK)
        return code;
    struct safetensors *file = NULL;
    code = safetensors_parse(bytes.data, bytes.length, path, &file, why);
    if (code != CODE_OK)
        return code;
    code = check_notes(file, path, digest, step, why);
    if (code == CODE_OK)
        code = restore(file, path, network, why);
    safetensors_destroy(file);
    return code;
}
