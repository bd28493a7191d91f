/* Names and attributes: each operation decodes its arguments, calls the tree once, and replies once.  Worker threads. */
#include "session_names.h"

#include <errno.h>
#include <unistd.h>

#include "buffer.h"
#include "session_reply.h"
#include "session_state.h"
#include "timing.h"
#include "tree_path.h"
#include "tree_quota.h"
#include "viewer.h"

static void on_lookup(fuse_req_t request, fuse_ino_t folder, const char *name)
{
    struct failure why;
    struct node_attributes attributes;
    enum code code = tree_lookup(session_tree_of(request), session_node(folder), name, &attributes, &why);
    if (code == CODE_OK)
        session_reply_entry(request, &attributes);
    else if (code == CODE_NOT_FOUND && session_may_keep_names(session_of(request), session_node(folder)))
        session_reply_missing(request);
    else
        session_reply_failure(request, code, &why, session_node(folder), name);
}

static void on_forget(fuse_req_t request, fuse_ino_t node, uint64_t count)
{
    session_nodes_forget(&session_of(request)->nodes, session_node(node), count);
    fuse_reply_none(request);
}

static void on_forget_multi(fuse_req_t request, size_t count, struct fuse_forget_data *forgotten)
{
    for (size_t i = 0; i < count; i++)
        session_nodes_forget(&session_of(request)->nodes, session_node(forgotten[i].ino), forgotten[i].nlookup);
    fuse_reply_none(request);
}

static void on_getattr(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    (void)file;
    struct failure why;
    struct node_attributes attributes;
    enum code code = tree_attributes(session_tree_of(request), session_node(node), &attributes, &why);
    if (code == CODE_OK)
        session_reply_attributes(request, &attributes);
    else
        session_reply_failure(request, code, &why, session_node(node), NULL);
}

/* Asked only where root mounted for itself alone: root may do everything but run what nobody may run. */
static void on_access(fuse_req_t request, fuse_ino_t node, int mask)
{
    struct failure why;
    struct node_attributes attributes;
    enum code code = tree_attributes(session_tree_of(request), session_node(node), &attributes, &why);
    if (code != CODE_OK)
        session_reply_failure(request, code, &why, session_node(node), NULL);
    else
        fuse_reply_err(request, mask & X_OK && attributes.kind != NODE_FOLDER && !(attributes.mode & 0111) ? EACCES : 0);
}

/* Times are kept in ns since 1970, which reach from 1677 to 2262: others become the first or the last of them. */
static int64_t to_ns(const struct timespec *time)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)time->tv_sec, (int64_t)1000000000, &ns) ||
        __builtin_add_overflow(ns, (int64_t)time->tv_nsec, &ns))
        return time->tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

/* Who changes the owner takes the set-uid and set-gid bits, and so does who changes the size without being root.  The kernel
 * leaves that to us (FUSE_HANDLE_KILLPRIV_V2). */
static bool drops_set_id(int which, uid_t caller)
{
    return which & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID) || which == 0 || (which & FUSE_SET_ATTR_SIZE && caller != 0);
}

/* A change of nothing is chown(2) with -1 for both, which takes the bits as any chown does, or the kernel's notice before a
 * write. It does not say which; so from others than the owner nothing is taken: what they write takes it
 * (OPEN_DROPS_SET_ID). */
static bool is_notice(fuse_req_t request, struct node_id node, int which)
{
    struct node_attributes now;
    struct stat shown;
    uid_t caller = fuse_req_ctx(request)->uid;
    if (which || caller == 0 || tree_attributes(session_tree_of(request), node, &now, NULL) != CODE_OK)
        return false;
    session_reply_fill_stat(session_of(request), &now, &shown);
    return caller != shown.st_uid;
}

static struct attribute_change decode_change(const struct session *session, const struct stat *wanted, int which)
{
    struct attribute_change change = {0};
    if (session->keeps_owners && which & FUSE_SET_ATTR_UID) {
        change.which |= CHANGE_OWNER;
        change.owner = wanted->st_uid;
    }
    if (session->keeps_owners && which & FUSE_SET_ATTR_GID) {
        change.which |= CHANGE_GROUP;
        change.group = wanted->st_gid;
    }
    if (which & FUSE_SET_ATTR_MODE) {
        change.which |= CHANGE_MODE;
        change.mode = wanted->st_mode & 07777;
    }
    if (which & FUSE_SET_ATTR_SIZE) {
        change.which |= CHANGE_SIZE;
        change.size = (uint64_t)wanted->st_size;
    }
    if (which & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)) {
        change.which |= CHANGE_ACCESS;
        change.access_ns = which & FUSE_SET_ATTR_ATIME_NOW ? timing_wall_ns() : to_ns(&wanted->st_atim);
    }
    if (which & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) {
        change.which |= CHANGE_MODIFY;
        change.modify_ns = which & FUSE_SET_ATTR_MTIME_NOW ? timing_wall_ns() : to_ns(&wanted->st_mtim);
    }
    return change;
}

