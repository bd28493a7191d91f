/* Memory of the host: see host_memory.h.  64 bytes are a cache line and the widest vector.
 *
 * Large blocks ask for large pages, which the kernel of most distributions gives to who asks: passes over a network's values
 * then miss the processor's table of pages less. */
#include "host_memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT  ((size_t)64)
#define LARGE_PAGE ((size_t)2 << 20)

void *host_memory_allocate(const struct device *device, size_t bytes)
{
    (void)device;
    size_t alignment = bytes < 2 * LARGE_PAGE ? ALIGNMENT : LARGE_PAGE;
    if (bytes > SIZE_MAX - alignment)
        return NULL;
    size_t padded = (bytes + alignment - 1) / alignment * alignment;
    void *memory = aligned_alloc(alignment, padded ? padded : alignment);
    if (memory && alignment == LARGE_PAGE)
        (void)!madvise(memory, padded, MADV_HUGEPAGE); /* small ones do as well */
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
