/* Who may come in: see lab_door.h.
 *
 * From other machines: who has a certificate of the lab's and is a member under that key.  Through the UNIX socket: the user who runs the server is the member whose key it has. */
#include "lab_door.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authority.h"
#include "file.h"
#include "logging.h"
#include "people.h"
#include "scope.h"
#include "tree.h"
#include "tree_members.h"
#include "tree_lending.h"

#define SOCKET_MODE 0600

struct lab_door {
    struct people *people;
    struct tree *tree;
    struct server *server;
};

static enum code admit_user(const struct lab_door *door, const struct wire_peer *peer, struct viewer *viewer,
                            struct failure *why)
{
    if (peer->uid != geteuid())
        return failure_set(why, CODE_DENIED, "user %u of this machine is not a member of the lab", peer->uid);
    struct member_public self = {0};
    strcpy(viewer->name, tree_member_name(door->tree));
    enum code code = members_find(door->tree, viewer->name, &self, why);
    if (code == CODE_OK)
        code = members_role(door->tree, viewer->name, &viewer->role, why);
    viewer->id = self.id;
    return code;
}

static enum code on_admit(void *context, const struct wire_peer *peer, struct viewer *viewer, struct failure *why)
{
    const struct lab_door *door = context;
    if (peer->uid != (uid_t)-1)
        return admit_user(door, peer, viewer, why);
    struct people_admission admission;
    enum code code = people_admit(door->people, &peer->holder, &admission, why);
    if (code != CODE_OK)
        return code;
    strcpy(viewer->name, peer->holder.name);
    viewer->role = admission.role;
    viewer->id = admission.id;
    return CODE_OK;
}

static enum code on_answer(void *context, const void *question, size_t count, const char *address, struct buffer *answer,
                           struct failure *why)
{
    const struct lab_door *door = context;
    return people_answer(door->people, question, count, address, answer, why);
}

/* What the member lent is forgotten. */
static void on_gone(void *context, const char *member)
{
    const struct lab_door *door = context;
    logging_info("%s has no session any more", member);
    lending_end(door->tree, member);
}

static void end_sessions(void *context, const char *member)
{
    const struct lab_door *door = context;
    server_expel(door->server, member);
}

static void set_role(void *context, const char *member, enum member_role role)
{
    const struct lab_door *door = context;
    server_set_role(door->server, member, role);
}

static enum code make_folder_of(const char *path, struct failure *why)
{
    SCOPE_FREE char *folder = strdup(path);
    if (!folder)
        return failure_set(why, CODE_NO_MEMORY, "serving: no memory");
    *strrchr(folder, '/') = 0;
    return folder[0] ? file_make_folders(folder, why) : CODE_OK;
}

static enum code start(struct lab_door *door, const struct lab_door_options *options, struct failure *why)
{
    struct wire_credentials credentials = {0};
    struct server_options server = {
        .address = options->address,
        .port = options->port,
        .socket_path = options->socket_path,
        .socket_mode = SOCKET_MODE,
        .door = {.admit = on_admit, .answer = on_answer, .gone = on_gone, .context = door},
    };
    enum code code = options->socket_path ? make_folder_of(options->socket_path, why) : CODE_OK;
    if (code == CODE_OK && options->address)
        code = people_credentials(door->people, &credentials, why);
    if (options->address)
        server.credentials = &credentials;
    if (code == CODE_OK)
        code = server_start(door->tree, &server, &door->server, why);
    authority_free_credentials(&credentials);
    if (code == CODE_OK)
        people_set_sessions(door->people, &(struct people_sessions){end_sessions, set_role, door});
    return code;
}

enum code lab_door_open(struct people *people, const struct lab_door_options *options, struct lab_door **out,
                        struct failure *why)
{
    struct lab_door *door = calloc(1, sizeof *door);
    if (!door)
        return failure_set(why, CODE_NO_MEMORY, "serving: no memory");
    door->people = people;
    door->tree = people_tree(people);
    enum code code = start(door, options, why);
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
    people_set_sessions(door->people, NULL);
    server_stop(door->server);
    free(door);
}
