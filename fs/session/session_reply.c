/* Answers: see session_reply.h.
 *
 * This is the border at which a code becomes an errno.  errno says what kind of refusal it was; the words go to
 * tree_note_failure, from where lab/last-error shows them.  Refusals that programs meet all day in the normal course of
 * things, such as looking for a file that is not there, are not noted. */
#include "session_reply.h"

#include <errno.h>
#include <linux/fuse.h>

#include "buffer.h"
#include "session_rights.h"
#include "session_state.h"
#include "tree_path.h"

static bool worth_noting(enum code code)
{
    switch (code) {
    case CODE_NOT_FOUND:
    case CODE_EXISTS:
    case CODE_NOT_DIRECTORY:
    case CODE_IS_DIRECTORY:
    case CODE_NOT_EMPTY:
    case CODE_CROSS_SPACE:
    case CODE_AGAIN:
    case CODE_NO_DATA:
    case CODE_NO_OFFSET:
    case CODE_INTERRUPTED:
    case CODE_UNSUPPORTED: /* programs try and do without: attributes of derived files, kinds of preallocation */
        return false;
    default:
        return true;
    }
}

static struct timespec to_timespec(int64_t ns)
{
    const int64_t second = 1000000000;
    int64_t whole = ns / second, rest = ns % second;
    return (struct timespec){.tv_sec = rest < 0 ? whole - 1 : whole, .tv_nsec = rest < 0 ? rest + second : rest};
}

static mode_t kind_bits(enum node_kind kind)
{
    switch (kind) {
    case NODE_FOLDER:
        return S_IFDIR;
    case NODE_LINK:
        return S_IFLNK;
    case NODE_FIFO:
        return S_IFIFO;
    case NODE_SOCKET:
        return S_IFSOCK;
    case NODE_CHARACTER:
        return S_IFCHR;
    case NODE_BLOCK:
        return S_IFBLK;
    case NODE_FILE:
        break;
    }
    return S_IFREG;
}

/* Neither nobody in particular nor a member (viewer.h). */
static bool is_user(int64_t owner)
{
    return owner >= 0 && owner < UINT32_MAX;
}

void session_reply_fill_stat(const struct session *session, const struct node_attributes *attributes, struct stat *out)
{
    *out = (struct stat){
        .st_ino = attributes->id.value,
        .st_mode = kind_bits(attributes->kind) | session_rights_mode(session, attributes),
        .st_nlink = attributes->links,
        .st_uid = session->keeps_owners && is_user(attributes->owner) ? (uid_t)attributes->owner : session->owner,
        .st_gid = session->keeps_owners && is_user(attributes->group) ? (gid_t)attributes->group : session->group,
        .st_rdev = attributes->device,
        .st_size = (off_t)attributes->size,
        .st_blocks = (blkcnt_t)attributes->blocks,
        .st_blksize = 4096,
        .st_atim = to_timespec(attributes->access_ns),
        .st_mtim = to_timespec(attributes->modify_ns),
        .st_ctim = to_timespec(attributes->change_ns),
    };
}

void session_reply_fill_attr(const struct session *session, const struct node_attributes *attributes, struct fuse_attr *out)
{
    struct stat status;
    session_reply_fill_stat(session, attributes, &status);
    *out = (struct fuse_attr){
        .ino = status.st_ino,
        .size = (uint64_t)status.st_size,
        .blocks = (uint64_t)status.st_blocks,
        .atime = (uint64_t)status.st_atim.tv_sec,
        .mtime = (uint64_t)status.st_mtim.tv_sec,
        .ctime = (uint64_t)status.st_ctim.tv_sec,
        .atimensec = (uint32_t)status.st_atim.tv_nsec,
        .mtimensec = (uint32_t)status.st_mtim.tv_nsec,
        .ctimensec = (uint32_t)status.st_ctim.tv_nsec,
        .mode = status.st_mode,
        .nlink = (uint32_t)status.st_nlink,
        .uid = status.st_uid,
        .gid = status.st_gid,
        .rdev = (uint32_t)status.st_rdev,
        .blksize = (uint32_t)status.st_blksize,
    };
}

static double timeout_s(const struct node_attributes *attributes)
{
    return attributes->derived || attributes->stream ? 0.0 : SESSION_STORED_TIMEOUT_S;
}

void session_reply_fill_entry(const struct session *session, const struct node_attributes *attributes,
                              struct fuse_entry_param *out)
{
    *out = (struct fuse_entry_param){
        .ino = attributes->id.value,
        .attr_timeout = timeout_s(attributes),
        .entry_timeout = timeout_s(attributes),
    };
    session_reply_fill_stat(session, attributes, &out->attr);
}

void session_reply_forget_attributes(struct session *session, struct node_id node)
{
    fuse_lowlevel_notify_inval_inode(session->fuse, node.value, -1, 0);
}

void session_reply_note(struct tree *tree, enum code code, const struct failure *why, struct node_id node, const char *name)
{
    SCOPE_BUFFER path = {.max = 65536};
    struct failure ignored;
    if (!worth_noting(code))
        return;
    if (tree_node_path(tree, node, &path, &ignored) != CODE_OK)
        buffer_clear(&path);
    if (name)
        buffer_printf(&path, "%s%s", path.length > 0 ? "/" : "", name);
    tree_note_failure(tree, buffer_text(&path), why);
}

void session_reply_failure(fuse_req_t request, enum code code, const struct failure *why, struct node_id node,
                           const char *name)
{
    session_reply_note(session_tree_of(request), code, why, node, name);
    fuse_reply_err(request, failure_to_errno(code));
}

void session_reply_done(fuse_req_t request, enum code code, const struct failure *why, struct node_id node, const char *name)
{
    if (code == CODE_OK)
        fuse_reply_err(request, 0);
    else
        session_reply_failure(request, code, why, node, name);
}

void session_reply_attributes(fuse_req_t request, const struct node_attributes *attributes)
{
    struct stat status;
    session_reply_fill_stat(session_of(request), attributes, &status);
    fuse_reply_attr(request, &status, timeout_s(attributes));
}

void session_reply_entry(fuse_req_t request, const struct node_attributes *attributes)
{
    struct session *session = session_of(request);
    if (!session_nodes_remember(&session->nodes, attributes->id)) {
        fuse_reply_err(request, ENOMEM);
        return;
    }
    struct fuse_entry_param entry;
    session_reply_fill_entry(session, attributes, &entry);
    if (fuse_reply_entry(request, &entry) != 0)
        session_nodes_forget(&session->nodes, attributes->id, 1); /* nobody heard of it */
}

void session_reply_missing(fuse_req_t request)
{
    const struct fuse_entry_param none = {.ino = 0, .entry_timeout = SESSION_STORED_TIMEOUT_S};
    fuse_reply_entry(request, &none);
}

void session_reply_sized(fuse_req_t request, const struct buffer *value, size_t size)
{
    if (size == 0)
        fuse_reply_xattr(request, value->length);
    else if (value->length > size)
        fuse_reply_err(request, ERANGE);
    else
        fuse_reply_buf(request, buffer_text(value), value->length);
}
