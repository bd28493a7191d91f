/* Extended attributes: decode, call the tree, reply once.  Worker threads. */
#include "session_xattrs.h"

#include "buffer.h"
#include "session_reply.h"
#include "session_state.h"

static void on_setxattr(fuse_req_t request, fuse_ino_t node, const char *name, const char *value, size_t count, int flags)
{
    struct failure why;
    enum code code = tree_set_xattr(session_tree_of(request), session_node(node), name, value, count, flags, &why);
    session_reply_done(request, code, &why, session_node(node), NULL);
}

static void on_getxattr(fuse_req_t request, fuse_ino_t node, const char *name, size_t size)
{
    struct failure why;
    SCOPE_BUFFER value = {.max = TREE_XATTR_BYTES_MAX};
    enum code code = tree_get_xattr(session_tree_of(request), session_node(node), name, &value, &why);
    if (code == CODE_OK)
        session_reply_sized(request, &value, size);
    else
        session_reply_failure(request, code, &why, session_node(node), NULL);
}

static void on_listxattr(fuse_req_t request, fuse_ino_t node, size_t size)
{
    struct failure why;
    SCOPE_BUFFER names = {.max = TREE_XATTR_BYTES_MAX};
    enum code code = tree_list_xattrs(session_tree_of(request), session_node(node), &names, &why);
    if (code == CODE_OK)
        session_reply_sized(request, &names, size);
    else
        session_reply_failure(request, code, &why, session_node(node), NULL);
}

static void on_removexattr(fuse_req_t request, fuse_ino_t node, const char *name)
{
    struct failure why;
    enum code code = tree_remove_xattr(session_tree_of(request), session_node(node), name, &why);
    session_reply_done(request, code, &why, session_node(node), NULL);
}

void session_xattrs_fill(struct fuse_lowlevel_ops *operations)
{
    operations->setxattr = on_setxattr;
    operations->getxattr = on_getxattr;
    operations->listxattr = on_listxattr;
    operations->removexattr = on_removexattr;
}
