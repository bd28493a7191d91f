/* NVML: see gpu_watch.h.  The declarations below are NVML's (nvml.h of the CUDA toolkit), which need not be installed; the
 * library keeps them stable: its functions carry versions in their names. */
#include "gpu_watch.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY_NAME "libnvidia-ml.so.1"

enum { NVML_SUCCESS = 0, NVML_DRIVER_NOT_LOADED = 9, NVML_TEMPERATURE_GPU = 0 };

typedef struct nvml_card *nvml_handle;
struct nvml_memory {
    unsigned long long total, free, used;
};
struct nvml_use {
    unsigned gpu, memory; /* % of the last period */
};

struct gpu_watch {
    void *library;
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error_text)(int);
    int (*get_count)(unsigned *);
    int (*get_handle)(unsigned, nvml_handle *);
    int (*get_name)(nvml_handle, char *, unsigned);
    int (*get_memory)(nvml_handle, struct nvml_memory *);
    int (*get_use)(nvml_handle, struct nvml_use *);
    int (*get_temperature)(nvml_handle, int, unsigned *);
    bool started;
    struct {
        unsigned number;
        nvml_handle handle;
    } cards[GPU_WATCH_MAX];
    size_t count;
};

static bool find_functions(struct gpu_watch *watch)
{
    struct {
        const char *name;
        void **place;
    } const wanted[] = {
        {"nvmlInit_v2", (void **)&watch->init},
        {"nvmlShutdown", (void **)&watch->shutdown},
        {"nvmlErrorString", (void **)&watch->error_text},
        {"nvmlDeviceGetCount_v2", (void **)&watch->get_count},
        {"nvmlDeviceGetHandleByIndex_v2", (void **)&watch->get_handle},
        {"nvmlDeviceGetName", (void **)&watch->get_name},
        {"nvmlDeviceGetMemoryInfo", (void **)&watch->get_memory},
        {"nvmlDeviceGetUtilizationRates", (void **)&watch->get_use},
        {"nvmlDeviceGetTemperature", (void **)&watch->get_temperature},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!(*wanted[i].place = dlsym(watch->library, wanted[i].name)))
            return false;
    return true;
}

static enum code start(struct gpu_watch *watch, const char *library, struct failure *why)
{
    watch->library = dlopen(library ? library : LIBRARY_NAME, RTLD_NOW | RTLD_LOCAL);
    if (!watch->library)
        return failure_set(why, CODE_UNSUPPORTED, "no GPU: no NVIDIA driver is installed (%s)", dlerror());
    if (!find_functions(watch))
        return failure_set(why, CODE_UNSUPPORTED, "no GPU: the NVIDIA driver is too old (its %s lacks functions)",
                           LIBRARY_NAME);
    int status = watch->init();
    if (status == NVML_DRIVER_NOT_LOADED)
        return failure_set(why, CODE_UNSUPPORTED, "no GPU: the NVIDIA driver is installed but not loaded");
    if (status != NVML_SUCCESS)
        return failure_set(why, CODE_UNSUPPORTED, "no GPU: the NVIDIA driver says: %s", watch->error_text(status));
    watch->started = true;
    return CODE_OK;
}

static void take_card(struct gpu_watch *watch, unsigned number)
{
    nvml_handle handle;
    if (watch->count < GPU_WATCH_MAX && watch->get_handle(number, &handle) == NVML_SUCCESS) {
        watch->cards[watch->count].number = number;
        watch->cards[watch->count++].handle = handle;
    }
}

/* A list of numbers names cards, up to the first that is none, as CUDA reads it.  Names of cards (GPU-...) are not
 * understood here: then all are shown. */
static void take_cards(struct gpu_watch *watch, unsigned count, const char *visible)
{
    if (!visible || strchr(visible, 'G') || strchr(visible, 'M')) {
        for (unsigned number = 0; number < count; number++)
            take_card(watch, number);
        return;
    }
    while (*visible) {
        char *end;
        long number = strtol(visible, &end, 10);
        if (end == visible || number < 0 || number >= (long)count)
            return;
        take_card(watch, (unsigned)number);
        visible = end + (*end == ',');
        if (visible == end)
            return;
    }
}

