/* The devices that this build has, in one table, fastest first. */
#include "device.h"

#include <stdio.h>
#include <string.h>

#include "cpu_device.h"
#include "ref_device.h"
#ifdef CYTOFS_CUDA
#include "cuda_device.h"
#endif

struct driver {
    const char *name;
    enum code (*open)(const struct device_options *options, struct device **out, struct failure *why);
};

static const struct driver drivers[] = {
#ifdef CYTOFS_CUDA
    {"cuda", cuda_device_open},
#endif
    {"cpu", cpu_device_open},
    {"ref", ref_device_open},
};

#define DRIVER_COUNT (sizeof drivers / sizeof drivers[0])

static enum code open_fastest(const struct device_options *options, struct device **out, struct failure *why)
{
    enum code code = CODE_UNSUPPORTED;
    for (size_t i = 0; code == CODE_UNSUPPORTED && i < DRIVER_COUNT; i++)
        code = drivers[i].open(options, out, why);
    return code;
}

static void list_names(char *text, size_t room)
{
    size_t used = 0;
    for (size_t i = 0; i < DRIVER_COUNT && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%s", i ? ", " : "", drivers[i].name);
}

enum code device_open(const char *name, const struct device_options *options, struct device **out, struct failure *why)
{
    static const struct device_options defaults = {0};
    if (!options)
        options = &defaults;
    if (options->threads < 0)
        return failure_set(why, CODE_INVALID, "opening device %s: %d threads (write 1 or more, or 0 for all)", name,
                           options->threads);
    if (strcmp(name, "auto") == 0)
        return open_fastest(options, out, why);
    for (size_t i = 0; i < DRIVER_COUNT; i++)
        if (strcmp(name, drivers[i].name) == 0)
            return drivers[i].open(options, out, why);
    char names[64];
    list_names(names, sizeof names);
    return failure_set(why, CODE_INVALID, "there is no device \"%s\" here (this build has %s; auto takes the fastest)", name,
                       names);
}

void device_close(struct device *device)
{
    if (device)
        device->operations->close(device);
}

size_t device_list(struct device_entry *entries, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < DRIVER_COUNT; i++) {
        struct device *device;
        if (device_open(drivers[i].name, NULL, &device, NULL) != CODE_OK)
            continue;
        if (count < max) {
            snprintf(entries[count].name, sizeof entries[count].name, "%s", device->name);
            snprintf(entries[count].description, sizeof entries[count].description, "%s", device->description);
            entries[count].bf16 = device->bf16;
        }
        count++;
        device_close(device);
    }
    return count;
}
