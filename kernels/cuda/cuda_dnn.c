/* Loading cuDNN: see cuda_dnn.h.  libcudnn_graph is the part that has the backend API; it finds its engines by itself. */
#include "cuda_dnn.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>

#define LIBRARY_NAME "libcudnn_graph.so.9"

static struct {
    pthread_once_t once;
    struct cuda_dnn functions;
    enum code code;
    struct failure why;
} loaded = {.once = PTHREAD_ONCE_INIT};

static bool find_functions(void *library, const char **missing)
{
    struct {
        const char *name;
        void **place;
    } const wanted[] = {
        {"cudnnGetVersion", (void **)&loaded.functions.GetVersion},
        {"cudnnGetErrorString", (void **)&loaded.functions.GetErrorString},
        {"cudnnGetLastErrorString", (void **)&loaded.functions.GetLastErrorString},
        {"cudnnCreate", (void **)&loaded.functions.Create},
        {"cudnnDestroy", (void **)&loaded.functions.Destroy},
        {"cudnnSetStream", (void **)&loaded.functions.SetStream},
        {"cudnnBackendCreateDescriptor", (void **)&loaded.functions.BackendCreateDescriptor},
        {"cudnnBackendDestroyDescriptor", (void **)&loaded.functions.BackendDestroyDescriptor},
        {"cudnnBackendFinalize", (void **)&loaded.functions.BackendFinalize},
        {"cudnnBackendSetAttribute", (void **)&loaded.functions.BackendSetAttribute},
        {"cudnnBackendGetAttribute", (void **)&loaded.functions.BackendGetAttribute},
        {"cudnnBackendExecute", (void **)&loaded.functions.BackendExecute},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        *wanted[i].place = dlsym(library, wanted[i].name);
        *missing = wanted[i].name;
        if (!*wanted[i].place)
            return false;
    }
    return true;
}

static enum code load(struct failure *why)
{
    void *library = dlopen(LIBRARY_NAME, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        library = dlopen(CUDA_DNN_FOLDER "/" LIBRARY_NAME, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return failure_set(
            why, CODE_UNSUPPORTED,
            "cuDNN: %s: install cuDNN 9, or name its folder in LD_LIBRARY_PATH; without it the processor computes",
            dlerror());
    const char *missing;
    if (!find_functions(library, &missing))
        return failure_set(why, CODE_UNSUPPORTED, "cuDNN: this machine's %s lacks %s: install cuDNN 9", LIBRARY_NAME,
                           missing);
    if (loaded.functions.GetVersion() < CUDNN_VERSION)
        return failure_set(why, CODE_UNSUPPORTED,
                           "cuDNN: this machine's is version %zu, the program was built with %d: update it",
                           loaded.functions.GetVersion(), CUDNN_VERSION);
    return CODE_OK;
}

static void load_once(void)
{
    loaded.code = load(&loaded.why);
}

enum code cuda_dnn_load(const struct cuda_dnn **out, struct failure *why)
{
    pthread_once(&loaded.once, load_once);
    *out = &loaded.functions;
    if (loaded.code != CODE_OK && why)
        *why = loaded.why;
    return loaded.code;
}
