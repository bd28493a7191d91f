/* Pushed changes: see relay_push.h.
 *
 * A notice to the kernel may wait for locks of pages and folders that are only given back when we answer something else; so
 * notices are written by a thread of their own, except those about attributes alone, which wait for nothing: they overtake
 * no answer that came after them.  Answers for which the kernel must have dropped its pages are written by that thread, too.
 * The relay's own knowledge is gone before the kernel is told, so that whoever asks then is not given it again. */
#include "relay_push.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "extra.h"
#include "logging.h"
#include "relay_state.h"

struct relay_notice {
    struct relay_notice *next;
    size_t length;
    uint8_t bytes[];
};

static void enqueue(struct relay *relay, const struct iovec *parts, int count)
{
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    struct relay_notice *notice = malloc(sizeof *notice + length);
    if (!notice)
        abort();
    notice->next = NULL;
    notice->length = 0;
    for (int i = 0; i < count; i++) {
        memcpy(notice->bytes + notice->length, parts[i].iov_base, parts[i].iov_len);
        notice->length += parts[i].iov_len;
    }
    pthread_mutex_lock(&relay->notice_lock);
    *(relay->notice_last ? &relay->notice_last->next : &relay->notice_first) = notice;
    relay->notice_last = notice;
    pthread_cond_signal(&relay->notice_changed);
    pthread_mutex_unlock(&relay->notice_lock);
}

void relay_push_name(struct relay *relay, uint64_t folder, const char *name)
{
    size_t length = strlen(name);
    struct fuse_notify_inval_entry_out body = {.parent = folder, .namelen = (uint32_t)length};
    struct fuse_out_header header = {.error = FUSE_NOTIFY_INVAL_ENTRY,
                                     .len = (uint32_t)(sizeof header + sizeof body + length + 1)};
    const struct iovec parts[] = {{&header, sizeof header}, {&body, sizeof body}, {(void *)name, length + 1}};
    enqueue(relay, parts, 3);
}

void relay_push_answer(struct relay *relay, uint64_t kernel_unique)
{
    struct fuse_out_header header = {.unique = kernel_unique, .len = sizeof header};
    enqueue(relay, &(struct iovec){&header, sizeof header}, 1);
}

static void write_notice(struct relay *relay, const void *bytes, size_t length)
{
    if (write(relay->device, bytes, length) < 0 && errno != ENOENT && errno != ENOTDIR && errno != ENOTEMPTY)
        logging_trace(TRACE_SESSION, "a notice was not taken: %s", strerror(errno));
}

static void take_name(struct relay *relay, uint64_t parent, const uint8_t *name, size_t length, size_t room, bool removed)
{
    if (length >= room)
        return;
    struct relay_node *folder = relay_node_find(relay, parent);
    relay_node_changed_by_others(relay, parent);
    if (!folder)
        return;
    char text[1024];
    size_t kept = length < sizeof text - 1 ? length : sizeof text - 1;
    memcpy(text, name, kept);
    text[kept] = 0;
    folder->known = false;
    struct relay_entry *entry = relay_entry_find(relay, folder, text);
    if (entry && entry->child->fresh)
        return; /* ours is on its way, and will find out */
    if (entry) {
        relay_node_changed(relay, entry->child);
        relay_entry_remove(relay, entry);
    }
    folder->complete = folder->complete && removed;
    folder->unlistable_ms = 0;
}

/* The kernel asks again before it believes the name; who is in that folder stays there. */
static void expire_name(struct relay *relay, const struct relay_entry *entry)
{
    struct fuse_notify_inval_entry_out body = {
        .parent = entry->folder->id, .namelen = entry->length, .flags = FUSE_EXPIRE_ONLY};
    struct fuse_out_header header = {.error = FUSE_NOTIFY_INVAL_ENTRY,
                                     .len = (uint32_t)(sizeof header + sizeof body + entry->length + 1)};
    const struct iovec parts[] = {{&header, sizeof header}, {&body, sizeof body}, {(void *)entry->name, entry->length + 1}};
    enqueue(relay, parts, 3);
}