enum code gpu_watch_open(const char *library, const char *visible, struct gpu_watch **out, struct failure *why)
{
    struct gpu_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return failure_set(why, CODE_NO_MEMORY, "looking for GPUs: out of memory");
    enum code code = start(watch, library, why);
    unsigned count = 0;
    if (code == CODE_OK && watch->get_count(&count) == NVML_SUCCESS)
        take_cards(watch, count, visible);
    if (code == CODE_OK && watch->count == 0)
        code = failure_set(why, CODE_UNSUPPORTED, "no GPU: the NVIDIA driver sees %u, %s", count,
                           count ? "and CUDA_VISIBLE_DEVICES names none of them" : "or may not use it here");
    if (code != CODE_OK) {
        gpu_watch_close(watch);
        return code;
    }
    *out = watch;
    return CODE_OK;
}

void gpu_watch_close(struct gpu_watch *watch)
{
    if (!watch)
        return;
    if (watch->started)
        watch->shutdown();
    if (watch->library)
        dlclose(watch->library);
    free(watch);
}

size_t gpu_watch_count(const struct gpu_watch *watch)
{
    return watch->count;
}

unsigned gpu_watch_number(const struct gpu_watch *watch, size_t index)
{
    return watch->cards[index].number;
}

struct gpu_facts gpu_watch_read(const struct gpu_watch *watch, size_t index)
{
    nvml_handle handle = watch->cards[index].handle;
    struct gpu_facts facts = {.busy_percent = -1, .celsius = -1};
    struct nvml_memory memory;
    struct nvml_use use;
    unsigned celsius;
    if (watch->get_name(handle, facts.name, sizeof facts.name) != NVML_SUCCESS)
        snprintf(facts.name, sizeof facts.name, "GPU %u", watch->cards[index].number);
    facts.name[sizeof facts.name - 1] = 0;
    if (watch->get_memory(handle, &memory) == NVML_SUCCESS) {
        facts.memory_bytes = memory.total;
        facts.memory_used = memory.used;
    }
    if (watch->get_use(handle, &use) == NVML_SUCCESS && use.gpu <= 100)
        facts.busy_percent = (int)use.gpu;
    if (watch->get_temperature(handle, NVML_TEMPERATURE_GPU, &celsius) == NVML_SUCCESS && celsius < 1000)
        facts.celsius = (int)celsius;
    return facts;
}

static void describe_one(const struct gpu_facts *facts, char *text, size_t room)
{
    size_t used = (size_t)snprintf(text, room, "%s", facts->name);
    if (facts->memory_bytes > 0 && used < room)
        used += (size_t)snprintf(text + used, room - used, " %.1f of %.1f GiB", (double)facts->memory_used / 0x1p30,
                                 (double)facts->memory_bytes / 0x1p30);
    if (facts->busy_percent >= 0 && used < room)
        used += (size_t)snprintf(text + used, room - used, ", %d %%", facts->busy_percent);
    if (facts->celsius >= 0 && used < room)
        snprintf(text + used, room - used, ", %d C", facts->celsius);
}

void gpu_watch_describe(const struct gpu_watch *watch, char *text, size_t room)
{
    static const size_t kept_for_rest = sizeof "; 64 more";
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < watch->count; i++) {
        char one[192];
        struct gpu_facts facts = gpu_watch_read(watch, i);
        describe_one(&facts, one, sizeof one);
        if (used + strlen(one) + 2 + kept_for_rest > room) {
            snprintf(text + used, room - used, "%s%zu more", used ? "; " : "", watch->count - i);
            return;
        }
        used += (size_t)snprintf(text + used, room - used, "%s%s", used ? "; " : "", one);
    }
}
