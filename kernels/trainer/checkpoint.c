/* Checkpoints: see checkpoint.h.  A safetensors file with one flat tensor for each slab; metadata
 * cytofs.checkpoint (version), step, digest, best_step, best_ap50.  kernels/detector/FORMAT.md draws it. */
#include "checkpoint.h"

#include <math.h>
#include <stdbool.h>
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
} slabs[SLABS] = {{SLAB_WEIGHTS, "weights"}, {SLAB_EMA, "ema"}, {SLAB_MOMENT1, "moment1"}, {SLAB_MOMENT2, "moment2"}};

enum code checkpoint_write(const char *path, const struct network *network, const struct checkpoint *checkpoint,
                           struct failure *why)
{
    size_t floats = network_slab_floats(network);
    SCOPE_FREE float *values = malloc(SLABS * floats * sizeof *values);
    if (!values)
        return failure_set(why, CODE_NO_MEMORY, "writing a checkpoint: out of memory");
    struct safetensors_entry entries[SLABS];
    for (int i = 0; i < SLABS; i++) {
        network_read_slab(network, slabs[i].slab, values + (size_t)i * floats);
        entries[i] = (struct safetensors_entry){
            .name = slabs[i].name, .rank = 1, .shape = {(int64_t)floats}, .values = values + (size_t)i * floats};
    }
    char version[16], step[24], best_step[24], best_ap50[40];
    snprintf(version, sizeof version, "%d", CHECKPOINT_VERSION);
    snprintf(step, sizeof step, "%lld", (long long)checkpoint->step);
    snprintf(best_step, sizeof best_step, "%lld", (long long)checkpoint->best.step);
    snprintf(best_ap50, sizeof best_ap50, "%.17g", checkpoint->best.ap50);
    const struct safetensors_note notes[] = {{"cytofs.checkpoint", version},
                                             {"step", step},
                                             {"digest", checkpoint->digest},
                                             {"best_step", best_step},
                                             {"best_ap50", best_ap50}};
    struct safetensors_content content = {entries, SLABS, notes, sizeof notes / sizeof *notes};
    enum code code = safetensors_write(path, &content, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "writing a checkpoint");
}

static enum code check_notes(const struct safetensors *file, const char *path, struct checkpoint *checkpoint,
                             struct failure *why)
{
    const char *version = safetensors_metadata(file, "cytofs.checkpoint");
    const char *step_text = safetensors_metadata(file, "step");
    const char *found = safetensors_metadata(file, "digest");
    const char *best_step = safetensors_metadata(file, "best_step");
    const char *best_ap50 = safetensors_metadata(file, "best_ap50");
    if (!version || !step_text || !found)
        return failure_set(why, CODE_CORRUPT, "%s: not a checkpoint", path);
    if (strtol(version, NULL, 10) != CHECKPOINT_VERSION || strcmp(found, checkpoint->digest) != 0)
        return failure_set(why, CODE_INVALID, "%s: belongs to a training with other data, options or program", path);
    if (!best_step || !best_ap50)
        return failure_set(why, CODE_CORRUPT, "%s: does not say how good its training was", path);
    checkpoint->step = strtoll(step_text, NULL, 10);
    checkpoint->best = (struct best){strtoll(best_step, NULL, 10), strtod(best_ap50, NULL)};
    bool sane = checkpoint->step > 0 && checkpoint->best.step >= 0 && checkpoint->best.step <= checkpoint->step &&
                isfinite(checkpoint->best.ap50);
    return sane ? CODE_OK : failure_set(why, CODE_CORRUPT, "%s: names no step", path);
}

static enum code restore(const struct safetensors *file, const char *path, struct network *network, struct failure *why)
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

enum code checkpoint_read(const char *path, struct network *network, struct checkpoint *checkpoint, struct failure *why)
{
    SCOPE_BUFFER bytes = {.max = SAFETENSORS_FILE_MAX};
    enum code code = file_read(path, SAFETENSORS_FILE_MAX - 1, &bytes, why);
    if (code != CODE_OK)
        return code;
    struct safetensors *file = NULL;
    code = safetensors_parse(bytes.data, bytes.length, path, &file, why);
    if (code != CODE_OK)
        return code;
    code = check_notes(file, path, checkpoint, why);
    if (code == CODE_OK)
        code = restore(file, path, network, why);
    safetensors_destroy(file);
    return code;
}