static enum code check_owner(const struct session *session, const struct stat *wanted, int which, struct failure *why)
{
    if (session->keeps_owners || ((!(which & FUSE_SET_ATTR_UID) || wanted->st_uid == session->owner) &&
                                  (!(which & FUSE_SET_ATTR_GID) || wanted->st_gid == session->group)))
        return CODE_OK;
    return failure_set(
        why, CODE_NOT_PERMITTED,
        "changing the owner: every file here is shown as belonging to whoever mounted (with tar use "
        "--no-same-owner, with rsync --no-owner --no-group; root keeps owners by mounting with --allow-other)");
}

static void on_setattr(fuse_req_t request, fuse_ino_t node, struct stat *wanted, int which, struct fuse_file_info *file)
{
    (void)file;
    struct failure why;
    struct node_attributes attributes;
    struct attribute_change change = decode_change(session_of(request), wanted, which);
    if (drops_set_id(which, fuse_req_ctx(request)->uid) && !is_notice(request, session_node(node), which))
        change.which |= CHANGE_DROPS_SET_ID;
    enum code code = check_owner(session_of(request), wanted, which, &why);
    if (code == CODE_OK)
        code = tree_change(session_tree_of(request), session_node(node), &change, &attributes, &why);
    if (code == CODE_OK)
        session_reply_attributes(request, &attributes);
    else
        session_reply_failure(request, code, &why, session_node(node), NULL);
}

static void on_readlink(fuse_req_t request, fuse_ino_t node)
{
    struct failure why;
    SCOPE_BUFFER target = {.max = 65536};
    enum code code = tree_read_link(session_tree_of(request), session_node(node), &target, &why);
    if (code == CODE_OK && session_of(request)->for_programs)
        code = tree_check_link(session_tree_of(request), session_node(node), &why);
    if (code == CODE_OK)
        fuse_reply_readlink(request, buffer_text(&target));
    else
        session_reply_failure(request, code, &why, session_node(node), NULL);
}

static void reply_made(fuse_req_t request, enum code code, const struct failure *why, fuse_ino_t folder, const char *name,
                       const struct node_attributes *attributes)
{
    if (code == CODE_OK)
        session_reply_entry(request, attributes);
    else
        session_reply_failure(request, code, why, session_node(folder), name);
}

static void make(fuse_req_t request, fuse_ino_t folder, const char *name, const struct tree_new *what)
{
    struct failure why;
    struct node_attributes attributes;
    enum code code = tree_make(session_tree_of(request), session_node(folder), name, what, &attributes, &why);
    reply_made(request, code, &why, folder, name, &attributes);
}

static enum node_kind kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFIFO:
        return NODE_FIFO;
    case S_IFSOCK:
        return NODE_SOCKET;
    case S_IFCHR:
        return NODE_CHARACTER;
    case S_IFBLK:
        return NODE_BLOCK;
    default:
        return NODE_FILE;
    }
}

/* Pipes and sockets are the kernel's: only their names and attributes are kept here, and so it is with devices, which a
 * mount shows but does not open (nodev). */
static void on_mknod(fuse_req_t request, fuse_ino_t folder, const char *name, mode_t mode, dev_t device)
{
    struct tree_new what = session_new(request, kind_of(mode), mode);
    what.device = device;
    if (what.kind != NODE_FILE) {
        make(request, folder, name, &what);
        return;
    }
    struct failure why;
    struct node_attributes attributes;
    struct tree_file *file;
    enum code code = tree_make_file(session_tree_of(request), session_node(folder), name, &what, OPEN_READ | OPEN_EXCLUSIVE,
                                    &attributes, &file, &why);
    if (code == CODE_OK)
        tree_release(file);
    reply_made(request, code, &why, folder, name, &attributes);
}

