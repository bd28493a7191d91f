/* See disk_fault.h. */
#include "disk_fault.h"

#include <stdatomic.h>
#include <stdint.h>

static struct {
    struct disk_fault_kind kind;
    bool is_on, on, paused;
    uint64_t n;
    atomic_ullong calls;
} fault;

static int refuse(void *context, enum disk_call call, size_t *count)
{
    (void)context;
    if (!fault.is_on || fault.paused || (fault.kind.call != DISK_FAULT_ANY && (int)call != fault.kind.call))
        return 0;
    uint64_t number = atomic_fetch_add(&fault.calls, 1) + 1;
    if (number != fault.n && !(fault.on && number > fault.n))
        return 0;
    if (fault.kind.error == 0 && count && *count > 1)
        *count /= 2;
    return fault.kind.error;
}

static void arm(void *context, uint64_t n, bool on)
{
    (void)context;
    fault.n = n;
    fault.on = on;
    fault.is_on = true;
    atomic_store(&fault.calls, 0);
}

static void pause_it(void *context, bool paused)
{
    (void)context;
    fault.paused = paused;
}

static void disarm(void *context)
{
    (void)context;
    fault.is_on = false;
}

static uint64_t count_calls(void *context)
{
    (void)context;
    return atomic_load(&fault.calls);
}

void disk_fault_watch(const char *root)
{
    disk_calls_watch(root ? &(struct disk_watch){.root = root, .refuse = refuse} : NULL);
}

struct fault_switch disk_fault_switch(const struct disk_fault_kind *kind)
{
    fault.kind = *kind;
    return (struct fault_switch){.arm = arm, .pause = pause_it, .disarm = disarm, .count = count_calls};
}
