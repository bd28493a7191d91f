/* The devices that this build has, in one table, fastest first. */
#include "device.h"

#include <stdio.h>
#include <string.h>

#include "cpu_device.h"
#include "ref_device.h"

struct driver {
    const char *name;
    enum code (*open)(const struct device_options *options, struct device **out, struct failure *why);
};

static const struct driver drivers[] = {
    {"cpu", cpu_device_open},
    {"ref", ref_device_open},
};

#define DRIVER_COUNT (sizeof drivers / sizeof drivers[0])

enum code device_open(const char *name, const struct device_options *options, struct device **out,
                      struct failure *why)
{
    static const struct device_options defaults = {0};
    if (!options)
        options = &defaults;
    if (options->threads < 0)
        return failure_set(why, CODE_INVALID, "opening device %s: %d threads (write 1 or more, or 0 for all)",
                           name, options->threads);
    if (strcmp(name, "auto") == 0)
        return drivers[0].open(options, out, why);
    for (size_t i = 0; i < DRIVER_COUNT; i++)
        if (strcmp(name, drivers[i].name) == 0)
            return drivers[i].open(options, out, why);
    return failure_set(why, CODE_INVALID,
                       "there is no device \"%s\" here (this build has cpu and ref; auto takes the fastest)",
                       name);
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
            snprintf(entries[count].description, sizeof entries[count].description, "%s",
                     device->description);
            entries[count].bf16 = device->bf16;
        }
        count++;
        device_close(device);
    }
    return count;
}
