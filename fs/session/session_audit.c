/* What goes into the audit log: see session_audit.h.  Attributes and single look-ups do not: a kernel asks for those all the
 * time.  What is read or written by a handle was told when it was opened. */
#include "session_audit.h"

#include <fcntl.h>
#include <stdio.h>

#include "extra.h"
#include "session_state.h"
#include "tree_audit.h"
#include "tree_place.h"
#include "viewer.h"

/* An alias beside the versions of a model, and what lies below serving/, says what is used in earnest. */
static bool is_alias(struct session *session, uint64_t folder, const char *name)
{
    struct tree_place place;
    return tree_place(session->tree, (struct node_id){folder}, name, session->channel.peer.viewer, &place, NULL) ==
               CODE_OK &&
           place.area == PLACE_MODELS && place.depth == 2 && (!place.exists || place.kind == NODE_LINK);
}

static enum audit_verb verb_of(struct session *session, const struct message *message)
{
    switch (message->opcode) {
    case FUSE_OPENDIR:
    case EXTRA_FETCH:
        return AUDIT_READ;
    case FUSE_OPEN:
    case EXTRA_REOPEN:
        return (message->flags & O_ACCMODE) == O_RDONLY && !(message->flags & O_TRUNC) ? AUDIT_READ : AUDIT_WRITE;
    case FUSE_SETATTR:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
        return AUDIT_WRITE;
    case FUSE_CREATE:
    case EXTRA_PUT:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_LINK:
        return AUDIT_MAKE;
    case FUSE_SYMLINK:
        return is_alias(session, message->node, message->name) ? AUDIT_DEPLOY : AUDIT_MAKE;
    case FUSE_UNLINK:
        return is_alias(session, message->node, message->name) ? AUDIT_DEPLOY : AUDIT_REMOVE;
    case FUSE_RMDIR:
        return AUDIT_REMOVE;
    case FUSE_RENAME:
    case FUSE_RENAME2:
        return is_alias(session, message->second_node, message->second_name) ? AUDIT_DEPLOY : AUDIT_RENAME;
    default:
        return AUDIT_VERBS;
    }
}

static void tell(struct session *session, enum audit_verb verb, const struct message *message, const char *detail)
{
    bool has_name = message->name && message->opcode != FUSE_SETXATTR && message->opcode != FUSE_GETXATTR &&
                    message->opcode != FUSE_REMOVEXATTR;
    viewer_enter(session->channel.peer.viewer);
    tree_audit_node(session->tree, verb, (struct node_id){message->node}, has_name ? message->name : NULL, detail);
    viewer_leave();
}

void session_audit_admitted(struct session *session, const struct message *message)
{
    char detail[TREE_NAME_MAX + 8] = "";
    if (!tree_audit_listens(session->tree) || !session->channel.peer.viewer)
        return;
    enum audit_verb verb = verb_of(session, message);
    if (verb == AUDIT_VERBS)
        return;
    if (message->opcode == FUSE_UNLINK && verb == AUDIT_DEPLOY)
        snprintf(detail, sizeof detail, "taken away");
    else if (message->second_name)
        snprintf(detail, sizeof detail, "-> %.*s", TREE_NAME_MAX, message->second_name);
    tell(session, verb, message, detail);
}

void session_audit_refused(struct session *session, const struct message *message, const struct failure *why)
{
    if (tree_audit_listens(session->tree) && session->channel.peer.viewer)
        tell(session, AUDIT_REFUSED, message, why->text);
}
