/* A detector and the device under it: see detector_place.h. */
#include "detector_place.h"

#include <string.h>

#include "detector.h"
#include "device.h"
#include "file.h"
#include "scope.h"

static enum code choose_precision(const char *name, const struct device *device, enum network_precision *precision,
                                  struct failure *why)
{
    if (strcmp(name, "f32") == 0)
        *precision = PRECISION_F32;
    else if (strcmp(name, "bf16") == 0)
        *precision = PRECISION_BF16;
    else if (strcmp(name, "auto") == 0)
        *precision = device->bf16 ? PRECISION_BF16 : PRECISION_F32;
    else
        return failure_set(why, CODE_INVALID, "precision: \"%s\" is not known (write f32, bf16 or auto)", name);
    return CODE_OK;
}

enum code detector_place_open(const char *model, const char *device, const char *precision, int threads,
                              struct detector_place *out, struct failure *why)
{
    *out = (struct detector_place){0};
    SCOPE_FREE char *path = file_is_folder(model) ? file_join(model, "model.safetensors") : strdup(model);
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    struct device_options options = {.threads = threads};
    struct detector_options detector = {0};
    enum code code = device_open(device, &options, &out->device, why);
    if (code == CODE_OK)
        code = choose_precision(precision, out->device, &detector.precision, why);
    detector.device = out->device;
    if (code == CODE_OK)
        code = detector_open(path, &detector, &out->detector, why);
    if (code != CODE_OK)
        detector_place_close(out);
    return code;
}

void detector_place_close(struct detector_place *place)
{
    detector_destroy(place->detector);
    device_close(place->device);
    *place = (struct detector_place){0};
}
