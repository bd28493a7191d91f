/* The order of requests: see server_order.h.  The header names one node; some requests name a second one in their body, at a
 * place that follows from the opcode. */
#include "server_order.h"

#include <linux/fuse.h>
#include <string.h>

#include "extra.h"

#define NO_SECOND SIZE_MAX

/* Where in the body the second node stands. */
static size_t second_node_at(uint32_t opcode)
{
    switch (opcode) {
    case FUSE_RENAME:
        return offsetof(struct fuse_rename_in, newdir);
    case FUSE_RENAME2:
        return offsetof(struct fuse_rename2_in, newdir);
    case FUSE_LINK:
        return offsetof(struct fuse_link_in, oldnodeid);
    case FUSE_COPY_FILE_RANGE:
        return offsetof(struct fuse_copy_file_range_in, nodeid_out);
    case EXTRA_PUT:
        return offsetof(struct extra_put_in, node);
    default:
        return NO_SECOND;
    }
}

static bool changes(uint32_t opcode)
{
    switch (opcode) {
    case FUSE_LOOKUP:
    case FUSE_GETATTR:
    case FUSE_READLINK:
    case FUSE_READ:
    case FUSE_STATFS:
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
    case FUSE_OPENDIR:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
    case FUSE_GETLK:
    case FUSE_ACCESS:
    case FUSE_INTERRUPT:
    case FUSE_POLL:
    case FUSE_LSEEK:
    case EXTRA_FETCH:
    case EXTRA_RESERVE:
    case EXTRA_REOPEN:
    case EXTRA_KEYS:
        return false;
    default:
        return true;
    }
}

struct request_order request_order_of(const void *message, size_t length)
{
    const struct fuse_in_header *header = message;
    if (length < sizeof *header)
        return (struct request_order){0};
    size_t at = second_node_at(header->opcode);
    struct request_order order = {.nodes = {header->nodeid},
                                  .changes = changes(header->opcode),
                                  .alone = header->opcode == FUSE_INIT || header->opcode == FUSE_DESTROY};
    if (at != NO_SECOND && length >= sizeof *header + at + sizeof order.nodes[1])
        memcpy(&order.nodes[1], (const char *)message + sizeof *header + at, sizeof order.nodes[1]);
    return order;
}

static bool concerns(const struct request_order *order, uint64_t node)
{
    return node && (order->nodes[0] == node || order->nodes[1] == node);
}

bool request_order_waits(const struct request_order *later, const struct request_order *earlier)
{
    if (later->alone || earlier->alone)
        return true;
    return (later->changes || earlier->changes) &&
           (concerns(earlier, later->nodes[0]) || concerns(earlier, later->nodes[1]));
}
