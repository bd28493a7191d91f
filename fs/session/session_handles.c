/* The table of open files and folders: see session_handles.h.
 *
 * A key is generation << 32 | index.  A slot's generation counts up each time it is freed, and starts at 1 (in a session
 * that goes on, behind all of before), so that no key is 0.  Free slots form a list, last freed first.
 *
 * Invariants: 1. slots[i].handle is NULL exactly while i is in the free list; 2. a handle in the table has at least one
 * borrower, the table.  Closing happens outside the lock, since rules act in it. */
#include "session_handles.h"

#include <stdlib.h>

#include "scope.h"
#include "session_state.h"

#define SLOTS_FIRST 64

static void close_handle(struct session_handle *handle)
{
    if (handle->kind == HANDLE_STREAM)
        session_streams_detach(handle);
    if (handle->file) {
        session_locks_leave(handle);
        session_nodes_count_close(&handle->session->nodes, handle->node);
        tree_release(handle->file);
    }
    if (handle->folder)
        tree_close_folder(handle->folder);
    pthread_mutex_destroy(&handle->listing_lock);
    free(handle);
}

/* The table gives up its own borrowing. */
static void give_up(struct session_handle *handle)
{
    if (handle->kind == HANDLE_STREAM)
        session_streams_abandon(handle);
    session_handles_put(handle);
}

void session_handles_init(struct session_handles *handles, uint32_t max)
{
    *handles = (struct session_handles){.first_generation = 1, .max = max};
    pthread_mutex_init(&handles->lock, NULL);
}

void session_handles_destroy(struct session_handles *handles)
{
    for (uint32_t i = 0; i < handles->slot_count; i++)
        if (handles->slots[i].handle)
            give_up(handles->slots[i].handle);
    free(handles->slots);
    pthread_mutex_destroy(&handles->lock);
}

static enum code grow(struct session_handles *handles, struct failure *why)
{
    uint32_t count = handles->slot_count > 0 ? handles->slot_count * 2 : SLOTS_FIRST;
    if (count > handles->max)
        return failure_set(why, CODE_AGAIN, "%u files are open in this mount, which is the limit (close some)",
                           handles->max);
    struct session_handle_slot *slots = realloc(handles->slots, count * sizeof *slots);
    if (!slots)
        return failure_set(why, CODE_NO_MEMORY, "opening one more file: no memory");
    for (uint32_t i = handles->slot_count; i < count; i++)
        slots[i] =
            (struct session_handle_slot){.generation = handles->first_generation, .next_free = i + 1 < count ? i + 2 : 0};
    handles->first_free = handles->slot_count + 1;
    handles->slots = slots;
    handles->slot_count = count;
    return CODE_OK;
}

static struct session_handle *copy_handle(const struct session_handle *handle, struct failure *why)
{
    struct session_handle *copy = malloc(sizeof *copy);
    if (!copy) {
        failure_set(why, CODE_NO_MEMORY, "opening one more file: no memory");
        return NULL;
    }
    *copy = *handle;
    atomic_init(&copy->borrowers, 1);
    pthread_mutex_init(&copy->listing_lock, NULL);
    return copy;
}

static void free_copy(struct session_handle *copy)
{
    pthread_mutex_destroy(&copy->listing_lock);
    free(copy);
}

enum code session_handles_add(struct session_handles *handles, const struct session_handle *handle, uint64_t *key,
                              struct failure *why)
{
    struct session_handle *copy = copy_handle(handle, why);
    if (!copy)
        return CODE_NO_MEMORY;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&handles->lock);
    enum code code = handles->first_free ? CODE_OK : grow(handles, why);
    if (code != CODE_OK) {
        free_copy(copy);
        return code;
    }
    uint32_t index = handles->first_free - 1;
    struct session_handle_slot *slot = &handles->slots[index];
    handles->first_free = slot->next_free;
    slot->handle = copy;
    *key = copy->key = (uint64_t)slot->generation << 32 | index;
    return CODE_OK;
}

void session_handles_begin_at(struct session_handles *handles, uint32_t generation)
{
    handles->first_generation = generation ? generation : 1;
}

/* Puts the slots in order up to the index; all new ones are free. */
static enum code grow_to(struct session_handles *handles, uint32_t index, struct failure *why)
{
    while (handles->slot_count <= index) {
        uint32_t former = handles->first_free, count = handles->slot_count;
        enum code code = grow(handles, why);
        if (code != CODE_OK)
            return code;
        if (count)
            handles->slots[handles->slot_count - 1].next_free = former;
    }
    return CODE_OK;
}

static void take_from_free(struct session_handles *handles, uint32_t index)
{
    uint32_t *link = &handles->first_free;
    while (*link && *link != index + 1)
        link = &handles->slots[*link - 1].next_free;
    if (*link)
        *link = handles->slots[index].next_free;
}

enum code session_handles_add_at(struct session_handles *handles, const struct session_handle *handle, uint64_t key,
                                 struct failure *why)
{
    uint32_t index = (uint32_t)key, generation = (uint32_t)(key >> 32);
    if (index >= handles->max || generation == 0)
        return failure_set(why, CODE_INVALID, "an open file of before has the key %llx, which is none",
                           (unsigned long long)key);
    struct session_handle *copy = copy_handle(handle, why);
    if (!copy)
        return CODE_NO_MEMORY;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&handles->lock);
    enum code code = grow_to(handles, index, why);
    struct session_handle_slot *slot = code == CODE_OK ? &handles->slots[index] : NULL;
    if (code == CODE_OK && slot->handle)
        code = failure_set(why, CODE_INVALID, "two open files of before have the key %llx", (unsigned long long)key);
    if (code != CODE_OK) {
        free_copy(copy);
        return code;
    }
    take_from_free(handles, index);
    slot->handle = copy;
    slot->generation = generation;
    copy->key = key;
    return CODE_OK;
}

static struct session_handle_slot *slot_of_key(struct session_handles *handles, uint64_t key)
{
    uint32_t index = (uint32_t)key;
    if (index >= handles->slot_count)
        return NULL;
    struct session_handle_slot *slot = &handles->slots[index];
    return slot->handle && slot->generation == key >> 32 ? slot : NULL;
}

struct session_handle *session_handles_get(struct session_handles *handles, uint64_t key, bool folder)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&handles->lock);
    struct session_handle_slot *slot = slot_of_key(handles, key);
    if (!slot || (slot->handle->kind == HANDLE_FOLDER) != folder)
        return NULL;
    atomic_fetch_add(&slot->handle->borrowers, 1);
    return slot->handle;
}

void session_handles_put(struct session_handle *handle)
{
    if (atomic_fetch_sub(&handle->borrowers, 1) == 1)
        close_handle(handle);
}

bool session_handles_borrow(struct session_handle *handle)
{
    int borrowers = atomic_load(&handle->borrowers);
    while (borrowers > 0)
        if (atomic_compare_exchange_weak(&handle->borrowers, &borrowers, borrowers + 1))
            return true;
    return false;
}

void session_handles_remove(struct session_handles *handles, uint64_t key)
{
    struct session_handle *handle = NULL;
    pthread_mutex_lock(&handles->lock);
    struct session_handle_slot *slot = slot_of_key(handles, key);
    if (slot) {
        handle = slot->handle;
        slot->handle = NULL;
        slot->generation++;
        slot->next_free = handles->first_free;
        handles->first_free = (uint32_t)key + 1;
    }
    pthread_mutex_unlock(&handles->lock);
    if (handle)
        give_up(handle);
}
