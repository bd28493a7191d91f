/* The mount of before at the same place: a process that was killed has not said good-bye, and what it had locked and open at
 * the server stays so until somebody says that it is gone.  Who mounts again says it.
 *
 *     ~/.local/state/cytofs/mounts/DIGEST     ($XDG_STATE_HOME/cytofs/mounts); DIGEST: of the server's name and the
 * mountpoint the link's id, WIRE_SESSION_BYTES bytes; locked while the mount lives, gone when it ended well
 */
#ifndef CYTOFS_LAB_FORMER_H
#define CYTOFS_LAB_FORMER_H

#include <stdbool.h>

#include "wire_link.h"

struct lab_former {
    char *path; /* NULL: nothing is kept */
    int file;   /* locked; -1: not */
    bool known; /* there was one, and its process is gone */
    uint8_t session[WIRE_SESSION_BYTES];
};

/* Looks for it.  Nothing here is a reason not to mount: what goes wrong is told in the log. */
void lab_former_open(struct lab_former *former, const char *server, const char *directory);

/* This is the mount from now on. */
void lab_former_keep(struct lab_former *former, struct wire_link *link);

/* It has ended well. */
void lab_former_close(struct lab_former *former);

#endif
