/* Open files: each operation finds its handle, calls the tree once, puts the handle back, and replies once: in this
 * order, because after the reply the client may send RELEASE, and that is to close the file, not a borrower who is late.
 * Worker threads.
 *
 * What the kernel may cache of a file's pages
 *   stored or derived, read       everything; kept from one open to the next while tree_file_version stands still, so
 *                                 that who opens a file sees all that was written before, through whichever mount
 *   opened with O_APPEND          nothing (direct I/O): the tree itself finds the end, so that each write lands whole
 *                                 behind what others appended; through the page cache the kernel would place it by the
 *                                 size that it last saw, and cut it at page borders
 *   made to be written only       nothing: its pages would be dropped at the next open all the same, and past the page cache
 * a write is one copy less, in messages as large as may be, and the kernel asks for no attribute of the file before control
 * files, opened to write nothing: one write(2) must arrive as one command streams                       nothing, and no
 * seeking There is no write-back cache: it would make the kernel ignore the tree's sizes, and the appends of others get
 * lost. */
#include "session_files.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "buffer.h"
#include "scope.h"
#include "session_reply.h"
#include "session_state.h"

#define DERIVED_NODE_BIT (UINT64_C(1) << 63) /* tree.h: struct node_id */

static unsigned decode_flags(uid_t caller, int flags)
{
    unsigned decoded = 0;
    int access = flags & O_ACCMODE;
    if (access != O_WRONLY)
        decoded |= OPEN_READ;
    if (access != O_RDONLY)
        decoded |= OPEN_WRITE;
    if (flags & O_APPEND)
        decoded |= OPEN_APPEND;
    if (flags & O_TRUNC)
        decoded |= OPEN_TRUNCATE;
    if (flags & O_EXCL)
        decoded |= OPEN_EXCLUSIVE;
    if (caller != 0)
        decoded |= OPEN_DROPS_SET_ID;
    return decoded;
}

static struct session_handle *handle_of(fuse_req_t request, const struct fuse_file_info *file)
{
    return session_handles_get(&session_of(request)->handles, file->fh, false);
}

/* A file that is being made by who only writes it: reading begins after another open, which drops the pages of another
 * version. */
static bool is_filled_once(struct session *session, const struct fuse_file_info *info)
{
    return (info->flags & (O_CREAT | O_ACCMODE)) == (O_CREAT | O_WRONLY) && atomic_load(&session->channel.drops_pages);
}

/* Puts an opened file into the table and says in *info how the kernel is to treat it. */
static enum code add_handle(struct session *session, struct tree_file *file, unsigned flags, bool stream,
                            struct fuse_file_info *info, struct failure *why)
{
    struct node_id node = tree_file_node(file);
    const struct session_handle handle = {
        .session = session,
        .kind = stream ? HANDLE_STREAM : HANDLE_FILE,
        .node = node,
        .writes = flags & OPEN_WRITE,
        .file = file,
    };
    bool derived = node.value & DERIVED_NODE_BIT;
    info->direct_io = stream || (derived && handle.writes) || (flags & OPEN_APPEND) || is_filled_once(session, info);
    info->nonseekable = stream;
    info->noflush = !handle.writes;
    session_push_flush(&session->push);
    enum session_pages pages = session_nodes_open(&session->nodes, node, tree_file_version(file));
    /* What is made as it is read may be made anew while its pages are read: they are good for this open alone. */
    info->keep_cache = !info->direct_io && !derived && pages == PAGES_CURRENT;
    if (pages == PAGES_OUTDATED)
        session_locks_forget_attributes(session, node);
    enum code code = session_handles_add(&session->handles, &handle, &info->fh, why);
    if (code == CODE_OK)
        session_nodes_count_open(&session->nodes, node);
    return code;
}

static void on_create(fuse_req_t request, fuse_ino_t folder, const char *name, mode_t mode, struct fuse_file_info *info)
{
    struct session *session = session_of(request);
    struct failure why;
    struct node_attributes attributes;
    struct tree_file *file;
    unsigned flags = decode_flags(fuse_req_ctx(request)->uid, info->flags);
    const struct tree_new what = session_new(request, NODE_FILE, mode);
    enum code code = tree_make_file(session->tree, session_node(folder), name, &what, flags, &attributes, &file, &why);
    if (code != CODE_OK) {
        session_reply_failure(request, code, &why, session_node(folder), name);
        return;
    }
    if (session_nodes_remember(&session->nodes, attributes.id)) {
        code = add_handle(session, file, flags, attributes.stream, info, &why);
        if (code == CODE_OK) {
            struct fuse_entry_param entry;
            session_reply_fill_entry(session, &attributes, &entry);
            if (fuse_reply_create(request, &entry, info) != 0) { /* nobody heard of it */
                session_handles_remove(&session->handles, info->fh);
                session_nodes_forget(&session->nodes, attributes.id, 1);
            }
            return;
        }
        session_nodes_forget(&session->nodes, attributes.id, 1);
    } else {
        code = failure_set(&why, CODE_NO_MEMORY, "making %s: no memory", name);
    }
    tree_release(file);
    session_reply_failure(request, code, &why, session_node(folder), name);
}