static void on_mkdir(fuse_req_t request, fuse_ino_t folder, const char *name, mode_t mode)
{
    struct tree_new what = session_new(request, NODE_FOLDER, mode);
    make(request, folder, name, &what);
}

static void on_symlink(fuse_req_t request, const char *target, fuse_ino_t folder, const char *name)
{
    struct tree_new what = session_new(request, NODE_LINK, 0777);
    what.target = target;
    make(request, folder, name, &what);
}

static void on_link(fuse_req_t request, fuse_ino_t node, fuse_ino_t folder, const char *name)
{
    struct failure why;
    struct node_attributes attributes;
    enum code code =
        tree_hard_link(session_tree_of(request), session_node(node), session_node(folder), name, &attributes, &why);
    reply_made(request, code, &why, folder, name, &attributes);
}

static void on_unlink(fuse_req_t request, fuse_ino_t folder, const char *name)
{
    struct failure why;
    enum code code = tree_unlink(session_tree_of(request), session_node(folder), name, &why);
    session_reply_done(request, code, &why, session_node(folder), name);
}

static void on_rmdir(fuse_req_t request, fuse_ino_t folder, const char *name)
{
    struct failure why;
    enum code code = tree_remove_folder(session_tree_of(request), session_node(folder), name, &why);
    session_reply_done(request, code, &why, session_node(folder), name);
}

static void on_rename(fuse_req_t request, fuse_ino_t from_folder, const char *from_name, fuse_ino_t to_folder,
                      const char *to_name, unsigned flags)
{
    struct failure why;
    const struct tree_new left = session_new(request, NODE_CHARACTER, 0);
    /* A workstation's cache of names does not know of what is left: for mounts of this machine alone. */
    const unsigned known = RENAME_NO_REPLACE_FLAG | RENAME_EXCHANGE_FLAG | (viewer_current() ? 0 : RENAME_WHITEOUT_FLAG);
    const struct tree_rename rename = {
        .from_folder = session_node(from_folder),
        .to_folder = session_node(to_folder),
        .from_name = from_name,
        .to_name = to_name,
        .flags = flags,
        .owner = left.owner,
        .group = left.group,
    };
    enum code code;
    if (flags & ~known)
        code = failure_set(&why, CODE_INVALID, "renaming %s: it was asked for in a way that is not known here", from_name);
    else
        code = tree_rename(session_tree_of(request), &rename, &why);
    session_reply_done(request, code, &why, session_node(to_folder), to_name);
}

/* df's numbers: what the chunks take, what their device has left; for who has a quota, that and what is left of it, if that
 * is less. */
static void on_statfs(fuse_req_t request, fuse_ino_t node)
{
    (void)node;
    struct tree_statistics numbers;
    tree_statistics(session_tree_of(request), &numbers);
    const struct tree_quota_storage quota =
        tree_quota_storage(session_tree_of(request), session_of(request)->channel.peer.viewer);
    const uint64_t block = 4096;
    uint64_t all = numbers.bytes_stored + numbers.bytes_free, free = numbers.bytes_free;
    if (quota.most != QUOTA_UNLIMITED) {
        uint64_t used = quota.bytes + quota.held, left = used < quota.most ? quota.most - used : 0;
        all = left > free ? used + free : quota.bytes < quota.most ? quota.most : quota.bytes;
        free = left < free ? left : free;
    }
    struct statvfs out = {
        .f_bsize = block,
        .f_frsize = block,
        .f_blocks = all / block,
        .f_bfree = free / block,
        .f_bavail = free / block,
        .f_files = numbers.files + numbers.folders + UINT32_MAX,
        .f_ffree = UINT32_MAX, /* inodes are not scarce: a number that no program takes for none */
        .f_favail = UINT32_MAX,
        .f_namemax = TREE_NAME_MAX,
    };
    fuse_reply_statfs(request, &out);
}

void session_names_fill(struct fuse_lowlevel_ops *operations)
{
    operations->lookup = on_lookup;
    operations->forget = on_forget;
    operations->forget_multi = on_forget_multi;
    operations->getattr = on_getattr;
    operations->access = on_access;
    operations->setattr = on_setattr;
    operations->readlink = on_readlink;
    operations->mknod = on_mknod;
    operations->mkdir = on_mkdir;
    operations->symlink = on_symlink;
    operations->link = on_link;
    operations->unlink = on_unlink;
    operations->rmdir = on_rmdir;
    operations->rename = on_rename;
    operations->statfs = on_statfs;
}
