/* Handles: see relay_handle.h.
 *
 *   LOCAL --something needs the server's--> OPENING --answered--> SERVER
 *                                                   --refused---> LOST
 *   SERVER --the server forgot us (relay_renew.c)--> OPENING
 *
 * A handle that the kernel released is freed when no call is about it any more; what the server has open is released then.
 */
#include "relay_handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "extra.h"
#include "relay_folder.h"
#include "relay_state.h"

#define NO_FLAGS ((uint32_t)(O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY))

static uint64_t key_of(uint32_t index, uint32_t generation)
{
    return (uint64_t)generation << 32 | index;
}

static uint32_t take_slot(struct relay_handles *handles)
{
    if (!handles->first_free) {
        uint32_t count = handles->count ? handles->count * 2 : 64;
        struct relay_handle_slot *slots = realloc(handles->slots, count * sizeof *slots);
        if (!slots)
            abort();
        for (uint32_t i = handles->count; i < count; i++) {
            slots[i] = (struct relay_handle_slot){.generation = 1, .next_free = handles->first_free};
            handles->first_free = i + 1;
        }
        handles->slots = slots;
        handles->count = count;
    }
    uint32_t index = handles->first_free - 1;
    handles->first_free = handles->slots[index].next_free;
    return index;
}

struct relay_handle *relay_handle_make(struct relay *relay, struct relay_node *node, uint32_t flags, bool folder)
{
    struct relay_handle *handle = calloc(1, sizeof *handle);
    if (!handle)
        abort();
    uint32_t index = take_slot(&relay->handles);
    struct relay_handle_slot *slot = &relay->handles.slots[index];
    slot->handle = handle;
    handle->key = key_of(index, slot->generation);
    handle->node = node;
    handle->flags = flags;
    handle->folder = folder;
    node->opens++;
    return handle;
}

struct relay_handle *relay_handle_find(struct relay *relay, uint64_t key)
{
    uint32_t index = (uint32_t)key;
    if (index >= relay->handles.count || relay->handles.slots[index].generation != key >> 32)
        return NULL;
    return relay->handles.slots[index].handle;
}

static void give_slot(struct relay *relay, struct relay_handle *handle)
{
    uint32_t index = (uint32_t)handle->key;
    struct relay_handle_slot *slot = &relay->handles.slots[index];
    slot->handle = NULL;
    slot->generation++;
    slot->next_free = relay->handles.first_free;
    relay->handles.first_free = index + 1;
}

static void tell_release(struct relay *relay, struct relay_output *out, struct relay_handle *handle)
{
    const struct fuse_release_in body = {.fh = handle->server, .flags = handle->flags};
    relay_call_begin(relay, out,
                     &(struct relay_call_message){.opcode = handle->folder ? FUSE_RELEASEDIR : FUSE_RELEASE,
                                                  .node = handle->node->id,
                                                  .fixed = &body,
                                                  .fixed_bytes = sizeof body},
                     NULL, NULL);
}

void relay_handle_settle(struct relay *relay, struct relay_output *out, struct relay_handle *handle)
{
    if (!handle->released || handle->busy)
        return;
    if (handle->state == HANDLE_SERVER)
        tell_release(relay, out, handle);
    relay_folder_drop_view(handle->view);
    handle->node->opens--;
    give_slot(relay, handle);
    free(handle);
}

void relay_handle_release(struct relay *relay, struct relay_output *out, struct relay_handle *handle)
{
    handle->released = true;
    relay_handle_settle(relay, out, handle);
}

static void on_opened(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                      struct relay_output *out)
{
    struct relay_handle *handle = call->handle;
    struct fuse_open_out answer;
    if (reply->error || reply->bytes < sizeof answer) {
        handle->state = handle->flags & O_ACCMODE || handle->folder ? HANDLE_LOST : HANDLE_LOCAL;
        relay_wake_with_error(relay, &handle->waiting, out, reply->error ? reply->error : EIO);
        return;
    }
    memcpy(&answer, reply->body, sizeof answer);
    handle->server = answer.fh;
    handle->state = HANDLE_SERVER;
    relay_wake(relay, &handle->waiting, out);
}

bool relay_handle_ensure(struct relay *relay, struct relay_output *out, struct relay_handle *handle,
                         struct relay_request *request)
{
    if (handle->state == HANDLE_SERVER)
        return true;
    if (handle->state == HANDLE_LOST) {
        relay_finish(relay, out, request, EIO, NULL, 0);
        return false;
    }
    if (handle->state == HANDLE_LOCAL) {
        handle->state = HANDLE_OPENING;
        /* Its name may be gone by now. */
        const struct extra_reopen_in body = {.flags = handle->flags & ~NO_FLAGS, .folder = handle->folder};
        struct relay_call *call = relay_call_begin(
            relay, out,
            &(struct relay_call_message){
                .opcode = EXTRA_REOPEN, .node = handle->node->id, .fixed = &body, .fixed_bytes = sizeof body},
            on_opened, NULL);
        call->handle = handle;
        handle->busy++;
    }
    relay_park(relay, &handle->waiting, request);
    return false;
}

void relay_handle_clear(struct relay *relay)
{
    for (uint32_t i = 0; i < relay->handles.count; i++)
        if (relay->handles.slots[i].handle) {
            relay_folder_drop_view(relay->handles.slots[i].handle->view);
            free(relay->handles.slots[i].handle);
        }
    free(relay->handles.slots);
}
