/* Locks: see relay_lock.h.
 *
 * Locks are the server's business alone: they hold across machines.  What was granted is written down as it was asked for;
 * repeating the list in order gives the same locks.  An owner's records go when he unlocks everything or closes the file. */
#include "relay_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "logging.h"
#include "relay_push.h"
#include "relay_renew.h"
#include "relay_state.h"

#define RECORDS_MAX 65536

struct relay_lock_record {
    struct relay_lock_record *next;
    uint64_t node, handle;  /* handle: our key */
    struct fuse_lk_in body; /* fh is the server's, of then */
};

static void add(struct relay *relay, const struct relay_lock_record *record)
{
    struct relay_lock_record **end = &relay->locks;
    while (*end)
        end = &(*end)->next;
    struct relay_lock_record *copy = malloc(sizeof *copy);
    if (!copy)
        abort();
    *copy = *record;
    copy->next = NULL;
    *end = copy;
    relay->lock_count++;
}

/* Removes a handle's (0: any) and an owner's (all: any) records of the node. */
static void drop(struct relay *relay, uint64_t node, uint64_t handle, bool flock, const uint64_t *owner)
{
    struct relay_lock_record **link = &relay->locks;
    while (*link) {
        struct relay_lock_record *record = *link;
        bool meant = record->node == node && (!handle || record->handle == handle) &&
                     (!owner || (record->body.owner == *owner && !!(record->body.lk_flags & FUSE_LK_FLOCK) == flock));
        if (!meant) {
            link = &record->next;
            continue;
        }
        *link = record->next;
        free(record);
        relay->lock_count--;
    }
}

void relay_lock_answered(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                         struct relay_output *out)
{
    const struct fuse_in_header *header = (const struct fuse_in_header *)call->message->data;
    struct relay_lock_record record = {.node = header->nodeid, .handle = call->handle->key};
    memcpy(&record.body, header + 1, sizeof record.body);
    struct relay_node *node = relay_node_find(relay, header->nodeid);
    if (!reply->error && header->opcode != FUSE_GETLK) {
        bool flock = record.body.lk_flags & FUSE_LK_FLOCK;
        bool all = record.body.lk.start == 0 && record.body.lk.end >= INT64_MAX;
        if (all || flock) /* it replaces whatever the owner had */
            drop(relay, record.node, flock ? record.handle : 0, flock, &record.body.owner);
        if (!(record.body.lk.type == F_UNLCK && (all || flock)) && relay->lock_count < RECORDS_MAX)
            add(relay, &record);
        if (record.body.lk.type != F_UNLCK && node)
            relay_node_changed(relay, node); /* what another wrote under his lock is to be seen under ours */
    }
    if (!call->kernel_unique && !reply->error && record.body.lk.type != F_UNLCK && header->opcode != FUSE_GETLK) {
        /* Whoever wanted it has been told that he did not get it. */
        record.body.lk.type = F_UNLCK;
        relay_call_begin(
            relay, out,
            &(struct relay_call_message){
                .opcode = FUSE_SETLK, .node = record.node, .fixed = &record.body, .fixed_bytes = sizeof record.body},
            NULL, NULL);
    }
    if (!reply->error && record.body.lk.type != F_UNLCK && header->opcode != FUSE_GETLK && call->kernel_unique)
        relay_push_answer(relay, call->kernel_unique); /* what another wrote is not to be in the kernel's pages any more */
    else
        relay_call_pass(relay, call, reply, out);
}

void relay_lock_pass_changed(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                             struct relay_output *out)
{
    const struct fuse_in_header *header = (const struct fuse_in_header *)call->message->data;
    struct relay_node *node = header->opcode == FUSE_FALLOCATE ? relay_node_find(relay, header->nodeid) : NULL;
    if (node)
        relay_node_changed(relay, node);
    relay_call_pass(relay, call, reply, out);
}

bool relay_lock_is_held(const struct relay *relay, uint64_t node)
{
    for (const struct relay_lock_record *record = relay->locks; record; record = record->next)
        if (record->node == node)
            return true;
    return false;
}

void relay_lock_closed(struct relay *relay, const struct relay_handle *handle, uint64_t owner)
{
    drop(relay, handle->node->id, 0, false, &owner);
}

void relay_lock_released(struct relay *relay, const struct relay_handle *handle)
{
    drop(relay, handle->node->id, handle->key, false, NULL);
}

static void on_taken_again(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                           struct relay_output *out)
{
    struct relay_handle *handle = relay_handle_find(relay, call->number);
    if (reply->error && handle) {
        char path[256];
        relay_node_path(handle->node, path, sizeof path);
        logging_warning("%s: a lock was lost when the server was restarted; the file has to be opened again", path);
        handle->state = HANDLE_LOST;
    }
    relay_renew_step(relay, out);
}

void relay_lock_take_again(struct relay *relay, struct relay_output *out)
{
    for (struct relay_lock_record *record = relay->locks; record; record = record->next) {
        struct relay_handle *handle = relay_handle_find(relay, record->handle);
        if (!handle || handle->state != HANDLE_SERVER)
            continue;
        record->body.fh = handle->server;
        relay->renewing++;
        relay_call_begin_now(
            relay, out,
            &(struct relay_call_message){
                .opcode = FUSE_SETLK, .node = record->node, .fixed = &record->body, .fixed_bytes = sizeof record->body},
            on_taken_again, NULL)
            ->number = record->handle;
    }
}

void relay_lock_clear(struct relay *relay)
{
    while (relay->locks) {
        struct relay_lock_record *next = relay->locks->next;
        free(relay->locks);
        relay->locks = next;
    }
}