/* Attributes, and the contents where a program may be reading them; when it is opened again its contents are compared
 * anyway. */
static void expire_node(struct relay *relay, const struct relay_node *node)
{
    struct fuse_notify_inval_inode_out body = {.ino = node->id,
                                               .off = node->opens && !node->fresh && !node->writing ? 0 : -1};
    struct fuse_out_header header = {.error = FUSE_NOTIFY_INVAL_INODE, .len = sizeof header + sizeof body};
    const struct iovec parts[] = {{&header, sizeof header}, {&body, sizeof body}};
    enqueue(relay, parts, 2);
}

void relay_push_everything(struct relay *relay)
{
    for (size_t i = 0; i < RELAY_NODE_BUCKETS; i++)
        for (struct relay_node *node = relay->nodes.buckets[i]; node; node = node->next) {
            relay_node_changed_by_others(relay, node->id);
            relay_node_changed(relay, node);
            node->complete = false;
            node->unlistable_ms = 0;
            if (node->kernel_lookups)
                expire_node(relay, node);
            for (const struct relay_entry *name = node->names; name && node->kernel_lookups; name = name->other)
                expire_name(relay, name);
        }
}

void relay_push_take(struct relay *relay, const void *message, size_t length, struct relay_output *out)
{
    const struct fuse_out_header *header = message;
    const uint8_t *body = (const uint8_t *)message + sizeof *header;
    size_t bytes = length - sizeof *header;
    bool inline_now = false;
    relay->counters.invalidations++;
    if (header->error == FUSE_NOTIFY_INVAL_INODE && bytes >= sizeof(struct fuse_notify_inval_inode_out)) {
        struct fuse_notify_inval_inode_out what;
        memcpy(&what, body, sizeof what);
        struct relay_node *node = relay_node_find(relay, what.ino);
        relay_node_changed_by_others(relay, what.ino);
        if (node)
            relay_node_changed(relay, node);
        inline_now = what.off < 0;
    } else if (header->error == FUSE_NOTIFY_INVAL_ENTRY && bytes >= sizeof(struct fuse_notify_inval_entry_out)) {
        struct fuse_notify_inval_entry_out what;
        memcpy(&what, body, sizeof what);
        take_name(relay, what.parent, body + sizeof what, what.namelen, bytes - sizeof what, false);
    } else if (header->error == FUSE_NOTIFY_DELETE && bytes >= sizeof(struct fuse_notify_delete_out)) {
        struct fuse_notify_delete_out what;
        memcpy(&what, body, sizeof what);
        take_name(relay, what.parent, body + sizeof what, what.namelen, bytes - sizeof what, true);
    } else if (header->error == EXTRA_NOTIFY_EVERYTHING) {
        relay_push_everything(relay);
        return;
    } else if (header->error != FUSE_NOTIFY_POLL) {
        return;
    }
    const struct iovec whole = {(void *)message, length};
    if (inline_now)
        relay_output_notice(out, message, length);
    else
        enqueue(relay, &whole, 1);
}

void *relay_push_run(void *argument)
{
    struct relay *relay = argument;
    pthread_mutex_lock(&relay->notice_lock);
    for (;;) {
        while (!relay->notice_first && !relay->notices_end)
            pthread_cond_wait(&relay->notice_changed, &relay->notice_lock);
        struct relay_notice *notice = relay->notice_first;
        if (relay->notices_end)
            break;
        relay->notice_first = notice->next;
        if (!notice->next)
            relay->notice_last = NULL;
        pthread_mutex_unlock(&relay->notice_lock);
        write_notice(relay, notice->bytes, notice->length);
        free(notice);
        pthread_mutex_lock(&relay->notice_lock);
    }
    pthread_mutex_unlock(&relay->notice_lock);
    return NULL;
}

void relay_push_clear(struct relay *relay)
{
    while (relay->notice_first) {
        struct relay_notice *next = relay->notice_first->next;
        free(relay->notice_first);
        relay->notice_first = next;
    }
}
