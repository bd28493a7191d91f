/* May the viewer do that: see session_rights.h.
 *
 * A message becomes up to three questions, each about a node or a name and some rights; all must be answered with yes.  The
 * question is asked before the operation: who gets the right by a change in between could have come a moment later, and who
 * loses it, a moment earlier. */
#include "session_rights.h"

#include <fcntl.h>
#include <stdio.h>

#include "extra.h"
#include "rights_table.h"
#include "session_state.h"
#include "viewer.h"

#define UNLIKELY_NAME "\001" /* stands for names that are not taken */

struct asking {
    struct session *session;
    const struct viewer *viewer;
    struct failure *why;
};

static const char *verb_of(unsigned right)
{
    return right & RIGHT_REMOVE ? "remove" : right & RIGHT_WRITE ? "change" : right & RIGHT_CREATE ? "make" : "read";
}

static enum code judge(const struct asking *asking, const struct tree_place *place, unsigned wanted)
{
    enum resource resource = rights_resource(place);
    unsigned missing = wanted & ~rights_of(asking->viewer->role, resource);
    if (!missing)
        return CODE_OK;
    return failure_set(asking->why, CODE_DENIED, "as a %s you may not %s %s", member_role_name(asking->viewer->role),
                       verb_of(missing), rights_resource_name(resource));
}

static enum code ask(const struct asking *asking, uint64_t node, unsigned wanted)
{
    struct tree_place place;
    struct node_id id = {node};
    enum code code = tree_place(asking->session->tree, id, NULL, asking->viewer, &place, asking->why);
    if (code != CODE_OK)
        return code;
    if (place.area == PLACE_ELSEWHERE && session_nodes_is_open(&asking->session->nodes, id))
        return CODE_OK; /* it has lost its name since it was opened */
    return judge(asking, &place, wanted);
}

/* For the name `missing` rights where it does not exist, `existing` where it does.  Whoever may not read the folder does not
 * even learn which. */
static enum code ask_name(const struct asking *asking, uint64_t folder, const char *name, unsigned missing,
                          unsigned existing)
{
    struct tree_place place;
    enum code code = ask(asking, folder, RIGHT_READ);
    if (code == CODE_OK)
        code = tree_place(asking->session->tree, (struct node_id){folder}, name, asking->viewer, &place, asking->why);
    if (code != CODE_OK)
        return code;
    return judge(asking, &place, place.exists ? existing : missing);
}

/* A name that is free is not there to be removed: the operation says so.  But a rule's files are not among the stored names.
 */
static enum code ask_remove(const struct asking *asking, uint64_t folder, const char *name)
{
    struct tree_place place;
    enum code code = ask(asking, folder, RIGHT_READ);
    if (code == CODE_OK)
        code = tree_place(asking->session->tree, (struct node_id){folder}, name, asking->viewer, &place, asking->why);
    if (code != CODE_OK)
        return code;
    return judge(asking, &place, rights_is_new(rights_resource(&place)) ? 0 : RIGHT_REMOVE);
}

static unsigned rights_to_open(uint32_t flags)
{
    unsigned wanted = (flags & O_ACCMODE) != O_WRONLY ? RIGHT_READ : 0;
    return wanted | ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC ? RIGHT_WRITE : 0);
}

/* A spec acts for who made the file (runner/jobs): nobody may put another's there in his own place. */
static enum code ask_into_jobs(const struct asking *asking, uint64_t folder, uint64_t from, const char *name)
{
    struct tree_place to, what;
    struct tree *tree = asking->session->tree;
    enum code code = tree_place(tree, (struct node_id){folder}, NULL, asking->viewer, &to, asking->why);
    if (code != CODE_OK || to.area != PLACE_JOBS)
        return code;
    code = tree_place(tree, (struct node_id){from}, name, asking->viewer, &what, asking->why);
    if (code != CODE_OK || what.made || !what.exists)
        return code;
    return failure_set(asking->why, CODE_DENIED,
                       "only what you made yourself can become a job: write the spec into jobs/ anew (cp)");
}

