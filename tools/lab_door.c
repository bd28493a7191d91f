/* Who may come in: see lab_door.h.
 *
 * Through the UNIX socket: the user who runs the server is the member whose key it has. */
#include "lab_door.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "logging.h"
#include "tree.h"

#define SOCKET_MODE 0600

struct lab_door {
    struct tree *tree;
    struct server *server;
};

static enum code admit_user(const struct lab_door *door, const struct wire_peer *peer, struct viewer *viewer,
                            struct failure *why)
{
    if (peer->uid != geteuid())
        return failure_set(why, CODE_DENIED, "user %u of this machine is not a member of the lab", peer->uid);
    strcpy(viewer->name, tree_member_name(door->tree));
    viewer->role = ROLE_ADMIN;
    return CODE_OK;
}

static enum code on_admit(void *context, const struct wire_peer *peer, struct viewer *viewer, struct failure *why)
{
    if (peer->uid != (uid_t)-1)
        return admit_user(context, peer, viewer, why);
    return failure_set(why, CODE_DENIED, "%s is not a member of the lab", peer->holder.name);
}

static enum code on_answer(void *context, const void *question, size_t count, const char *address, struct buffer *answer,
                           struct failure *why)
{
    (void)context;
    (void)question;
    (void)count;
    (void)answer;
    return failure_set(why, CODE_DENIED, "%s: nobody is invited", address);
}

static void on_gone(void *context, const char *member)
{
    (void)context;
    logging_info("%s has no session any more", member);
}

enum code lab_door_open(struct tree *tree, const struct lab_door_options *options, struct lab_door **out,
                        struct failure *why)
{
    struct lab_door *door = calloc(1, sizeof *door);
    if (!door)
        return failure_set(why, CODE_NO_MEMORY, "serving: no memory");
    door->tree = tree;
    const struct server_options server = {
        .address = options->address,
        .port = options->port,
        .socket_path = options->socket_path,
        .socket_mode = SOCKET_MODE,
        .door = {.admit = on_admit, .answer = on_answer, .gone = on_gone, .context = door},
    };
    enum code code = server_start(tree, &server, &door->server, why);
    if (code == CODE_OK)
        *out = door;
    else
        lab_door_close(door);
    return code;
}

uint16_t lab_door_port(const struct lab_door *door)
{
    return server_port(door->server);
}

void lab_door_close(struct lab_door *door)
{
    if (!door)
        return;
    server_stop(door->server);
    free(door);
}
