/* What may be lost with a server: see relay_durable.h.
 *
 *   clean --a change was answered--> changed --fsync was answered, or DURABLE_AFTER_MS have passed--> clean
 *                                            --the server was restarted hard--> doubtful --told by fsync: EIO; or
 * truncated--> clean
 *
 * The server commits each second; DURABLE_AFTER_MS is far more, for one whose disk is slow.  So an error may be told about
 * something that was not lost, but nothing that was lost is called durable.
 *
 * relay->changes numbers the changes; a sync covers those that had been answered when it was sent. */
#include "relay_durable.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "extra.h"
#include "relay_state.h"
#include "timing.h"

#define DURABLE_AFTER_MS 30000

static void mark(struct relay *relay, uint64_t id)
{
    struct relay_node *node = relay_node_find(relay, id);
    if (!node)
        return;
    node->change = ++relay->changes;
    node->change_ms = timing_monotonic_ms();
}

/* It begins anew: what may be lost of it was thrown away. */
static void trust_anew(struct relay *relay, uint64_t id)
{
    struct relay_node *node = relay_node_find(relay, id);
    if (node)
        node->doubtful = false;
}

static void mark_changed(struct relay *relay, const struct fuse_in_header *header)
{
    const void *body = header + 1;
    switch (header->opcode) {
    case FUSE_OPEN:
        if (!(((const struct fuse_open_in *)body)->flags & O_TRUNC))
            return;
        trust_anew(relay, header->nodeid);
        break;
    case FUSE_SETATTR:
        if (((const struct fuse_setattr_in *)body)->valid & FATTR_SIZE && ((const struct fuse_setattr_in *)body)->size == 0)
            trust_anew(relay, header->nodeid);
        break;
    case FUSE_RENAME:
        mark(relay, ((const struct fuse_rename_in *)body)->newdir);
        break;
    case FUSE_RENAME2:
        mark(relay, ((const struct fuse_rename2_in *)body)->newdir);
        break;
    case FUSE_LINK:
        mark(relay, ((const struct fuse_link_in *)body)->oldnodeid);
        break;
    case FUSE_COPY_FILE_RANGE:
        mark(relay, ((const struct fuse_copy_file_range_in *)body)->nodeid_out);
        return;
    case EXTRA_PUT:
        mark(relay, ((const struct extra_put_in *)body)->node);
        break;
    case FUSE_CREATE:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_SYMLINK:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
    case FUSE_WRITE:
    case FUSE_FALLOCATE:
        break;
    default:
        return;
    }
    mark(relay, header->nodeid);
}

void relay_durable_answered(struct relay *relay, const struct relay_call *call)
{
    const struct fuse_in_header *header = (const struct fuse_in_header *)call->message->data;
    if (header->opcode != FUSE_FSYNC && header->opcode != FUSE_FSYNCDIR) {
        mark_changed(relay, header);
        return;
    }
    struct relay_node *node = relay_node_find(relay, header->nodeid);
    if (node && node->change <= call->changes)
        node->change = 0;
}

bool relay_durable_is_doubtful(const struct relay_node *node)
{
    return node->doubtful;
}

void relay_durable_renewed(struct relay *relay)
{
    for (size_t i = 0; i < RELAY_NODE_BUCKETS; i++)
        for (struct relay_node *node = relay->nodes.buckets[i]; node; node = node->next) {
            if (node->change && relay->lost_ms - node->change_ms < DURABLE_AFTER_MS)
                node->doubtful = true;
            node->change = 0;
        }
    for (uint32_t i = 0; i < relay->handles.count; i++) {
        struct relay_handle *handle = relay->handles.slots[i].handle;
        if (handle && !handle->folder && handle->flags & O_ACCMODE && handle->node->doubtful && !handle->error)
            handle->error = EIO;
    }
}

void relay_durable_told(struct relay_handle *handle)
{
    handle->error = 0;
    handle->node->doubtful = false;
}

bool relay_durable_tells(struct relay *relay, struct relay_node *node, struct relay_request *request,
                         struct relay_output *out)
{
    if (!node->doubtful)
        return false;
    node->doubtful = false;
    relay_finish(relay, out, request, EIO, NULL, 0);
    return true;
}
