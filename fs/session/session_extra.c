/* Operations of clients on other machines: see session_extra.h; formats in fs/wire/extra.h.
 *
 * Each decodes its message, calls the tree once, and answers once, through the session's peer.  Whoever feeds the session
 * has checked lengths and rights; lengths are held against the message once more all the same, since they cost nothing.  Any
 * worker thread. */
#include "session_extra.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

#include "extra.h"
#include "session_files.h"
#include "session_folders.h"
#include "session_reply.h"
#include "session_state.h"
#include "tree_put.h"
#include "tree_quota.h"

/* A message: its header, and what follows. */
struct extra_request {
    struct session *session;
    const struct fuse_in_header *header;
    const uint8_t *body;
    size_t count;
};

/* Answering -------------------------------------------------------------------------------------------------------- */

static void answer(const struct extra_request *request, int error, const struct iovec *parts, int count)
{
    struct fuse_out_header header = {.len = sizeof header, .error = -error, .unique = request->header->unique};
    struct iovec all[3] = {{&header, sizeof header}};
    for (int i = 0; i < count; i++) {
        all[i + 1] = parts[i];
        header.len += (uint32_t)parts[i].iov_len;
    }
    const struct session_peer *peer = &request->session->channel.peer;
    peer->send(peer->context, all, count + 1);
}

static void answer_bytes(const struct extra_request *request, const void *bytes, size_t count)
{
    const struct iovec part = {(void *)bytes, count};
    answer(request, 0, &part, 1);
}

static void answer_failure(const struct extra_request *request, enum code code, const struct failure *why, const char *name)
{
    session_reply_note(request->session->tree, code, why, session_node(request->header->nodeid), name);
    answer(request, failure_to_errno(code), NULL, 0);
}

/* Operations ------------------------------------------------------------------------------------------------------- */

static void do_fetch(const struct extra_request *request)
{
    struct extra_fetch_in in;
    struct session *session = request->session;
    if (request->count < sizeof in) {
        answer(request, EINVAL, NULL, 0);
        return;
    }
    memcpy(&in, request->body, sizeof in);
    struct tree_part part = {.offset = in.offset, .count = in.size < EXTRA_FETCH_MAX ? in.size : EXTRA_FETCH_MAX};
    struct node_attributes attributes;
    struct failure why;
    part.bytes = part.count ? block_pool_take(&session->blocks) : NULL;
    enum code code = part.count && !part.bytes
                         ? failure_set(&why, CODE_NO_MEMORY, "reading a file: no memory")
                         : tree_fetch(session->tree, session_node(request->header->nodeid), &part, &attributes, &why);
    if (code == CODE_OK) {
        struct extra_fetch_out out = {.size = (uint32_t)part.got};
        session_reply_fill_attr(session, &attributes, &out.attr);
        const struct iovec parts[] = {{&out, sizeof out}, {part.bytes, part.got}};
        answer(request, 0, parts, part.got ? 2 : 1);
    } else {
        answer_failure(request, code, &why, NULL);
    }
    block_pool_give(&session->blocks, part.bytes);
}

/* The name that is put, NULL where the message is not as long as it says. */
static const char *put_name(const struct extra_request *request, const struct extra_put_in *in)
{
    const char *name = (const char *)request->body + sizeof *in;
    size_t rest = request->count - sizeof *in;
    if (in->name_length < 2 || in->name_length > TREE_NAME_MAX + 1 || in->size > EXTRA_PUT_MAX ||
        rest < (size_t)in->name_length + in->size || memchr(name, 0, in->name_length) != name + in->name_length - 1)
        return NULL;
    return name;
}

static void answer_entry(const struct extra_request *request, const struct node_attributes *attributes, const char *name)
{
    struct session *session = request->session;
    struct fuse_entry_out out = {.nodeid = attributes->id.value,
                                 .entry_valid = (uint64_t)SESSION_STORED_TIMEOUT_S,
                                 .attr_valid = (uint64_t)SESSION_STORED_TIMEOUT_S};
    struct failure why;
    session_reply_fill_attr(session, attributes, &out.attr);
    if (session_nodes_remember(&session->nodes, attributes->id))
        answer_bytes(request, &out, sizeof out);
    else
        answer_failure(request, failure_set(&why, CODE_NO_MEMORY, "making %s: no memory", name), &why, name);
}

static void put(const struct extra_request *request, const struct extra_put_in *in, const char *name)
{
    struct session *session = request->session;
    const struct fuse_in_header *header = request->header;
    bool owned = session->keeps_owners;
    struct tree_put what = {
        .folder = session_node(header->nodeid),
        .name = name,
        .what = {.kind = NODE_FILE,
                 .mode = in->mode & 07777,
                 .owner = owned ? (int64_t)header->uid : TREE_MOUNTER,
                 .group = owned ? (int64_t)header->gid : TREE_MOUNTER},
        .inode = in->node,
        .exclusive = in->flags & EXTRA_PUT_EXCLUSIVE,
        .made = in->flags & EXTRA_PUT_MADE,
        .reserved = session_reserved_take(&session->reserved, in->node),
        .modify_ns = in->modify_ns,
        .access_ns = in->access_ns,
        .bytes = name + in->name_length,
        .count = in->size,
        .flags = header->uid != 0 ? OPEN_DROPS_SET_ID : 0,
        .held = session_reserved_take_bytes(&session->reserved, in->size),
    };
    struct node_attributes attributes;
    struct failure why;
    enum code code = tree_put(session->tree, &what, &attributes, &why);
    if (what.reserved && attributes.id.value != in->node)
        session_reserved_give_back(&session->reserved, in->node);
    if (code != CODE_OK && attributes.id.value == 0)
        session_reserved_add_bytes(&session->reserved, what.held);
    if (code == CODE_OK)
        answer_entry(request, &attributes, name);
    else
        answer_failure(request, code, &why, name);
}

