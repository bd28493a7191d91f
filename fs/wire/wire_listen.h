/* Inside fs/wire: sockets that listen.  Never blocking; closed over exec. */
#ifndef CYTOFS_WIRE_LISTEN_H
#define CYTOFS_WIRE_LISTEN_H

#include <stdint.h>
#include <sys/types.h>

#include "failure.h"

/* At an address of this machine; port as wire_server_options.  *out, the caller's to close, may be open also after a
 * failure. */
MUST_CHECK enum code wire_listen_network(const char *address, uint16_t port, int *out, uint16_t *bound_port,
                                         struct failure *why);

/* At a path, with that mode; a socket that a dead server left behind is replaced.  *out as above; after a failure there is
 * none at the path. */
MUST_CHECK enum code wire_listen_socket(const char *path, mode_t mode, int *out, struct failure *why);

#endif
