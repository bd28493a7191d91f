/* The best weights so far: see best.h.  A safetensors file with the one tensor "ema"; metadata cytofs.best (version), step,
 * ap50, digest. */
#include "best.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "safetensors.h"
#include "scope.h"

#define BEST_VERSION "1"

enum code best_write(const char *path, const struct best *best, const char *digest, const float *weights, size_t floats,
                     struct failure *why)
{
    char step[24], ap50[40];
    snprintf(step, sizeof step, "%lld", (long long)best->step);
    snprintf(ap50, sizeof ap50, "%.17g", best->ap50);
    const struct safetensors_entry entry = {.name = "ema", .rank = 1, .shape = {(int64_t)floats}, .values = weights};
    const struct safetensors_note notes[] = {
        {"cytofs.best", BEST_VERSION}, {"step", step}, {"ap50", ap50}, {"digest", digest}};
    struct safetensors_content content = {&entry, 1, notes, sizeof notes / sizeof *notes};
    enum code code = safetensors_write(path, &content, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "keeping the best weights");
}

static enum code take(const struct safetensors *file, const char *path, const char *digest, struct best *best,
                      float *weights, size_t floats, struct failure *why)
{
    const char *version = safetensors_metadata(file, "cytofs.best"), *step = safetensors_metadata(file, "step"),
               *ap50 = safetensors_metadata(file, "ap50"), *found = safetensors_metadata(file, "digest");
    const struct safetensors_tensor *tensor = safetensors_find(file, "ema");
    if (!version || !step || !ap50 || !found || !tensor)
        return failure_set(why, CODE_CORRUPT, "%s: does not hold the best weights of a training", path);
    if (strcmp(version, BEST_VERSION) != 0 || strcmp(found, digest) != 0)
        return failure_set(why, CODE_INVALID, "%s: belongs to a training with other data or options", path);
    best->step = strtoll(step, NULL, 10);
    best->ap50 = strtod(ap50, NULL);
    if (best->step <= 0 || !isfinite(best->ap50) || (weights && tensor->count != floats))
        return failure_set(why, CODE_CORRUPT, "%s: is damaged", path);
    if (weights)
        safetensors_copy(tensor, weights);
    return CODE_OK;
}

enum code best_read(const char *path, const char *digest, struct best *best, float *weights, size_t floats,
                    struct failure *why)
{
    SCOPE_BUFFER bytes = {.max = SAFETENSORS_FILE_MAX};
    *best = (struct best){0};
    enum code code = file_read(path, SAFETENSORS_FILE_MAX - 1, &bytes, why);
    struct safetensors *file = NULL;
    if (code == CODE_OK)
        code = safetensors_parse(bytes.data, bytes.length, path, &file, why);
    if (code == CODE_OK)
        code = take(file, path, digest, best, weights, floats, why);
    safetensors_destroy(file);
    return code;
}