static void do_put(const struct extra_request *request)
{
    struct extra_put_in in = {.name_length = 0};
    if (request->count >= sizeof in)
        memcpy(&in, request->body, sizeof in);
    const char *name = in.name_length ? put_name(request, &in) : NULL;
    if (name)
        put(request, &in, name);
    else
        answer(request, EINVAL, NULL, 0);
}

static uint32_t reserve_bytes(struct session *session, uint64_t bytes)
{
    uint64_t room = session_reserved_room(&session->reserved);
    uint64_t got = tree_quota_hold(session->tree, session->channel.peer.viewer, bytes < room ? bytes : room);
    session_reserved_add_bytes(&session->reserved, got);
    return (uint32_t)got;
}

void session_extra_give_back(struct session *session)
{
    uint64_t bytes = session_reserved_take_bytes(&session->reserved, UINT64_MAX);
    if (bytes)
        tree_quota_let_go(session->tree, session->channel.peer.viewer, bytes);
}

static void do_reserve(const struct extra_request *request)
{
    struct extra_reserve_in in = {.count = 0};
    struct session *session = request->session;
    struct failure why;
    if (request->count < sizeof in) {
        answer(request, EINVAL, NULL, 0);
        return;
    }
    memcpy(&in, request->body, sizeof in);
    struct extra_reserve_out out = {.count = in.count};
    enum code code = in.count ? tree_reserve(session->tree, in.count, &out.first, &why) : CODE_OK;
    if (code == CODE_OK && in.count)
        code = session_reserved_add(&session->reserved, out.first, out.count, &why);
    if (code == CODE_OK && (in.count || in.bytes))
        out.bytes = reserve_bytes(session, in.bytes);
    else if (code == CODE_OK)
        session_extra_give_back(session);
    if (code == CODE_OK)
        answer_bytes(request, &out, sizeof out);
    else
        answer_failure(request, code, &why, NULL);
}

/* As libfuse translates them. */
static uint32_t open_flags(const struct fuse_file_info *info)
{
    return (info->direct_io ? FOPEN_DIRECT_IO : 0) | (info->keep_cache ? FOPEN_KEEP_CACHE : 0) |
           (info->nonseekable ? FOPEN_NONSEEKABLE : 0) | (info->cache_readdir ? FOPEN_CACHE_DIR : 0) |
           (info->noflush ? FOPEN_NOFLUSH : 0);
}

static void do_reopen(const struct extra_request *request)
{
    struct extra_reopen_in in = {.folder = 0};
    struct session *session = request->session;
    struct node_id node = session_node(request->header->nodeid);
    struct failure why;
    if (request->count < sizeof in) {
        answer(request, EINVAL, NULL, 0);
        return;
    }
    memcpy(&in, request->body, sizeof in);
    struct fuse_file_info info = {.flags = (int)in.flags};
    enum code code = in.folder ? session_folders_open(session, node, &info, &why)
                               : session_files_reopen(session, node, request->header->uid, &info, &why);
    const struct fuse_open_out out = {.fh = info.fh, .open_flags = open_flags(&info)};
    if (code == CODE_OK)
        answer_bytes(request, &out, sizeof out);
    else
        answer_failure(request, code, &why, NULL);
}

/* Whether the header's node is one that the client goes on to use. */
static bool speaks_of_node(uint32_t opcode)
{
    switch (opcode) {
    case FUSE_INIT:
    case FUSE_DESTROY:
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
    case EXTRA_RESERVE:
    case EXTRA_KEYS:
    case EXTRA_LEND:
        return false;
    default:
        return true;
    }
}

bool session_extra_process(struct session *session, const void *message, size_t length)
{
    const struct fuse_in_header *header = message;
    if (length < sizeof *header)
        return false;
    const struct extra_request request = {
        .session = session, .header = header, .body = (const uint8_t *)(header + 1), .count = length - sizeof *header};
    if (speaks_of_node(header->opcode))
        session_nodes_touch(&session->nodes, session_node(header->nodeid));
    switch (header->opcode) {
    case EXTRA_FETCH:
        do_fetch(&request);
        return true;
    case EXTRA_PUT:
        do_put(&request);
        return true;
    case EXTRA_RESERVE:
        do_reserve(&request);
        return true;
    case EXTRA_REOPEN:
        do_reopen(&request);
        return true;
    default:
        return false;
    }
}