/* Only nodes made by rules can be streams. */
static enum code find_out_stream(struct tree *tree, struct node_id node, bool *stream, struct failure *why)
{
    *stream = false;
    if (!(node.value & DERIVED_NODE_BIT))
        return CODE_OK;
    struct node_attributes attributes;
    enum code code = tree_attributes(tree, node, &attributes, why);
    if (code == CODE_OK)
        *stream = attributes.stream;
    return code;
}

static enum code open_node(struct session *session, struct node_id node, unsigned flags, struct fuse_file_info *info,
                           struct failure *why)
{
    struct tree_file *file;
    bool stream;
    enum code code = find_out_stream(session->tree, node, &stream, why);
    if (code == CODE_OK)
        code = tree_open_file(session->tree, node, flags, &file, why);
    if (code == CODE_OK) {
        code = add_handle(session, file, flags, stream, info, why);
        if (code != CODE_OK)
            tree_release(file);
    }
    return code;
}

enum code session_files_reopen(struct session *session, struct node_id node, uid_t caller, struct fuse_file_info *info,
                               struct failure *why)
{
    unsigned flags = decode_flags(caller, info->flags & ~(O_CREAT | O_EXCL | O_TRUNC)) | OPEN_NAMELESS;
    return open_node(session, node, flags, info, why);
}

static void on_open(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
    struct session *session = session_of(request);
    struct failure why;
    struct node_id node = session_node(number);
    unsigned flags = decode_flags(fuse_req_ctx(request)->uid, info->flags);
    if (session_nodes_is_open(&session->nodes, node))
        flags |= OPEN_NAMELESS;
    enum code code = open_node(session, node, flags, info, &why);
    if (code == CODE_NOT_FOUND)
        fuse_reply_err(request, ESTALE); /* the kernel looks the name up again: another may have it by now */
    else if (code != CODE_OK)
        session_reply_failure(request, code, &why, node, NULL);
    else if (fuse_reply_open(request, info) != 0)
        session_handles_remove(&session->handles, info->fh);
}

/* Replies after an operation on an open file, which puts the handle back first. */
static void finish(fuse_req_t request, struct session_handle *handle, enum code code, const struct failure *why)
{
    struct node_id node = handle->node;
    session_handles_put(handle);
    session_reply_done(request, code, why, node, NULL);
}

static void read_file(fuse_req_t request, struct session_handle *handle, size_t count, uint64_t offset)
{
    struct failure why;
    struct block_pool *blocks = &session_of(request)->blocks;
    size_t got = 0;
    if (count > SESSION_WRITE_MAX)
        count = SESSION_WRITE_MAX;
    char *bytes = block_pool_take(blocks);
    enum code code = bytes ? tree_read(handle->file, offset, bytes, count, &got, &why)
                           : failure_set(&why, CODE_NO_MEMORY, "reading a file: no memory");
    if (code != CODE_OK) {
        finish(request, handle, code, &why);
    } else {
        session_handles_put(handle);
        fuse_reply_buf(request, bytes, got);
    }
    block_pool_give(blocks, bytes);
}

static void on_read(fuse_req_t request, fuse_ino_t node, size_t count, off_t offset, struct fuse_file_info *info)
{
    (void)node;
    struct session_handle *handle = handle_of(request, info);
    if (!handle)
        fuse_reply_err(request, EBADF);
    else if (handle->kind == HANDLE_STREAM)
        session_streams_read(handle, request, count, !(info->flags & O_NONBLOCK));
    else
        read_file(request, handle, count, (uint64_t)offset);
}

/* A writer is answered as soon as his write is taken, so that he goes on while this worker stores it. */
struct written {
    fuse_req_t request;
    struct session_handle *handle; /* borrowed until then */
    size_t count;
};

static void answer_written(void *context)
{
    const struct written *written = context;
    session_handles_put(written->handle);
    fuse_reply_write(written->request, written->count);
}

static void on_write(fuse_req_t request, fuse_ino_t node, const char *bytes, size_t count, off_t offset,
                     struct fuse_file_info *info)
{
    (void)node;
    struct session_handle *handle = handle_of(request, info);
    if (!handle) {
        fuse_reply_err(request, EBADF);
        return;
    }
    struct failure why;
    struct written written = {request, handle, count};
    const struct tree_writing writing = {
        .offset = (uint64_t)offset,
        .bytes = bytes,
        .count = count,
        /* The kernel writes back a map's pages by whichever open file of the inode it finds; and fcntl(2) can take O_APPEND
         * back. */
        .placed = info->writepage || !(info->flags & O_APPEND),
        .taken = answer_written,
        .context = &written,
    };
    enum code code = tree_write_answered(handle->file, &writing, &why);
    if (code != CODE_OK)
        finish(request, handle, code, &why);
}