static enum code ask_rename(const struct asking *asking, const struct message *message)
{
    bool exchanges =
        message->opcode == FUSE_RENAME2 && ((const struct fuse_rename2_in *)message->body)->flags & RENAME_EXCHANGE_FLAG;
    enum code code = ask_remove(asking, message->node, message->name);
    if (code == CODE_OK)
        code = ask_name(asking, message->second_node, message->second_name, RIGHT_CREATE,
                        exchanges ? RIGHT_REMOVE | RIGHT_CREATE : RIGHT_REMOVE);
    if (code == CODE_OK)
        code = ask_into_jobs(asking, message->second_node, message->node, message->name);
    if (code == CODE_OK && exchanges)
        code = ask_name(asking, message->node, message->name, RIGHT_CREATE, RIGHT_CREATE);
    if (code == CODE_OK && exchanges)
        code = ask_into_jobs(asking, message->node, message->second_node, message->second_name);
    return code;
}

/* With another name it could be changed where that name lies. */
static enum code ask_link(const struct asking *asking, const struct message *message)
{
    enum code code = ask(asking, message->second_node, RIGHT_READ | RIGHT_WRITE);
    if (code == CODE_OK)
        code = ask_name(asking, message->node, message->name, RIGHT_CREATE, RIGHT_SEE);
    return code == CODE_OK ? ask_into_jobs(asking, message->node, message->second_node, NULL) : code;
}

enum code session_rights_check(struct session *session, const struct message *message, struct failure *why)
{
    const struct asking asking = {session, session->channel.peer.viewer, why};
    if (!asking.viewer)
        return CODE_OK;
    switch (message->opcode) {
    case FUSE_LOOKUP:
    case FUSE_READLINK:
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
    case FUSE_OPENDIR:
    case EXTRA_FETCH:
        return ask(&asking, message->node, RIGHT_READ);
    case FUSE_GETATTR:
        return ask(&asking, message->node, RIGHT_SEE);
    case FUSE_OPEN:
    case EXTRA_REOPEN:
        return ask(&asking, message->node, rights_to_open(message->flags));
    case FUSE_CREATE:
        return ask_name(&asking, message->node, message->name, RIGHT_CREATE, rights_to_open(message->flags));
    case EXTRA_PUT:
        return ask_name(&asking, message->node, message->name, RIGHT_CREATE, RIGHT_WRITE);
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_SYMLINK:
        return ask_name(&asking, message->node, message->name, RIGHT_CREATE, RIGHT_SEE);
    case FUSE_SETATTR:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
        return ask(&asking, message->node, RIGHT_WRITE);
    case FUSE_UNLINK:
    case FUSE_RMDIR:
        return ask_remove(&asking, message->node, message->name);
    case FUSE_RENAME:
    case FUSE_RENAME2:
        return ask_rename(&asking, message);
    case FUSE_LINK:
        return ask_link(&asking, message);
    default:
        return CODE_OK;
    }
}

bool session_rights_may_hear(struct session *session, struct node_id node)
{
    struct failure why;
    const struct asking asking = {session, session->channel.peer.viewer, &why};
    return !asking.viewer || ask(&asking, node.value, RIGHT_READ) == CODE_OK;
}

/* What the viewer may do to the node, and, if it is a folder, to a name in it that is not taken. */
static unsigned rights_at(const struct session *session, struct node_id node, const char *name)
{
    struct tree_place place;
    const struct viewer *viewer = session->channel.peer.viewer;
    if (tree_place(session->tree, node, name, viewer, &place, NULL) != CODE_OK)
        return 0;
    return rights_of(viewer->role, rights_resource(&place));
}

uint32_t session_rights_mode(const struct session *session, const struct node_attributes *attributes)
{
    uint32_t mode = attributes->mode & 07777;
    if (!session->channel.peer.viewer || attributes->kind == NODE_LINK)
        return mode;
    bool folder = attributes->kind == NODE_FOLDER;
    unsigned rights = rights_at(session, attributes->id, NULL);
    bool writes = folder ? rights_at(session, attributes->id, UNLIKELY_NAME) & RIGHT_CREATE : rights & RIGHT_WRITE;
    if (!(rights & RIGHT_READ))
        mode &= folder ? ~(uint32_t)0555 : ~(uint32_t)0444;
    return writes ? mode : mode & ~(uint32_t)0222;
}
