/* The lab's door: who may come in from other machines and from other users of this one, by certificates and uids; what is
 * kept of those who are in when the server is stopped and started again.
 *
 *   lab/clients   who is connected, from where, since when, what waits (one's own; all for stewards and admins)
 *   lab/users     which member each user of this machine is (people_users.h)
 */
#ifndef CYTOFS_LAB_DOOR_H
#define CYTOFS_LAB_DOOR_H

#include "failure.h"
#include "identity.h"
#include "server.h"

struct lab_door;
struct people;

struct lab_door_options {
    const char *address;          /* to listen at; NULL: no network */
    uint16_t port;                /* 0: WIRE_PORT; (uint16_t)-1: any */
    const char *socket_path;      /* NULL: no UNIX socket */
    const char *state_folder;     /* where clients are kept between servers (server_state.h); NULL: nowhere */
    const struct store_id *store; /* where state_folder is given */
};

/* Adds the door's files to the people's tree, before that is served.  The options are borrowed. */
MUST_CHECK enum code lab_door_create(struct people *people, const struct lab_door_options *options, struct lab_door **out,
                                     struct failure *why);

/* Serves to whoever may come in, with the clients of before where there are any, until lab_door_part or lab_door_close. */
MUST_CHECK enum code lab_door_open(struct lab_door *door, struct failure *why);

uint16_t lab_door_port(const struct lab_door *door);

/* Lets nobody in any more and keeps in memory what is to be kept of the clients, so that they may go on with the next
 * server.  False where that cannot be: then they begin anew. */
bool lab_door_part(struct lab_door *door);

/* Writes down what was kept, after tree_finish, which told this number. */
void lab_door_keep(struct lab_door *door, uint64_t number);

/* Ends all sessions. */
void lab_door_close(struct lab_door *door);

/* After the tree was closed. */
void lab_door_destroy(struct lab_door *door);

#endif
