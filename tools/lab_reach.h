/* A store that is served right now: its server's socket, and a mount of it for the length of one command. */
#ifndef CYTOFS_LAB_REACH_H
#define CYTOFS_LAB_REACH_H

#include "failure.h"

/* The path of the UNIX socket by which a store's server can be reached by the user who runs it: STORE/serve/socket.  The
 * caller's to free; NULL where the path is longer than sockets may have. */
char *lab_reach_socket(const char *store);

/* The same, where somebody serves the store now; else NULL. */
char *lab_reach_server(const char *store);

/* A lab that a command works on: `path` is what was given, or where a store that is served was mounted for this command. */
struct lab_reach {
    const char *path;
    char *mounted; /* NULL: nothing was */
};

MUST_CHECK enum code lab_reach_open(const char *given, struct lab_reach *out, struct failure *why);
void lab_reach_close(struct lab_reach *reach);

#endif
