/* Faults on purpose: see chunk_store_fault.h.
 *
 * Every call first asks `decide` what shall happen to it, under one lock, and then either answers itself or
 * goes to the store below without the lock.
 */
#include "chunk_store_fault.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scope.h"

struct call_state {
    struct chunk_store_fault fault;
    uint64_t calls; /* since the fault was set */
};

struct fault_store {
    struct chunk_store store;
    struct chunk_store *below;
    pthread_mutex_t lock;
    struct call_state states[CHUNK_STORE_CALL_COUNT]; /* under lock */
};

enum verdict { PASS, TEAR, FAIL };

static const char *const call_names[CHUNK_STORE_CALL_COUNT] = {
    [CHUNK_STORE_PUT] = "storing a chunk",       [CHUNK_STORE_GET] = "reading a chunk",
    [CHUNK_STORE_SYNC] = "syncing the chunks",   [CHUNK_STORE_SEAL] = "sealing a pack",
    [CHUNK_STORE_DROP_PACK] = "dropping a pack",
};

static struct fault_store *self_of(struct chunk_store *store)
{
    return (struct fault_store *)store;
}

/* Counts the call, waits its latency, and says what becomes of it; *why is set for FAIL. */
static enum verdict decide(struct fault_store *self, enum chunk_store_call call, enum code *code, struct failure *why)
{
    struct call_state state;
    {
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->lock);
        self->states[call].calls++;
        state = self->states[call];
    }
    const struct chunk_store_fault *fault = &state.fault;
    if (fault->latency_us) {
        struct timespec wait = {fault->latency_us / 1000000, (long)(fault->latency_us % 1000000) * 1000};
        nanosleep(&wait, NULL);
    }
    if (fault->first == 0 || state.calls < fault->first ||
        (fault->repeat != 0 && state.calls - fault->first >= fault->repeat))
        return PASS;
    if (fault->tear && (call == CHUNK_STORE_PUT || call == CHUNK_STORE_GET))
        return TEAR;
    *code = failure_set(why, fault->code, "%s: call %llu was made to fail on purpose", call_names[call],
                        (unsigned long long)state.calls);
    return FAIL;
}

static enum code put_torn(struct fault_store *self, const void *bytes, size_t count, struct chunk_address *address,
                          struct failure *why)
{
    SCOPE_FREE uint8_t *torn = calloc(1, count ? count : 1);
    if (!torn)
        return failure_set(why, CODE_NO_MEMORY, "storing a chunk: out of memory");
    memcpy(torn, bytes, count / 2);
    return self->below->put(self->below, torn, count, address, why);
}

static enum code fault_put(struct chunk_store *store, const void *bytes, size_t count, struct chunk_address *address,
                           struct failure *why)
{
    struct fault_store *self = self_of(store);
    enum code code;
    switch (decide(self, CHUNK_STORE_PUT, &code, why)) {
    case FAIL:
        return code;
    case TEAR:
        return put_torn(self, bytes, count, address, why);
    case PASS:
        break;
    }
    return self->below->put(self->below, bytes, count, address, why);
}

static enum code fault_get(struct chunk_store *store, const struct chunk_address *address, void *out, struct failure *why)
{
    struct fault_store *self = self_of(store);
    enum code code;
    enum verdict verdict = decide(self, CHUNK_STORE_GET, &code, why);
    if (verdict == FAIL)
        return code;
    code = self->below->get(self->below, address, out, why);
    if (code == CODE_OK && verdict == TEAR)
        memset((uint8_t *)out + address->bytes / 2, 0, address->bytes - address->bytes / 2);
    return code;
}

/* Counts as a put. */
static enum code fault_place(struct chunk_store *store, const struct chunk_address *address, const void *bytes,
                             struct failure *why)
{
    struct fault_store *self = self_of(store);
    enum code code;
    return decide(self, CHUNK_STORE_PUT, &code, why) == FAIL ? code : self->below->place(self->below, address, bytes, why);
}

static enum code fault_sync(struct chunk_store *store, struct failure *why)
{
    struct fault_store *self = self_of(store);
    enum code code;
    return decide(self, CHUNK_STORE_SYNC, &code, why) == FAIL ? code : self->below->sync(self->below, why);
}

static enum code fault_seal(struct chunk_store *store, struct failure *why)
{
    struct fault_store *self = self_of(store);
    enum code code;
    return decide(self, CHUNK_STORE_SEAL, &code, why) == FAIL ? code : self->below->seal(self->below, why);
}

static enum code fault_drop_pack(struct chunk_store *store, uint32_t pack, struct failure *why)
{
    struct fault_store *self = self_of(store);
    enum code code;
    if (decide(self, CHUNK_STORE_DROP_PACK, &code, why) == FAIL)
        return code;
    return self->below->drop_pack(self->below, pack, why);
}

static enum code fault_list_packs(struct chunk_store *store, struct chunk_pack_list *out, struct failure *why)
{
    struct fault_store *self = self_of(store);
    return self->below->list_packs(self->below, out, why);
}

static enum code fault_verify(struct chunk_store *store, uint32_t pack, chunk_store_visit *visit, void *context,
                              struct failure *why)
{
    struct fault_store *self = self_of(store);
    return self->below->verify(self->below, pack, visit, context, why);
}

static void fault_statistics(struct chunk_store *store, struct chunk_store_statistics *out)
{
    struct fault_store *self = self_of(store);
    self->below->statistics(self->below, out);
}

static void fault_destroy(struct chunk_store *store)
{
    struct fault_store *self = self_of(store);
    chunk_store_destroy(self->below);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

enum code chunk_store_fault_create(struct chunk_store *below, struct chunk_store **out, struct failure *why)
{
    struct fault_store *self = calloc(1, sizeof *self);
    if (!self)
        return failure_set(why, CODE_NO_MEMORY, "making a store with faults: out of memory");
    self->store = (struct chunk_store){
        .put = fault_put,
        .get = fault_get,
        .place = fault_place,
        .sync = fault_sync,
        .seal = fault_seal,
        .drop_pack = fault_drop_pack,
        .list_packs = fault_list_packs,
        .verify = fault_verify,
        .statistics = fault_statistics,
        .destroy = fault_destroy,
    };
    self->below = below;
    pthread_mutex_init(&self->lock, NULL);
    *out = &self->store;
    return CODE_OK;
}

void chunk_store_fault_set(struct chunk_store *store, enum chunk_store_call call, const struct chunk_store_fault *fault)
{
    struct fault_store *self = self_of(store);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->lock);
    self->states[call] = (struct call_state){.fault = *fault};
}

uint64_t chunk_store_fault_calls(struct chunk_store *store, enum chunk_store_call call)
{
    struct fault_store *self = self_of(store);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&self->lock);
    return self->states[call].calls;
}
