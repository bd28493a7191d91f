/* Who may come into a lab that is served to other machines and to other users of this one: certificates and uids on one side, members on the
 * other. */
#ifndef CYTOFS_LAB_DOOR_H
#define CYTOFS_LAB_DOOR_H

#include "failure.h"
#include "server.h"

struct lab_door;
struct people;

struct lab_door_options {
    const char *address;     /* to listen at; NULL: no network */
    uint16_t port;           /* 0: WIRE_PORT; (uint16_t)-1: any */
    const char *socket_path; /* NULL: no UNIX socket */
};

/* Serves the people's tree to whoever may come in, until lab_door_close. */
MUST_CHECK enum code lab_door_open(struct people *people, const struct lab_door_options *options, struct lab_door **out,
                                   struct failure *why);

uint16_t lab_door_port(const struct lab_door *door);

void lab_door_close(struct lab_door *door);

#endif
