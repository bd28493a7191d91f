/* The clients' state on disk between a server that stops and the one that goes on: sealed with a key that is drawn for it
 * and lies in memory alone (a file on a tmpfs), so that the disk gives nothing of it away and a reboot ends it.  It is read
 * once: what was read is gone.  Layout: FORMAT.md.
 */
#ifndef CYTOFS_SERVER_STATE_H
#define CYTOFS_SERVER_STATE_H

#include <stdint.h>

#include "buffer.h"
#include "failure.h"
#include "identity.h"

#define SERVER_STATE_BYTES_MAX ((size_t)1 << 29)
#define SERVER_STATE_AGE_MAX_S 3600

struct server_state_place {
    const char *folder; /* for the sealed state; made where it is missing */
    const char *memory; /* a folder on a tmpfs for the key; NULL: what this machine has */
    const struct store_id *store;
};

/* number: of the store's last commit. */
MUST_CHECK enum code server_state_write(const struct server_state_place *place, uint64_t number, const struct buffer *state,
                                        struct failure *why);

/* Appends it to *out and removes it.  CODE_NO_DATA: there is none.  CODE_DENIED: it is too old, or the store has another
 * last commit now: somebody has had it meanwhile.  CODE_CORRUPT: it was not sealed with the key that is there. */
MUST_CHECK enum code server_state_read(const struct server_state_place *place, uint64_t number, struct buffer *out,
                                       struct failure *why);

#endif