static void on_flush(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info)
{
    (void)node;
    struct session_handle *handle = handle_of(request, info);
    if (!handle) {
        fuse_reply_err(request, EBADF);
        return;
    }
    struct failure why;
    enum code code = handle->writes ? tree_flush(handle->file, &why) : CODE_OK;
    session_locks_close(handle, info->lock_owner);
    finish(request, handle, code, &why);
}

/* No worker waits for the disk: the request is answered by whoever has made the file durable. */
struct parked_fsync {
    fuse_req_t request;
    struct session_handle *handle; /* borrowed */
};

static void answer_fsync(void *context, enum code code, const struct failure *why)
{
    struct parked_fsync parked = *(struct parked_fsync *)context;
    free(context);
    finish(parked.request, parked.handle, code, why);
}

static void on_fsync(fuse_req_t request, fuse_ino_t node, int data_only, struct fuse_file_info *info)
{
    (void)node;
    (void)data_only;
    struct session_handle *handle = handle_of(request, info);
    if (!handle) {
        fuse_reply_err(request, EBADF);
        return;
    }
    struct parked_fsync *parked = malloc(sizeof *parked);
    if (!parked) {
        session_handles_put(handle);
        fuse_reply_err(request, ENOMEM);
        return;
    }
    *parked = (struct parked_fsync){request, handle};
    tree_fsync_start(handle->file, answer_fsync, parked);
}

static void on_release(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info)
{
    (void)node;
    session_handles_remove(&session_of(request)->handles, info->fh);
    fuse_reply_err(request, 0);
}

static void on_fallocate(fuse_req_t request, fuse_ino_t node, int mode, off_t offset, off_t count,
                         struct fuse_file_info *info)
{
    (void)node;
    struct session_handle *handle = handle_of(request, info);
    if (!handle) {
        fuse_reply_err(request, EBADF);
        return;
    }
    struct failure why;
    enum code code = tree_allocate(handle->file, mode, (uint64_t)offset, (uint64_t)count, &why);
    finish(request, handle, code, &why);
}

static void on_lseek(fuse_req_t request, fuse_ino_t node, off_t offset, int whence, struct fuse_file_info *info)
{
    (void)node;
    struct session_handle *handle = handle_of(request, info);
    if (!handle) {
        fuse_reply_err(request, EBADF);
        return;
    }
    struct failure why;
    uint64_t found;
    enum code code =
        whence != SEEK_DATA && whence != SEEK_HOLE
            ? failure_set(&why, CODE_INVALID, "this kind of seeking is the client's own")
            : tree_seek(handle->file, (uint64_t)offset, whence == SEEK_DATA ? SEEK_TO_DATA : SEEK_TO_HOLE, &found, &why);
    if (code != CODE_OK) {
        finish(request, handle, code, &why);
        return;
    }
    session_handles_put(handle);
    fuse_reply_lseek(request, (off_t)found);
}

static void copy_range(fuse_req_t request, const struct tree_copy *copy, struct session_handle *from,
                       struct session_handle *to)
{
    struct failure why;
    uint64_t copied;
    enum code code = tree_copy(copy, &copied, &why);
    session_handles_put(from);
    if (code != CODE_OK) {
        finish(request, to, code, &why);
        return;
    }
    session_handles_put(to);
    fuse_reply_write(request, copied);
}

static void on_copy_file_range(fuse_req_t request, fuse_ino_t from_node, off_t from_offset, struct fuse_file_info *from_info,
                               fuse_ino_t to_node, off_t to_offset, struct fuse_file_info *to_info, size_t count, int flags)
{
    (void)from_node;
    (void)to_node;
    struct session_handle *from = handle_of(request, from_info), *to = handle_of(request, to_info);
    if (from && to && !flags && from_offset >= 0 && to_offset >= 0) {
        const struct tree_copy copy = {.from = from->file,
                                       .to = to->file,
                                       .from_offset = (uint64_t)from_offset,
                                       .to_offset = (uint64_t)to_offset,
                                       .count = count};
        copy_range(request, &copy, from, to);
        return;
    }
    if (from)
        session_handles_put(from);
    if (to)
        session_handles_put(to);
    fuse_reply_err(request, from && to ? EINVAL : EBADF);
}

static void on_poll(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info, struct fuse_pollhandle *poll)
{
    (void)node;
    struct session_handle *handle = handle_of(request, info);
    if (handle && handle->kind == HANDLE_STREAM) {
        session_streams_poll(handle, request, poll);
        return;
    }
    if (poll)
        fuse_pollhandle_destroy(poll);
    if (!handle) {
        fuse_reply_err(request, EBADF);
        return;
    }
    session_handles_put(handle);
    fuse_reply_poll(request, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM); /* files are always ready */
}

void session_files_fill(struct fuse_lowlevel_ops *operations)
{
    operations->create = on_create;
    operations->open = on_open;
    operations->read = on_read;
    operations->write = on_write;
    operations->flush = on_flush;
    operations->fsync = on_fsync;
    operations->release = on_release;
    operations->fallocate = on_fallocate;
    operations->lseek = on_lseek;
    operations->copy_file_range = on_copy_file_range;
    operations->poll = on_poll;
}
