/* Memory of the host: see host_memory.h.  64 bytes are a cache line and the widest vector. */
#include "host_memory.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

void *host_memory_allocate(const struct device *device, size_t bytes)
{
    (void)device;
    if (bytes > SIZE_MAX - ALIGNMENT)
        return NULL;
    size_t padded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, padded ? padded : ALIGNMENT);
    if (memory)
        memset(memory, 0, padded);
    return memory;
}

void host_memory_release(const struct device *device, void *memory)
{
    (void)device;
    free(memory);
}

void host_memory_copy(const struct device *device, void *to, const void *from, size_t bytes)
{
    (void)device;
    memcpy(to, from, bytes);
}
