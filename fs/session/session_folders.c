/* Open folders.  Worker threads; several may read one open folder at once, so its listing has a lock.
 *
 * A listing is what the folder held when it was opened, so entries made or removed meanwhile neither repeat nor hide
 * others.  Reading from the start once more (rewinddir) takes a fresh one.
 *
 * An entry that went away since the folder was opened is passed over.
 *
 * The offset that an entry carries is where the next one begins: 1 behind ".", 2 behind "..", 2 + n behind the n-th. */
#include "session_folders.h"

#include <errno.h>
#include <string.h>

#include "scope.h"
#include "session_reply.h"
#include "session_state.h"

#define DOTS 2 /* "." and ".." come first */

struct entry {
    const char *name;
    struct node_attributes attributes;
};

enum code session_folders_open(struct session *session, struct node_id node, struct fuse_file_info *info,
                               struct failure *why)
{
    struct session_handle handle = {.session = session, .kind = HANDLE_FOLDER, .node = node};
    enum code code = tree_open_folder(session->tree, node, &handle.folder, why);
    if (code != CODE_OK)
        return code;
    code = session_handles_add(&session->handles, &handle, &info->fh, why);
    if (code != CODE_OK)
        tree_close_folder(handle.folder);
    info->cache_readdir = session_may_keep_names(session, node);
    return code;
}

static void on_opendir(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
    struct session *session = session_of(request);
    struct failure why;
    enum code code = session_folders_open(session, session_node(number), info, &why);
    if (code != CODE_OK)
        session_reply_failure(request, code, &why, session_node(number), NULL);
    else if (fuse_reply_open(request, info) != 0)
        session_handles_remove(&session->handles, info->fh);
}

/* With the listing's lock held: the entry at the offset; false behind the last. */
static bool entry_at(struct session_handle *handle, uint64_t offset, struct entry *out)
{
    if (offset >= DOTS)
        return tree_folder_entry(handle->folder, offset - DOTS, &out->name, &out->attributes);
    *out = (struct entry){
        .name = offset == 0 ? "." : "..",
        .attributes = {.id = handle->node, .kind = NODE_FOLDER, .links = 1},
    };
    return true;
}

static bool is_gone(const struct entry *entry)
{
    return entry->attributes.links == 0;
}

static enum code renew_listing(struct session_handle *handle, struct failure *why)
{
    struct tree_folder *fresh;
    enum code code = tree_open_folder(handle->session->tree, handle->node, &fresh, why);
    if (code != CODE_OK)
        return code;
    tree_close_folder(handle->folder);
    handle->folder = fresh;
    return CODE_OK;
}

/* Adds one entry with attributes; the bytes that it took, or would take where that is more than `room`. */
static size_t add_with_attributes(fuse_req_t request, char *bytes, size_t room, const struct entry *entry, uint64_t offset)
{
    struct session *session = session_of(request);
    struct fuse_entry_param parameters;
    session_reply_fill_entry(session, &entry->attributes, &parameters);
    if (offset < DOTS)
        parameters.ino = 0; /* no lookup: the kernel knows it */
    size_t need = fuse_add_direntry_plus(request, NULL, 0, entry->name, NULL, 0);
    if (need > room)
        return need;
    if (offset >= DOTS && !session_nodes_remember(&session->nodes, entry->attributes.id))
        parameters.ino = 0; /* listed, but not looked up */
    return fuse_add_direntry_plus(request, bytes, room, entry->name, &parameters, (off_t)offset + 1);
}

static size_t add_plain(fuse_req_t request, char *bytes, size_t room, const struct entry *entry, uint64_t offset)
{
    struct stat status;
    session_reply_fill_stat(session_of(request), &entry->attributes, &status);
    return fuse_add_direntry(request, bytes, room, entry->name, &status, (off_t)offset + 1);
}

/* With the listing's lock held: fills the buffer with entries from `offset` on; the bytes used. */
static size_t list(fuse_req_t request, struct session_handle *handle, char *bytes, size_t size, uint64_t offset,
                   bool with_attributes)
{
    size_t used = 0;
    struct entry entry;
    for (; entry_at(handle, offset, &entry); offset++) {
        if (is_gone(&entry))
            continue;
        size_t took = with_attributes ? add_with_attributes(request, bytes + used, size - used, &entry, offset)
                                      : add_plain(request, bytes + used, size - used, &entry, offset);
        if (took > size - used)
            break;
        used += took;
    }
    return used;
}

static void reply_listing(fuse_req_t request, size_t size, off_t offset, const struct fuse_file_info *info,
                          bool with_attributes)
{
    struct session_handle *handle = session_handles_get(&session_of(request)->handles, info->fh, true);
    if (!handle) {
        fuse_reply_err(request, EBADF);
        return;
    }
    if (size > SESSION_WRITE_MAX)
        size = SESSION_WRITE_MAX;
    struct block_pool *blocks = &session_of(request)->blocks;
    char *bytes = block_pool_take(blocks);
    struct failure why;
    enum code code = bytes ? CODE_OK : failure_set(&why, CODE_NO_MEMORY, "listing a folder: no memory");
    size_t used = 0;

    pthread_mutex_lock(&handle->listing_lock);
    if (code == CODE_OK && offset == 0 && handle->listing_begun)
        code = renew_listing(handle, &why);
    handle->listing_begun = true;
    if (code == CODE_OK)
        used = list(request, handle, bytes, size, (uint64_t)offset, with_attributes);
    pthread_mutex_unlock(&handle->listing_lock);

    struct node_id node = handle->node;
    session_handles_put(handle);
    if (code == CODE_OK)
        fuse_reply_buf(request, bytes, used);
    else
        session_reply_failure(request, code, &why, node, NULL);
    block_pool_give(blocks, bytes);
}

static void on_readdir(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *info)
{
    (void)node;
    reply_listing(request, size, offset, info, false);
}

static void on_readdirplus(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *info)
{
    (void)node;
    reply_listing(request, size, offset, info, true);
}

static void on_releasedir(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info)
{
    (void)node;
    session_handles_remove(&session_of(request)->handles, info->fh);
    fuse_reply_err(request, 0);
}

/* Names are durable together with everything else: a folder has no fsync of its own. */
static void on_fsyncdir(fuse_req_t request, fuse_ino_t node, int data_only, struct fuse_file_info *info)
{
    (void)data_only;
    (void)info;
    struct failure why;
    enum code code = tree_sync(session_tree_of(request), &why);
    session_reply_done(request, code, &why, session_node(node), NULL);
}

void session_folders_fill(struct fuse_lowlevel_ops *operations)
{
    operations->opendir = on_opendir;
    operations->readdir = on_readdir;
    operations->readdirplus = on_readdirplus;
    operations->releasedir = on_releasedir;
    operations->fsyncdir = on_fsyncdir;
}
