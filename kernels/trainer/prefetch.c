/* The prefetch thread: see prefetch.h.
 *
 * Two batches take turns; where steps are queued ahead, the queue's feeds do, and the caller holds two at a time.  The
 * caller gives a batch back by asking for the next, and the thread fills a slot only after it came back: so it never writes
 * into one that the caller holds.
 *
 *     thread: wait until made - returned < slots -> fill slot made % slots (unlocked) -> made++
 *     caller: returned = handed + 1 - held -> wait until made > handed or failed -> lend slot handed % slots -> handed++
 *
 * Lock: `mutex` guards made, handed, returned, stopping, code and why; none is held while a batch is filled.
 */
#include "prefetch.h"

#include <pthread.h>
#include <stdlib.h>

#include "device.h"
#include "scope.h"

#define SLOTS_ALONE 2 /* without a queue */
#define SLOTS_MAX   DEVICE_SLOTS

_Static_assert(SLOTS_ALONE <= SLOTS_MAX && DEVICE_SLOTS > 2, "two are held while others are filled");

struct prefetch {
    struct batch_source source;
    int64_t first_step, last_step;
    struct batch slots[SLOTS_MAX];
    int slot_count, held; /* held: batches that are the caller's at a time */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int64_t made, handed, returned; /* batches, guarded */
    bool stopping;                  /* guarded */
    enum code code;                 /* of the thread; guarded */
    struct failure why;
};

static bool wait_for_slot(struct prefetch *prefetch)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&prefetch->mutex);
    while (!prefetch->stopping && prefetch->made - prefetch->returned >= prefetch->slot_count)
        pthread_cond_wait(&prefetch->changed, held);
    return !prefetch->stopping;
}

static void publish(struct prefetch *prefetch, enum code code, const struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&prefetch->mutex);
    prefetch->code = code;
    if (code == CODE_OK)
        prefetch->made++;
    else
        prefetch->why = *why;
    pthread_cond_broadcast(&prefetch->changed);
}

static void *make_batches(void *argument)
{
    struct prefetch *prefetch = argument;
    struct failure why = {0};
    for (int64_t step = prefetch->first_step; step <= prefetch->last_step; step++) {
        if (!wait_for_slot(prefetch))
            return NULL;
        struct batch *slot = &prefetch->slots[prefetch_slot(prefetch, step)];
        enum code code = batch_fill(&prefetch->source, step, slot, &why);
        publish(prefetch, code, &why);
        if (code != CODE_OK)
            return NULL;
    }
    return NULL;
}

static void release(struct prefetch *prefetch)
{
    for (int i = 0; i < prefetch->slot_count; i++)
        batch_free(&prefetch->slots[i]);
    pthread_cond_destroy(&prefetch->changed);
    pthread_mutex_destroy(&prefetch->mutex);
    free(prefetch);
}

enum code prefetch_create(const struct batch_source *source, int64_t first_step, int64_t last_step, struct prefetch **out,
                          struct failure *why)
{
    struct prefetch *prefetch = calloc(1, sizeof *prefetch);
    if (!prefetch)
        return failure_set(why, CODE_NO_MEMORY, "preparing batches: out of memory");
    prefetch->source = *source;
    prefetch->first_step = first_step;
    prefetch->last_step = last_step;
    pthread_mutex_init(&prefetch->mutex, NULL);
    pthread_cond_init(&prefetch->changed, NULL);
    prefetch->slot_count = source->queue ? DEVICE_SLOTS : SLOTS_ALONE;
    prefetch->held = source->queue ? 2 : 1;
    enum code code = CODE_OK;
    for (int i = 0; i < prefetch->slot_count && code == CODE_OK; i++)
        if (source->queue)
            prefetch->slots[i] = batch_of_feed(network_queue_feed(source->queue, i));
        else
            code = batch_create(&source->shape, &prefetch->slots[i], why);
    int started = code == CODE_OK ? pthread_create(&prefetch->thread, NULL, make_batches, prefetch) : 0;
    if (started != 0)
        code = failure_set_errno(why, started, "preparing batches: no thread");
    if (code != CODE_OK) {
        release(prefetch);
        return code;
    }
    *out = prefetch;
    return CODE_OK;
}

void prefetch_destroy(struct prefetch *prefetch)
{
    if (!prefetch)
        return;
    pthread_mutex_lock(&prefetch->mutex);
    prefetch->stopping = true;
    pthread_cond_broadcast(&prefetch->changed);
    pthread_mutex_unlock(&prefetch->mutex);
    pthread_join(prefetch->thread, NULL);
    release(prefetch);
}

int prefetch_slot(const struct prefetch *prefetch, int64_t step)
{
    return (int)((step - prefetch->first_step) % prefetch->slot_count);
}

enum code prefetch_next(struct prefetch *prefetch, const struct batch **out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&prefetch->mutex);
    if (prefetch->handed >= prefetch->held - 1)
        prefetch->returned = prefetch->handed + 1 - prefetch->held;
    pthread_cond_broadcast(&prefetch->changed);
    while (prefetch->code == CODE_OK && prefetch->made == prefetch->handed)
        pthread_cond_wait(&prefetch->changed, held);
    if (prefetch->made == prefetch->handed) {
        if (why)
            *why = prefetch->why;
        return prefetch->code;
    }
    *out = &prefetch->slots[prefetch->handed % prefetch->slot_count];
    prefetch->handed++;
    return CODE_OK;
}
