/* Inside fs/wire: a connection with its buffers: frames in, frames and a ledger's messages out.  One thread. */
#ifndef CYTOFS_WIRE_CONNECTION_H
#define CYTOFS_WIRE_CONNECTION_H

#include "wire_channel.h"
#include "wire_frame.h"
#include "wire_ledger.h"

struct wire_connection {
    struct wire_channel *channel; /* owned */
    uint8_t *input;               /* bytes that came: frames from `parsed` to `received` */
    size_t input_size, parsed, received;
    uint8_t *output; /* bytes to go, from `gone` to `filled` */
    size_t gone, filled;
    size_t copied; /* of the ledger's next message, head included, already in `output` */
    uint64_t told; /* messages received, as we have told the other side */
    size_t untold_bytes;
    enum wire_want want;       /* what a send that could not go on waits for */
    bool unread;               /* there is more to take than was taken: do not wait for the socket */
    int64_t heard_ms, said_ms; /* monotonic */
    int64_t begun_ms;
};

/* Takes over the channel, also where it fails.  Takes only small frames until wire_connection_admit. */
MUST_CHECK enum code wire_connection_make(struct wire_channel *channel, struct wire_connection **out, struct failure *why);
void wire_connection_destroy(struct wire_connection *connection);

/* From now on messages are taken. */
MUST_CHECK enum code wire_connection_admit(struct wire_connection *connection, struct failure *why);

/* CODE_OK: go on with the next frame; CODE_BUSY: not now; else the connection is done. */
typedef enum code wire_take_frame(void *context, const struct wire_frame *frame, struct failure *why);

/* Gives frames to `take`, up to about a bounded number of bytes, then `unread` may be set.  CODE_OK also where nothing came.
 */
MUST_CHECK enum code wire_connection_receive(struct wire_connection *connection, wire_take_frame *take, void *context,
                                             struct failure *why);

/* Queues a frame without counting it. */
void wire_connection_put(struct wire_connection *connection, const void *frame, size_t length);
void wire_connection_put_empty(struct wire_connection *connection, enum wire_kind kind);

/* Fills the output from the ledger (NULL: none), and an acknowledgement where it is due; returns whether there is anything
 * to send.  Under the ledger's lock. */
bool wire_connection_fill(struct wire_connection *connection, struct wire_ledger *ledger);

/* Sends what is filled, as far as it goes without waiting. */
MUST_CHECK enum code wire_connection_flush(struct wire_connection *connection, struct failure *why);

/* What to poll(2) for. */
short wire_connection_events(const struct wire_connection *connection, bool paused);

/* When the connection wants to be looked at again, in monotonic ms: to tell what was received, to say something, to give up.
 */
int64_t wire_connection_deadline(const struct wire_connection *connection, uint64_t received);

/* CODE_IO where nothing was heard for too long; says something where nothing was said for long. */
MUST_CHECK enum code wire_connection_keep_alive(struct wire_connection *connection, bool paused, struct failure *why);

#endif
